"""Prepares orders for the pages, in pure functions."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from rs_order.console.texts import Texts
from rs_order.contracts.progress_bodies import ExpectedDto, ProgressDto, SubOrderProgressDto
from rs_order.core.reason_texts import text_of
from rs_order.core.waiting_orders import Waiting
from rs_order.domain.estimates import Silence
from rs_order.domain.expectations import Expected
from rs_order.domain.states import FileCounters, FileState, OrderStatus
from rs_order.ports import Resource
from rs_order.rest.resources import (
    DELETE_ORDER,
    DOWNLOAD_ORDER,
    PAUSE_ORDER,
    RESTART_ORDER,
    RESUME_ORDER,
    RETRY_ORDER,
)
from rs_order.store.order_pages import ShownOrder

SOON: Final = timedelta(days=1)
"""An expiry that is nearer is shown as urgent."""


@dataclass(frozen=True, slots=True)
class Progress:
    percent: int
    text: str


@dataclass(frozen=True, slots=True)
class Reason:
    text: str
    since: datetime | None
    yours: bool
    """True if only the owner can change it."""


@dataclass(frozen=True, slots=True)
class Range:
    """The times between which it is expected."""

    earliest: datetime
    latest: datetime
    level: str
    """The share of such ranges that held."""
    samples: int


@dataclass(frozen=True, slots=True)
class Expiry:
    at: datetime
    text: str
    soon: bool


@dataclass(frozen=True, slots=True)
class Acts:
    """The acts that are offered: those that the order's status and the visitor's role allow."""

    download: bool
    pause: bool
    resume: bool
    retry: bool
    restart: bool
    delete: bool


@dataclass(frozen=True, slots=True)
class OrderRow:
    id: str
    owner: str
    label: str
    status: OrderStatus
    created_at: datetime
    progress: Progress | None
    """None: its files aren't known."""
    reason: Reason | None
    expected: Range | None
    silence: str | None
    """Why there is no expected time, or None."""
    expires: Expiry | None
    may: Acts
    fetchable: bool
    """The visitor may have its files, and there are some."""


def order_row(
    order: ShownOrder,
    waits: Waiting | None,
    texts: Texts,
    now: datetime,
    may: Callable[[Resource], bool],
    *,
    manages: bool,
) -> OrderRow:
    """Return an order as lists show it.

    Args:
        order: what was read.
        waits: why it waits; None: it is finished.
        texts: the language of the visitor.
        now: the time.
        may: whether the visitor's role may use an endpoint.
        manages: the visitor is its owner or an administrator.
    """
    expected = waits.expected if waits else None
    return OrderRow(
        id=str(order.id),
        owner=order.owner,
        label=order.label,
        status=order.status,
        created_at=order.created_at,
        progress=progress_of(order.files, texts) if order.files_known else None,
        reason=_reason_of(waits, texts) if waits else _end_of(order, texts),
        expected=_range(expected) if isinstance(expected, Expected) else None,
        silence=expected.value if isinstance(expected, Silence) else None,
        expires=expiry_of(order, texts, now),
        may=acts_on(order, may, manages=manages),
        fetchable=manages and order.has_deliverable_files,
    )


def acts_on(order: ShownOrder, may: Callable[[Resource], bool], *, manages: bool) -> Acts:
    status = order.status

    def offered(resource: Resource, holds: bool) -> bool:
        return manages and holds and may(resource)

    return Acts(
        download=offered(DOWNLOAD_ORDER, order.can_be_downloaded),
        pause=offered(PAUSE_ORDER, status.can_be_paused),
        resume=offered(RESUME_ORDER, status is OrderStatus.PAUSED),
        retry=offered(RETRY_ORDER, order.can_be_retried),
        restart=offered(RESTART_ORDER, status.final),
        delete=offered(DELETE_ORDER, status.can_be_deleted),
    )


def progress_of(counters: FileCounters, texts: Texts) -> Progress:
    """Return the settled share, in percent, in files and in bytes; errors are named."""
    total, settled = counters.total_files, counters.total_files - counters.pending
    size, done = counters.total_bytes, counters.total_bytes - counters.bytes[FileState.PENDING]
    text = texts(
        "progress.text",
        settled=settled,
        files=texts.count("file", total),
        done=texts.size(done),
        size=texts.size(size),
    )
    if counters.to_retry:
        text += " · " + texts.count("failed", counters.to_retry)
    return Progress(counters.percent, text)


def expiry_of(order: ShownOrder, texts: Texts, now: datetime) -> Expiry | None:
    """Return until when an order's files are kept; None if it has no date, or no files any more."""
    if order.expires_at is None or order.status.deleted_or_expired:
        return None
    left = order.expires_at - now
    if left <= timedelta():
        return Expiry(order.expires_at, texts("expires.now"), soon=True)
    return Expiry(
        order.expires_at, texts("expires.in", time=texts.duration(left)), soon=left < SOON
    )


def _reason_of(waits: Waiting, texts: Texts) -> Reason:
    reason = waits.reason
    return Reason(text_of(reason, texts.language), reason.since, reason.meaning.your_turn)


def _end_of(order: ShownOrder, texts: Texts) -> Reason | None:
    """Return what a finished order says, if there is more to say than its status."""
    if order.status.deleted_or_expired:
        return Reason(texts(f"end.{order.status}"), None, yours=False)
    found, files = [], order.files
    if order.can_be_downloaded:
        found.append(texts("end.available", files=texts.count("file", files.available)))
    if order.status.can_be_retried and files.to_retry:
        found.append(texts("end.failed", files=texts.count("file", files.to_retry)))
    return Reason(" ".join(found), None, yours=False) if found else None


def _range(expected: Expected | ExpectedDto) -> Range:
    return Range(expected.earliest, expected.latest, f"{expected.level:.0%}", expected.samples)


@dataclass(frozen=True, slots=True)
class SubOrderRow:
    id: str
    state: str
    reason: Reason | None
    expected: Range | None
    percent: int
    text: str
    since: datetime | None


def sub_order_row(
    sub_order: SubOrderProgressDto, texts: Texts, size: str, moved_at: datetime | None
) -> SubOrderRow:
    """Return a sub-order as the page of its order shows it.

    Args:
        sub_order: how far it is.
        texts: the language of the visitor.
        size: its bytes, as text.
        moved_at: when it came to its state; None if it isn't known.
    """
    reason, expected = sub_order.reason, sub_order.expected
    settled = sub_order.files - sub_order.pending_files
    text = texts(
        "progress.files", settled=settled, files=texts.count("file", sub_order.files), size=size
    )
    if sub_order.failed_files:
        text += " · " + texts.count("failed", sub_order.failed_files)
    return SubOrderRow(
        id=str(sub_order.sub_order_id),
        state=sub_order.state,
        reason=Reason(reason.text, reason.since, reason.your_turn) if reason else None,
        expected=_range(expected) if expected else None,
        percent=sub_order.percent,
        text=text,
        since=moved_at or (reason.since if reason else None),
    )


def with_document(row: OrderRow, document: ProgressDto) -> OrderRow:
    """Return the row with reason and times of the progress document, which knows the owner's queue."""
    reason, expected = document.reason, document.expected
    return replace(
        row,
        reason=Reason(reason.text, reason.since, reason.your_turn),
        expected=_range(expected) if expected else None,
        silence=document.why.value if document.why else None,
    )
