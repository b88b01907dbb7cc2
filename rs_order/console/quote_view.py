"""The page of a quote: a pure function from what was stored to what is written."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from pydantic import TypeAdapter

from rs_order.console.looks import Tone
from rs_order.console.selections import KINDS, Selection
from rs_order.console.texts import Texts
from rs_order.contracts.quote_bodies import QuoteBlock, QuotedTime, QuoteDto, quote_name
from rs_order.domain.files import FileFilter
from rs_order.domain.quotes import QuoteState, total_of
from rs_order.domain.selection import Basket, DatasetSelection
from rs_order.domain.tallies import files_to_read
from rs_order.quotes.document import quote_answer
from rs_order.store.quotes import StoredQuote

_DURATION: Final = TypeAdapter(timedelta)
_PLACES: Final = {
    "online": Tone.GOOD,
    "nearline": Tone.WAIT,
    "external": Tone.BUSY,
    "unknown": Tone.BAD,
}


@dataclass(frozen=True, slots=True)
class DatasetRow:
    """A dataset of a basket or of a quote, with what the catalog counts in it."""

    label: str
    products: str
    files: str
    size: str
    filters: str
    """The filter of its files; empty: all are ordered."""


@dataclass(frozen=True, slots=True)
class PlaceRow:
    name: str
    tone: Tone
    begin: float
    share: float
    """Where its part of the bar begins, and how wide it is: percent of the files."""
    text: str


@dataclass(frozen=True, slots=True)
class BlockRow:
    text: str
    hard: bool


@dataclass(frozen=True, slots=True)
class QuotePicture:
    """The content of a quote that is ready."""

    lead: str
    exact: bool
    products: str
    files: str
    size: str
    unknown_size: str
    awaited: str
    sub_orders_number: str
    at_once: str
    time: str
    """How long storage needs, or why nobody can say."""
    level: str
    life: str
    quota: str
    places: Sequence[PlaceRow]
    blocks: Sequence[BlockRow]
    advice: str

    @property
    def refused(self) -> bool:
        """True if an order would be rejected now."""
        return any(block.hard for block in self.blocks)


def quote_model(quote: StoredQuote, texts: Texts, now: datetime) -> dict[str, Any]:
    """Return the values of the template. ``quote``: as it is now."""
    request = quote.request
    chosen = None if request is None else Selection.of_request(request)
    document = QuoteDto.model_validate(quote_answer(quote))
    return {
        "name": quote_name(quote.id),
        "created_at": quote.created_at,
        "valid_until": quote.valid_until,
        "expired": now >= quote.valid_until,
        "left": texts.duration(quote.valid_until - now),
        "at_work": quote.state is QuoteState.AT_WORK,
        "failure": quote.failure,
        "progress": _progress(quote, texts),
        "quote": _picture(document, texts) if quote.state is QuoteState.READY else None,
        "queries": chosen.queries.splitlines() if chosen else [],
        "filters": _filters(chosen.kinds, chosen.pattern, texts) if chosen else "",
        "datasets": [_dataset_row(one, texts) for one in quote.selections or ()],
    }


def basket_rows(basket: Basket, texts: Texts) -> list[DatasetRow]:
    """Return the datasets of a basket that have products."""
    return [_dataset_row(one, texts) for one in basket.selections if one.searches]


def _dataset_row(selection: DatasetSelection, texts: Texts) -> DatasetRow:
    wanted: FileFilter | None = selection.file_filter
    return DatasetRow(
        label=selection.label,
        products=texts.number(selection.products),
        files=texts.number(selection.files),
        size=texts.size(selection.bytes),
        filters=_filters(sorted(wanted.kinds), wanted.name_pattern or "", texts) if wanted else "",
    )


def _filters(kinds: Sequence[str], pattern: str, texts: Texts) -> str:
    """Return which files are ordered, in words; empty if all are."""
    found = []
    if kinds and set(kinds) != set(KINDS):
        found.append(", ".join(texts(f"kind.{kind}") for kind in kinds))
    if pattern:
        found.append(texts("quote.pattern", pattern=pattern))
    return " · ".join(found)


def _progress(quote: StoredQuote, texts: Texts) -> str:
    """Return how far a quote at work is, in words."""
    if quote.selections is None:
        return texts("quote.searching")
    whole = total_of(quote.selections).files
    read = sum(one.found_files for one in quote.tallies)
    needed = sum(min(one.files, files_to_read(one, whole)) for one in quote.selections)
    return texts("quote.reading", read=read, files=texts.count("file", max(read, needed)))


def _picture(document: QuoteDto, texts: Texts) -> QuotePicture:
    files, size = document.files or 0, document.bytes or 0
    limits, awaited = document.limits, document.already_requested
    return QuotePicture(
        lead=texts(
            "quote.lead",
            files=texts.count("file", files),
            size=texts.size(size),
            sub_orders=_range(document, partial(texts.count, "sub-order"), texts),
        ),
        exact=bool(document.exact),
        products=texts.number(document.products or 0),
        files=texts.number(files),
        size=texts.size(size),
        unknown_size=texts.count("file", document.unknown_size) if document.unknown_size else "",
        awaited=texts.count("file", awaited.files) if awaited and awaited.files else "",
        sub_orders_number=_range(document, texts.number, texts),
        at_once=texts.number(document.run_at_once) if document.run_at_once else "",
        time=_time(document, texts),
        level=_level(document.expected, texts),
        life=texts.duration(_span(limits.expires)) if limits else "",
        quota=_quota(document, texts),
        places=list(_places(document, texts)),
        blocks=[_block(one, document, texts) for one in document.blocks or ()],
        advice=_advice(document, texts),
    )


def _range(document: QuoteDto, write: Callable[[int], str], texts: Texts) -> str:
    """Return the number of sub-orders. ``write``: writes the greatest one."""
    bounds = document.sub_orders
    if bounds is None or bounds.min == bounds.max:
        return write(bounds.max if bounds else 0)
    return texts("quote.between", least=texts.number(bounds.min), most=write(bounds.max))


def _time(document: QuoteDto, texts: Texts) -> str:
    expected = document.expected
    if expected is None:
        return texts(f"silence.{document.why}") if document.why else ""
    shortest, longest = _span(expected.shortest), _span(expected.longest)
    if not shortest:
        kind = "at-hand" if expected.level is None else "within"
        return texts(f"quote.{kind}", time=texts.duration(longest))
    return texts("quote.between", least=texts.duration(shortest), most=texts.duration(longest))


def _level(expected: QuotedTime | None, texts: Texts) -> str:
    if expected is None or expected.level is None:
        return ""
    return texts("why.level", level=f"{expected.level:.0%}", samples=expected.samples or 0)


def _quota(document: QuoteDto, texts: Texts) -> str:
    """Return what the download quota leaves, if it has an end."""
    quota = document.limits.download_quota if document.limits else None
    if quota is None or quota.left is None:
        return ""
    return texts("quote.quota", needed=quota.needed, left=quota.left)


def _places(document: QuoteDto, texts: Texts) -> Iterator[PlaceRow]:
    if document.where is None or not document.files:
        return
    begin = 0.0
    for name, tone in _PLACES.items():
        amount = getattr(document.where, name)
        if amount.files:
            text = texts.count("file", amount.files)
            if amount.bytes is not None:
                text += f" · {texts.size(amount.bytes)}"
            share = round(100 * amount.files / document.files, 2)
            yield PlaceRow(texts(f"place.{name}"), tone, round(begin, 2), share, text)
            begin += share


def _block(block: QuoteBlock, document: QuoteDto, texts: Texts) -> BlockRow:
    return BlockRow(texts(f"block.{block.code}", **_values(block, document)), block.hard)


def _values(block: QuoteBlock, document: QuoteDto) -> Mapping[str, Any]:
    """Return the numbers in the text of a block."""
    if block.code == "your-download-needed":
        return {"slots": document.run_at_once or 0}
    if block.code == "download-quota" and document.limits is not None:
        quota = document.limits.download_quota
        return {"left": quota.left or 0, "needed": quota.needed}
    return {}


def _advice(document: QuoteDto, texts: Texts) -> str:
    files, quicklooks = document.files or 0, document.quicklook_files or 0
    if not 0 < quicklooks < files:
        return ""
    return texts("quote.without-quicklooks", files=texts.count("file", files - quicklooks))


def _span(text: str) -> timedelta:
    """Return the length of an ISO 8601 duration."""
    return _DURATION.validate_python(text)
