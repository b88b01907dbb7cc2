"""An order: the decisions about its status, its expiry date, and its label.

A label has at most 50 characters and is unique for its owner.
"""

from collections.abc import Container
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from rs_order.domain.events import By, Event, EventType, event_message
from rs_order.domain.identity import SERVICE
from rs_order.domain.ids import OrderId, RequestId
from rs_order.domain.instants import wire_instant
from rs_order.domain.moves import ORDER_MOVES, Reason, require_move
from rs_order.domain.states import FileCounters, FileState, OrderStatus

MAX_LABEL = 50


@dataclass(frozen=True, slots=True)
class StatusMove:
    """A status that an order left and the one it took, for its history."""

    before: OrderStatus
    after: OrderStatus
    reason: Reason
    """Stable reason code."""
    actor: str
    """A user's e-mail, or a part of the platform (``storage``, ``rs-order``)."""


@dataclass(slots=True)
class Order:
    """An order whose row the use case has locked."""

    id: OrderId
    owner: str
    role: str
    """Role of the owner in the project when they ordered."""
    correlation_id: str
    status: OrderStatus
    sub_order_hours: int
    """Hours for which storage keeps the files of a sub-order available."""
    expires_at: datetime | None = None
    message: str | None = None
    """Why the order failed, or has no file."""
    sub_orders: int = 0
    waiting_sub_orders: int = 0
    """Sub-orders whose files wait for the owner's download."""
    counters: FileCounters = field(default_factory=FileCounters)
    request_id: RequestId | None = None
    completing: bool = False
    """True while its files are read from the catalog."""
    retrying: bool = False
    """True while its files in error are moved to new sub-orders."""
    front_url: str | None = None
    """Page of the project's site that shows the order; None: no mail was requested (domain.md 16.2)."""
    moves: list[StatusMove] = field(default_factory=list)
    """Since it was loaded or saved."""
    events: list[Event] = field(default_factory=list)
    """Since it was loaded or saved."""

    @property
    def waiting_for_user(self) -> bool:
        return self.waiting_sub_orders > 0

    @property
    def filling(self) -> bool:
        """True while files are added to its sub-orders: it can't end, whatever its counters."""
        return self.completing or self.retrying

    @property
    def percent(self) -> int:
        """The settled share, 0 to 100; 0 until all files are read from the catalog."""
        known = self.status is not OrderStatus.PENDING and (
            self.status is not OrderStatus.PAUSED or self.expires_at is not None
        )
        return self.counters.percent if known else 0

    def needs_new_expiry(self, now: datetime) -> bool:
        """True if the order is final and past its expiry date. A late file then needs a new date."""
        return self.status.final and self.expires_at is not None and self.expires_at <= now

    def move(self, after: OrderStatus, *, reason: Reason, actor: str = SERVICE) -> None:
        """Take another status.

        Raises:
            MoveNotAllowedError: ``ORDER_MOVES`` has no such move for this reason.
        """
        require_move(ORDER_MOVES, f"order {self.id}", self.status, after, reason)
        move = StatusMove(self.status, after, reason, actor)
        self.moves.append(move)
        self.status = after
        self._note_move(move)

    def note(self, type_: EventType, **members: Any) -> None:
        """Add an event, which is written when the order is saved. ``members``: JSON values."""
        self.events.append(Event(type_, members))

    def _note_move(self, move: StatusMove) -> None:
        """Add the event of a move. The end of the completion has an event of its own."""
        if move.after.final:
            message = {"message": event_message(self.message)} if self.message else {}
            self.note(_ENDS[move.after], failed=self.counters.errors, **message)
        elif move.after in _LEFT:
            self.note(_LEFT[move.after])
        elif move.after is OrderStatus.PAUSED:
            self.note(EventType.ORDER_PAUSED, by=By.of(move.actor, self.owner))
        elif move.before is OrderStatus.PAUSED:
            self.note(EventType.ORDER_RESUMED, by=By.of(move.actor, self.owner))
        elif move.reason is Reason.RETRIED:
            self.note(EventType.ORDER_RETRIED, by=By.of(move.actor, self.owner))

    def settle(self, *, reason: Reason, actor: str) -> bool:
        """End a running or paused order once no file is pending (K4); True if that must be announced."""
        active = self.status in (OrderStatus.RUNNING, OrderStatus.PAUSED)
        if not active or self.filling or self.counters.pending:
            return False
        self.move(self.outcome(), reason=reason, actor=actor)
        return True

    def end_retry(self, before: OrderStatus) -> bool:
        """End a retry whose last file has moved; True if the order ends, which must be announced.

        An order without any file gets back its status from ``before`` the retry (W18).
        """
        self.retrying = False
        if self.counters.total_files:
            return self.settle(reason=Reason.RETRY_ENDED, actor=SERVICE)
        self.move(before, reason=Reason.RETRY_ENDED)
        return True

    def improve(self, *, reason: Reason, actor: str) -> bool:
        """Give an order that ended with errors a better status after a late answer (decisions.md).

        Returns:
            True if its status changed, which must be announced.
        """
        better = self.outcome()
        if self.status not in (OrderStatus.FAILED, OrderStatus.DONE_WITH_WARNING):
            return False
        if better in (self.status, OrderStatus.FAILED):
            return False
        self.move(better, reason=reason, actor=actor)
        return True

    def outcome(self) -> OrderStatus:
        """Return the final status that the files give (domain.md 9.2); download errors don't count (K2).

        An order without any file is never DONE (promise 1).
        """
        if not self.counters.total_files:
            return OrderStatus.DONE_WITH_WARNING
        if self.counters.errors == 0:
            return OrderStatus.DONE
        if self.counters.errors == self.counters.total_files:
            return OrderStatus.FAILED
        return OrderStatus.DONE_WITH_WARNING

    def apply_download_errors(self) -> None:
        """Make DONE a DONE_WITH_WARNING if downloads failed and no file is left to download (9.3).

        This is not announced (amqp.md 2.6).
        """
        failed = self.counters.files[FileState.DOWNLOAD_ERROR]
        if self.status is OrderStatus.DONE and failed and not self.counters.available:
            self.move(
                OrderStatus.DONE_WITH_WARNING, reason=Reason.DOWNLOAD_ERRORS, actor=self.owner
            )


_ENDS: Final = {
    OrderStatus.DONE: EventType.ORDER_DONE,
    OrderStatus.DONE_WITH_WARNING: EventType.ORDER_DONE_WITH_WARNING,
    OrderStatus.FAILED: EventType.ORDER_FAILED,
}
_LEFT: Final = {
    OrderStatus.EXPIRED: EventType.ORDER_EXPIRED,
    OrderStatus.DELETED: EventType.ORDER_DELETED,
}


def expiration(
    now: datetime, *, storage_sub_orders: int, sub_order_hours: int, max_hours: int
) -> datetime:
    """Return the expiry date (domain.md 4.7).

    Each sub-order counts with its hours, and so do two more; the tenant's maximum limits the sum.
    Orders of an earlier version may have 0 hours, which stands for that maximum.
    """
    if not sub_order_hours:
        return now + timedelta(hours=max_hours)
    hours = (
        sub_order_hours if storage_sub_orders == 0 else (storage_sub_orders + 2) * sub_order_hours
    )
    return now + timedelta(hours=min(hours, max_hours))


def generated_label(now: datetime) -> str:
    """Return the label of an automatic order (domain.md 4.1)."""
    return f"Generated order {wire_instant(now)}"


def dated_label(now: datetime) -> str:
    """Return the default label (rest.md 7.1), in the time zone of ``now``."""
    return f"Order of {now:%Y/%m/%d at %H:%M:%S}"


def numbered(label: str, number: int) -> str:
    """Return the label followed by `` (2)``, `` (3)`` …, cut to fit; number 1 is the label itself."""
    if number == 1:
        return label
    suffix = f" ({number})"
    return label[: MAX_LABEL - len(suffix)] + suffix


def unique_label(wanted: str, taken: Container[str]) -> str:
    """Return the label, or its first numbered form that is not ``taken`` (W40)."""
    number = 1
    while numbered(wanted, number) in taken:
        number += 1
    return numbered(wanted, number)
