"""The log of events (faces.md 4.1): written with the changes, numbered afterwards, read by position.

Sequence numbers follow the order of statements and not that of commits, so a reader that remembers the last
one could miss an event that commits later. So positions are given to committed events, by one process at a
time.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from rs_order.domain.events import Event, EventType, event_id
from rs_order.domain.ids import OrderId, Tenant
from rs_order.domain.order import Order
from rs_order.domain.states import FileCounters, FileState, OrderStatus
from rs_order.ports import MessageKind, Written
from rs_order.store.errors import store_errors
from rs_order.store.outbox import Messages, OutgoingMessage
from rs_order.store.pool import Connection, Pool, statements, transaction
from rs_order.store.tenant_reads import read_rows

SQL = statements("events")
MOST_LOOKED_AT: Final = 5000
"""The most events that one read looks at, to find those of the wanted types."""


class EventWriter:
    """Turns the events of a unit of work into records for the statements that change the orders."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.written = False
        """True if the unit of work has events, which get their positions after its commit."""

    def of_new(
        self,
        order_id: OrderId,
        *,
        owner: str,
        correlation_id: str,
        at: datetime,
        members: Mapping[str, str],
    ) -> dict[str, Any]:
        """Return the record of the first event of a new order. ``members``: what only this type says."""
        self.written = True
        data = {
            "status": OrderStatus.PENDING,
            "percent": 0,
            "files": _files(FileCounters()),
            **members,
            "correlationId": correlation_id,
        }
        event = _record(1, EventType.ORDER_CREATED, data, at)
        return {"order_id": order_id, "owner": owner, **event}

    def of_saved(self, orders: Sequence[Order], at: datetime) -> list[dict[str, Any]]:
        """Return the records of the events of locked orders. They are no longer those of the orders."""
        records = [
            {
                "order_id": order.id,
                "owner": order.owner,
                **_record(number, event.type, _data(order, event), at),
            }
            for order in orders
            for number, event in enumerate(order.events, 1)
        ]
        for order in orders:
            order.events.clear()
        self.written = self.written or bool(records)
        return records

    def number_later(self) -> None:
        """Let events without a position be looked for after the commit: those of a process that died."""
        self.written = True

    async def purge(self, before: datetime, limit: int) -> int:
        """Delete up to ``limit`` of the oldest events that are past their retention. Return their number."""
        return int(await self._connection.fetchval(SQL["purge"], before, limit))


def _data(order: Order, event: Event) -> dict[str, Any]:
    return {
        "status": order.status,
        "percent": order.percent,
        "files": _files(order.counters),
        **event.members,
        "correlationId": order.correlation_id,
    }


def _files(counters: FileCounters) -> dict[str, int]:
    return {
        "total": counters.total_files,
        "available": counters.available,
        "delivered": counters.files[FileState.DOWNLOADED],
        "failed": counters.errors,
    }


def _record(number: int, type_: EventType, data: dict[str, Any], at: datetime) -> dict[str, Any]:
    """Return an event as one of those of a statement. ``number``: among those of its order, from 1."""
    return {"event_id": str(event_id(at)), "number": number, "type": type_, "data": data}


@dataclass(frozen=True, slots=True)
class CommittedEvent:
    """An event that gets its position."""

    id: UUID
    position: int
    order_id: OrderId
    ordinal: int
    type: str
    data: Mapping[str, Any]
    """As far as it was known at the commit."""
    at: datetime


@dataclass(frozen=True, slots=True)
class Numbered:
    """The result of numbering."""

    events: int
    last: int
    """The last position of the log."""


@dataclass(frozen=True, slots=True)
class LogState:
    """How far a log has come."""

    position: int
    """The last position."""
    purged: int
    """The last position that was deleted."""
    overdue: bool
    """True if events wait for their positions longer than a commit of a living process lets them."""


@dataclass(frozen=True, slots=True)
class LoggedEvent:
    """An event as readers get it."""

    position: int
    type: str
    """Without prefix. A later version of this service may write types that this one doesn't know."""
    order_id: OrderId
    owner: str
    body: str
    """The CloudEvent, as JSON."""


@dataclass(frozen=True, slots=True)
class EventPage:
    """The next events of a reader."""

    events: tuple[LoggedEvent, ...]
    position: int
    """The one to continue after."""
    purged: int


@dataclass(frozen=True, slots=True)
class EventFilter:
    """The events that a reader wants. None: all."""

    owner: str | None = None
    order_id: OrderId | None = None
    types: Collection[EventType] | None = None

    def matches(self, event: LoggedEvent) -> bool:
        """True if the reader wants the event."""
        return (
            (self.owner is None or event.owner == self.owner)
            and (self.order_id is None or event.order_id == self.order_id)
            and (self.types is None or event.type in self.types)
        )


class EventLog:
    """The log of each tenant. All calls raise StoreUnavailable."""

    def __init__(
        self,
        pool: Pool,
        committed: Callable[[Written], None] = lambda _: None,
        *,
        published: bool = False,
    ) -> None:
        """Set where the logs are.

        Args:
            pool: the database.
            committed: called after each commit that wrote to the outbox, with what it wrote.
            published: write each event to the outbox, too, in the commit that gives it its position.
        """
        self._pool = pool
        self._committed = committed
        self._published = published

    async def number(
        self, tenant: Tenant, compose: Callable[[CommittedEvent], str], limit: int
    ) -> Numbered:
        """Number up to ``limit`` committed events. ``compose`` returns what all readers get of one."""
        written: Written | None = None
        with store_errors():
            async with transaction(
                self._pool, tenant, generic_plans=True, first=[SQL["lock_log"]]
            ) as connection:
                rows = await connection.fetch(SQL["unnumbered"], limit)
                last: int = rows[0]["last"]
                events = {
                    row["id"]: CommittedEvent(
                        id=row["event_id"],
                        position=last + number,
                        order_id=OrderId(row["order_id"]),
                        ordinal=row["ordinal"],
                        type=row["type"],
                        data=row["data"],
                        at=row["created_at"],
                    )
                    for number, row in enumerate(rows, 1)
                    if row["id"] is not None
                }
                bodies = [compose(one) for one in events.values()]
                if events:
                    await connection.execute(
                        SQL["number"],
                        list(events),
                        [one.position for one in events.values()],
                        bodies,
                    )
                if events and self._published:
                    sending = Messages(connection, tenant, {})
                    messages = [_message(tenant, one) for one in events.values()]
                    await sending.send_composed(messages, bodies)
                    written = sending.written
        if written:
            self._committed(written)
        return Numbered(len(events), last + len(events))

    async def state(self, tenant: Tenant, before: datetime) -> LogState:
        """Return how far the log has come. ``before``: an event that was written earlier is overdue."""
        (row,) = await read_rows(self._pool, tenant, SQL["state"], before)
        return LogState(row["position"], row["purged"], row["overdue"])

    async def page(self, tenant: Tenant, wanted: EventFilter, after: int, limit: int) -> EventPage:
        """Return up to ``limit`` events behind a position, the oldest first.

        There may be fewer, and more behind the position that the page ends at.
        """
        types = None if wanted.types is None else sorted(wanted.types)
        most = limit if types is None else max(limit, MOST_LOOKED_AT)
        name, parameters = _selection(wanted)
        rows = await read_rows(
            self._pool, tenant, SQL[name], after, types, limit, most, *parameters
        )
        events = tuple(
            LoggedEvent(
                row["position"],
                row["type"],
                OrderId(row["order_id"]),
                row["owner"],
                row["body"],
            )
            for row in rows
            if row["position"] is not None
        )
        looked_to = rows[0]["looked_to"]
        end = events[-1].position if len(events) == limit else looked_to or rows[0]["last"]
        return EventPage(events, max(after, end), rows[0]["purged"])


def _message(tenant: Tenant, event: CommittedEvent) -> OutgoingMessage:
    """Return the message of an event, whose body is its CloudEvent.

    The stream is that of the order's events alone: their writer holds the lock of the log, and not that of
    the order.
    """
    return OutgoingMessage(
        kind=MessageKind.ORDER_EVENT,
        tenant=tenant,
        body={},
        stream=f"{tenant}/events/{event.order_id}",
        message_id=event.id,
    )


def _selection(wanted: EventFilter) -> tuple[str, tuple[object, ...]]:
    """Return the name of the statement, and its further parameters."""
    if wanted.order_id is not None:
        return "page_of_order", (wanted.owner, wanted.order_id)
    return ("page", ()) if wanted.owner is None else ("page_of_owner", (wanted.owner,))
