"""Sub-orders: loading, writing back, and the queue of each owner."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rs_order.domain.identity import SERVICE
from rs_order.domain.ids import OrderId, SubOrderId, Tenant
from rs_order.domain.moves import Reason
from rs_order.domain.states import SubOrderState
from rs_order.domain.sub_order import SubOrder
from rs_order.store.orders import SQL as ORDER_SQL
from rs_order.store.pool import Connection
from rs_order.store.rows import affected, sub_order_of, sub_order_record
from rs_order.store.schema_names import tenant_schema
from rs_order.store.statements import statements

SQL = statements("sub_orders")


@dataclass(frozen=True, slots=True)
class SubOrderCount:
    """How many sub-orders an order has, and how many of them give it time to live."""

    total: int
    storage: int
    """Those of stored files and of processes; not those of files attached to a processed dataset."""


@dataclass(frozen=True, slots=True)
class ReadySubOrder:
    id: SubOrderId
    order_id: OrderId
    rank: datetime


@dataclass(frozen=True, slots=True)
class ReleasedSubOrder:
    """One that ran, processed or waited, and is deleted."""

    id: SubOrderId
    owner: str


class SubOrders:
    """The sub-orders of a tenant, and the queue of each owner."""

    def __init__(self, connection: Connection, tenant: Tenant) -> None:
        self._connection = connection
        self._tenant = tenant

    async def load(self, ids: Sequence[SubOrderId]) -> list[SubOrder]:
        """Sub-orders by ascending id, in orders that the caller has locked."""
        return [sub_order_of(row) for row in await self._connection.fetch(SQL["load"], ids)]

    async def waiting_of_order(
        self, order_id: OrderId, since: SubOrderId | None = None
    ) -> list[SubOrder]:
        """Those, from an id on, whose files wait for the user's download, by ascending id."""
        rows = await self._connection.fetch(SQL["waiting_of_order"], order_id, since or 0)
        return [sub_order_of(row) for row in rows]

    async def count_of_order(
        self, order_id: OrderId, since: SubOrderId | None = None
    ) -> SubOrderCount:
        """Those of an order, from an id on."""
        (row,) = await self._connection.fetch(SQL["count_of_order"], order_id, since or 0)
        return SubOrderCount(total=row["total"], storage=row["storage"])

    async def save(self, sub_orders: Sequence[SubOrder], at: datetime) -> None:
        """Write sub-orders back, and their moves to the history."""
        if not sub_orders:
            return
        await self._connection.execute(
            SQL["save"], [sub_order_record(sub_order) for sub_order in sub_orders]
        )
        await self._add_history(
            [
                _move(one.order_id, one.id, move.before, move.after, move.reason)
                for one in sub_orders
                for move in one.moves
            ],
            at,
        )
        for sub_order in sub_orders:
            sub_order.moves.clear()

    async def stop(
        self, order_id: OrderId, limit: int, *, reason: Reason, at: datetime
    ) -> list[SubOrderId]:
        """Make up to ``limit`` running sub-orders of a locked order READY again, their ranks kept; which."""
        rows = await self._connection.fetch(SQL["stop"], order_id, limit)
        moves = [
            _move(order_id, row["id"], SubOrderState.RUNNING, SubOrderState.READY, reason)
            for row in rows
        ]
        await self._add_history(moves, at)
        return [SubOrderId(row["id"]) for row in rows]

    async def remove(self, sub_orders: Sequence[SubOrder], *, reason: Reason, at: datetime) -> None:
        """Delete sub-orders that have lost every file; the history ends with ``REMOVED``."""
        if not sub_orders:
            return
        await self._connection.execute(SQL["remove"], [sub_order.id for sub_order in sub_orders])
        moves = [_move(one.order_id, one.id, one.state, "REMOVED", reason) for one in sub_orders]
        await self._add_history(moves, at)

    async def lock_owner(self, owner: str) -> None:
        """Only one scheduling round of an owner at a time, until the unit of work ends."""
        await self._connection.execute(SQL["lock_owner"], f"{tenant_schema(self._tenant)}/{owner}")

    async def slots_taken(self, owner: str) -> int:
        """Sub-orders that count against the owner's limit (domain.md 6.1)."""
        return int(await self._connection.fetchval(SQL["slots_taken"], owner))

    async def owners_ready(self) -> list[str]:
        """Owners who have a ready sub-order."""
        return [row["owner"] for row in await self._connection.fetch(SQL["owners_ready"])]

    async def next_ready(
        self, owner: str, limit: int | None, *, asks_storage: bool = True
    ) -> list[ReadySubOrder]:
        """The owner's next sub-orders of running orders by rank.

        Args:
            owner: whose.
            limit: at most so many; None: all of them.
            asks_storage: those that need a slot, or those that need none to start: processes of
                external files.
        """
        rows = await self._connection.fetch(SQL["next_ready"], owner, limit, asks_storage)
        return [
            ReadySubOrder(SubOrderId(row["id"]), OrderId(row["order_id"]), row["rank"])
            for row in rows
        ]

    async def release(self, order_ids: Sequence[OrderId], limit: int) -> list[ReleasedSubOrder]:
        """Delete up to ``limit`` sub-orders of gone orders that run, process or wait: nothing follows."""
        rows = await self._connection.fetch(SQL["release"], order_ids, limit)
        return [ReleasedSubOrder(SubOrderId(row["id"]), row["owner"]) for row in rows]

    async def delete_slice(self, order_id: OrderId, limit: int) -> int:
        """Delete up to ``limit`` sub-orders of an order; how many went."""
        return affected(await self._connection.execute(SQL["delete_slice"], order_id, limit))

    async def _add_history(self, moves: Sequence[dict[str, Any]], at: datetime) -> None:
        if moves:
            await self._connection.execute(ORDER_SQL["add_history"], moves, at)


def _move(
    order_id: OrderId, sub_order_id: int, before: str, after: str, reason: Reason
) -> dict[str, Any]:
    """Return a line of the history."""
    return {
        "order_id": order_id,
        "sub_order_id": sub_order_id,
        "before": before,
        "after": after,
        "reason": reason,
        "actor": SERVICE,
    }
