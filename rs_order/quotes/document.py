"""The quote as users see it: figures, times, blocks and advice (faces.md Q-1 to Q-5)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from rs_order.contracts.quote_bodies import (
    QuoteBlock,
    QuotedAmount,
    QuotedLimits,
    QuotedPlaces,
    QuotedQuota,
    QuotedSubOrders,
    QuotedTime,
    QuoteFailureDto,
    quote_name,
)
from rs_order.contracts.wire import without_nulls
from rs_order.domain.estimates import Range, Silence
from rs_order.domain.figures import Figures
from rs_order.domain.instants import wire_instant
from rs_order.domain.quotes import OwnerSituation, QuoteFailure, QuoteState, rounded_time
from rs_order.domain.tallies import FileTotals, Place
from rs_order.store.quotes import StoredQuote

ONLINE_TIME = timedelta(minutes=5)
"""The longest time until files are ready that aren't on tape."""

_FAILURES: Mapping[QuoteFailure, str] = {
    QuoteFailure.SEARCH_REJECTED: (
        "The catalog rejected the search. Correct the queries: maybe they name unknown attributes."
    ),
    QuoteFailure.CATALOG_UNREACHABLE: "The catalog gave no usable answer for too long. Quote again later.",
    QuoteFailure.NOT_MADE: "The quote wasn't ready within an hour. Quote again later.",
}


@dataclass(frozen=True, slots=True)
class Prospects:
    """What an order would meet, beside its files."""

    owner: OwnerSituation
    slots: int
    """Sub-orders of an owner that run at the same time; 0: any number."""
    time: Range | Silence
    level: float | None
    samples: int
    expires: timedelta
    downloads_left: int | None
    """Files that the owner may still download; None: any number, or it isn't known."""


def quote_document(figures: Figures, prospects: Prospects) -> dict[str, Any]:
    """Return the members of a quote that don't change once it is ready, as they are on the wire."""
    time = _time(figures, prospects)
    return {
        "exact": figures.exact,
        "products": figures.products,
        "files": figures.files,
        "bytes": figures.bytes,
        "unknownSize": figures.unknown_size,
        "quicklookFiles": figures.quicklooks.files,
        "where": _places(figures).to_wire(),
        "alreadyRequested": _amount(figures.awaited).to_wire(),
        "subOrders": QuotedSubOrders(
            min=figures.sub_orders.least, max=figures.sub_orders.greatest
        ).to_wire(),
        **without_nulls(runAtOnce=prospects.slots or None),
        "expected": time.to_wire() if isinstance(time, QuotedTime) else None,
        **without_nulls(why=time if isinstance(time, Silence) else None),
        "limits": QuotedLimits(
            download_quota=QuotedQuota(left=prospects.downloads_left, needed=figures.quota),
            expires=iso_duration(prospects.expires),
        ).to_wire(),
        "blocks": [one.to_wire() for one in _blocks(figures, prospects)],
        "advice": list(_advice(figures)),
    }


def quote_answer(quote: StoredQuote, order_address: str | None = None) -> dict[str, Any]:
    """Return a quote as users see it. ``order_address``: of the request that orders it, if it is known."""
    name = quote_name(quote.id)
    known = {
        "id": name,
        "state": quote.state.value,
        "createdAt": wire_instant(quote.created_at),
        "validUntil": wire_instant(quote.valid_until),
    }
    if quote.state is QuoteState.FAILED and quote.failure is not None:
        failure = QuoteFailureDto(code=quote.failure, text=failure_text(quote.failure))
        return {**known, "failure": failure.to_wire()}
    if quote.document is None:
        return known
    answer = {**known, **quote.document}
    if order_address is not None:
        answer["order"] = {"href": order_address, "method": "POST", "body": {"quoteId": name}}
    return answer


def failure_text(failure: QuoteFailure) -> str:
    """Return why there is no quote, and what to do."""
    return _FAILURES[failure]


def iso_duration(span: timedelta) -> str:
    """Return whole minutes as an ISO 8601 duration: in days, or in hours and minutes."""
    minutes = span // timedelta(minutes=1)
    days, rest = divmod(minutes, 24 * 60)
    if days and not rest:
        return f"P{days}D"
    hours, minutes = divmod(minutes, 60)
    return (
        f"PT{hours}H{minutes}M"
        if hours and minutes
        else f"PT{hours}H"
        if hours
        else f"PT{minutes}M"
    )


def _places(figures: Figures) -> QuotedPlaces:
    read = "all" if figures.exact else str(figures.read_files)
    of = "" if figures.exact else f" of {figures.files}"
    checked = (
        f"checked with storage for {figures.checked_files}"
        if figures.checked_files
        else "not checked with storage"
    )
    external = figures.places[Place.EXTERNAL]
    return QuotedPlaces(
        online=_amount(figures.places[Place.ONLINE]),
        nearline=_amount(figures.places[Place.NEARLINE]),
        external=QuotedAmount(files=external.files, bytes=external.bytes or None),
        unknown=_amount(figures.places[Place.UNKNOWN]),
        basis=f"catalog flags of {read}{of} files, {checked}",
    )


def _amount(amount: FileTotals) -> QuotedAmount:
    return QuotedAmount(files=amount.files, bytes=amount.bytes)


def _time(figures: Figures, prospects: Prospects) -> QuotedTime | Silence:
    """Return how long storage needs. Without files on tape, it is a matter of minutes."""
    slots, sub_orders = prospects.slots, figures.storage_sub_orders.greatest
    assumes = (
        "you download sub-orders as soon as they are ready" if 0 < slots < sub_orders else None
    )
    on_tape = figures.places[Place.NEARLINE].files > 0
    if not on_tape and not figures.processed and not _waits(figures, prospects):
        return QuotedTime(
            shortest=iso_duration(timedelta()),
            longest=iso_duration(ONLINE_TIME),
            basis="no file is on tape, according to the catalog",
            assumes=assumes,
        )
    if isinstance(prospects.time, Silence):
        return prospects.time
    shortest, longest = rounded_time(prospects.time)
    return QuotedTime(
        shortest=iso_duration(shortest),
        longest=iso_duration(longest),
        level=prospects.level,
        samples=prospects.samples,
        basis="earlier restores of this project; the level was measured with single sub-orders",
        assumes=assumes,
    )


def _waits(figures: Figures, prospects: Prospects) -> bool:
    """True if the sub-orders that storage is asked for couldn't start now."""
    owner = prospects.owner
    stopped = owner.maintenance or owner.held or owner.needs_download(prospects.slots)
    return stopped and figures.storage_sub_orders.greatest > 0


def _blocks(figures: Figures, prospects: Prospects) -> Iterator[QuoteBlock]:
    """Yield what would keep the order from going on, if it were ordered now."""
    if not figures.files:
        yield QuoteBlock(
            code="nothing-to-order", text="No file that you may order was found.", hard=True
        )
    if prospects.owner.maintenance:
        yield QuoteBlock(code="maintenance", text="The project is in maintenance.", hard=True)
    if prospects.owner.held:
        yield QuoteBlock(
            code="held",
            text="An operator holds new requests to storage; the order would wait until the hold ends.",
            hard=False,
        )
    if figures.storage_sub_orders.least and prospects.owner.needs_download(prospects.slots):
        yield QuoteBlock(
            code="your-download-needed",
            text=f"All {prospects.slots} sub-orders that you may have at a time are taken, "
            f"{prospects.owner.slots_waiting} of them until you download them.",
            hard=False,
        )
    yield from _quota_block(figures, prospects.downloads_left)


def _quota_block(figures: Figures, left: int | None) -> Iterator[QuoteBlock]:
    """Yield the block of a quota that is smaller than the order."""
    if left is not None and left < figures.quota:
        yield QuoteBlock(
            code="download-quota",
            text=f"Your quota allows {left} more downloads; {figures.quota} files of this order count.",
            hard=False,
        )


def _advice(figures: Figures) -> Iterator[str]:
    """Yield what would make the order smaller."""
    without = figures.files - figures.quicklooks.files
    if 0 < figures.quicklooks.files < figures.files:
        yield f"Do you need only RAWDATA? Without quicklooks, it is {without} files."
