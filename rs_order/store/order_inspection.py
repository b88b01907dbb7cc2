"""Orders with everything that an operator needs to see why they are as they are."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from rs_order.domain.ids import OrderId, SubOrderId, Tenant
from rs_order.domain.states import FileCounters
from rs_order.store.pool import Pool, Row, reading, statements
from rs_order.store.rows import counters_of

SQL = statements("order_inspection")


@dataclass(frozen=True, slots=True)
class InspectedOrder:
    id: OrderId
    owner: str
    label: str
    correlation_id: str
    status: str
    status_at: datetime
    created_at: datetime
    expires_at: datetime | None
    message: str | None
    sub_orders: int
    counters: FileCounters


@dataclass(frozen=True, slots=True)
class InspectedSubOrder:
    id: SubOrderId
    kind: str
    state: str
    asks: int
    """The number of times that storage was asked for its files."""
    asked_at: datetime | None
    due_at: datetime | None
    quota_exceeded: bool
    counters: FileCounters


@dataclass(frozen=True, slots=True)
class FileReason:
    """A reason that files of an order have in common."""

    state: str
    code: str | None
    reason: str | None
    files: int


@dataclass(frozen=True, slots=True)
class HistoryEvent:
    at: datetime
    sub_order_id: int | None
    before: str | None
    after: str
    reason: str
    actor: str


@dataclass(frozen=True, slots=True)
class OrderDetails:
    """An order with its first sub-orders, its most frequent reasons and its last events."""

    order: InspectedOrder
    sub_orders: Sequence[InspectedSubOrder]
    reasons: Sequence[FileReason]
    history: Sequence[HistoryEvent]


@dataclass(frozen=True, slots=True)
class OrderFilter:
    """The conditions of a list; None is no condition."""

    owner: str | None = None
    status: str | None = None
    label: str | None = None
    correlation_id: str | None = None


class OrderInspection:
    """Reads orders of a tenant. Each method raises StoreUnavailable if the database can't be reached."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def list(
        self, tenant: Tenant, wanted: OrderFilter, *, limit: int, before: OrderId | None = None
    ) -> Sequence[InspectedOrder]:
        """Return orders, newest first. ``before``: only those with a lower id."""
        conditions = (wanted.owner, wanted.status, wanted.label, wanted.correlation_id)
        async with reading(self._pool, tenant) as connection:
            rows = await connection.fetch(SQL["list"], *conditions, before, limit)
        return [_order_of(row) for row in rows]

    async def show(self, tenant: Tenant, order_id: OrderId, *, limit: int) -> OrderDetails | None:
        """Return an order, or None if there is none. ``limit``: the most sub-orders, reasons and events."""
        async with reading(self._pool, tenant) as connection:
            row = await connection.fetchrow(SQL["order"], order_id)
            if row is None:
                return None
            sub_orders = await connection.fetch(SQL["sub_orders"], order_id, limit)
            reasons = await connection.fetch(SQL["reasons"], order_id, limit)
            history = await connection.fetch(SQL["history"], order_id, limit)
        return OrderDetails(
            order=_order_of(row),
            sub_orders=[_sub_order_of(one) for one in sub_orders],
            reasons=[
                FileReason(one["state"], one["code"], one["reason"], one["files"])
                for one in reasons
            ],
            history=[_event_of(one) for one in history],
        )


def _order_of(row: Row) -> InspectedOrder:
    return InspectedOrder(
        id=OrderId(row["id"]),
        owner=row["owner"],
        label=row["label"],
        correlation_id=row["correlation_id"],
        status=row["status"],
        status_at=row["status_at"],
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        message=row["message"],
        sub_orders=row["sub_orders"],
        counters=counters_of(row),
    )


def _sub_order_of(row: Row) -> InspectedSubOrder:
    return InspectedSubOrder(
        id=SubOrderId(row["id"]),
        kind=row["kind"],
        state=row["state"],
        asks=row["asks"],
        asked_at=row["asked_at"],
        due_at=row["due_at"],
        quota_exceeded=row["quota_exceeded"],
        counters=counters_of(row),
    )


def _event_of(row: Row) -> HistoryEvent:
    return HistoryEvent(
        at=row["at"],
        sub_order_id=row["sub_order_id"],
        before=row["before"],
        after=row["after"],
        reason=row["reason"],
        actor=row["actor"],
    )
