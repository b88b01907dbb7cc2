"""Sub-orders: loading, writing back, and the queue of each owner."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from rs_order.adapters.postgres.driver import Connection
from rs_order.adapters.postgres.orders import SQL as ORDER_SQL
from rs_order.adapters.postgres.rows import affected, sub_order_of, sub_order_record
from rs_order.adapters.postgres.schema_names import tenant_schema
from rs_order.adapters.postgres.statements import statements
from rs_order.domain.ids import OrderId, SubOrderId, Tenant
from rs_order.domain.moves import Reason
from rs_order.domain.states import SubOrderState
from rs_order.domain.sub_order import SubOrder
from rs_order.ports.store import ReadySubOrder, ReleasedSubOrder, SubOrderCount

SQL = statements("sub_orders")


class PostgresSubOrders:
    """Implements :class:`rs_order.ports.store.SubOrders`."""

    def __init__(self, connection: Connection, tenant: Tenant) -> None:
        self._connection = connection
        self._tenant = tenant

    async def load(self, ids: Sequence[SubOrderId]) -> list[SubOrder]:
        return [sub_order_of(row) for row in await self._connection.fetch(SQL["load"], ids)]

    async def waiting_of_order(
        self, order_id: OrderId, since: SubOrderId | None = None
    ) -> list[SubOrder]:
        rows = await self._connection.fetch(SQL["waiting_of_order"], order_id, since or 0)
        return [sub_order_of(row) for row in rows]

    async def count_of_order(
        self, order_id: OrderId, since: SubOrderId | None = None
    ) -> SubOrderCount:
        (row,) = await self._connection.fetch(SQL["count_of_order"], order_id, since or 0)
        return SubOrderCount(total=row["total"], storage=row["storage"])

    async def save(
        self, sub_orders: Sequence[SubOrder], *, reason: Reason | None, at: datetime
    ) -> None:
        if not sub_orders:
            return
        rows = await self._connection.fetch(
            SQL["save"], [sub_order_record(sub_order) for sub_order in sub_orders]
        )
        moves = [
            _move(OrderId(row["order_id"]), row["id"], row["before"], row["after"])
            for row in rows
            if row["before"] != row["after"]
        ]
        await self._note(moves, reason=reason, at=at)

    async def stop(
        self, order_id: OrderId, limit: int, *, reason: Reason, at: datetime
    ) -> list[SubOrderId]:
        rows = await self._connection.fetch(SQL["stop"], order_id, limit)
        moves = [
            _move(order_id, row["id"], SubOrderState.RUNNING, SubOrderState.READY) for row in rows
        ]
        await self._note(moves, reason=reason, at=at)
        return [SubOrderId(row["id"]) for row in rows]

    async def remove(self, sub_orders: Sequence[SubOrder], *, reason: Reason, at: datetime) -> None:
        if not sub_orders:
            return
        await self._connection.execute(SQL["remove"], [sub_order.id for sub_order in sub_orders])
        moves = [_move(one.order_id, one.id, one.state, "REMOVED") for one in sub_orders]
        await self._note(moves, reason=reason, at=at)

    async def lock_owner(self, owner: str) -> None:
        await self._connection.execute(SQL["lock_owner"], f"{tenant_schema(self._tenant)}/{owner}")

    async def slots_taken(self, owner: str) -> int:
        return int(await self._connection.fetchval(SQL["slots_taken"], owner))

    async def owners_ready(self) -> list[str]:
        return [row["owner"] for row in await self._connection.fetch(SQL["owners_ready"])]

    async def next_ready(
        self, owner: str, limit: int | None, *, asks_storage: bool = True
    ) -> list[ReadySubOrder]:
        rows = await self._connection.fetch(SQL["next_ready"], owner, limit, asks_storage)
        return [
            ReadySubOrder(SubOrderId(row["id"]), OrderId(row["order_id"]), row["rank"])
            for row in rows
        ]

    async def release(self, order_ids: Sequence[OrderId], limit: int) -> list[ReleasedSubOrder]:
        rows = await self._connection.fetch(SQL["release"], order_ids, limit)
        return [ReleasedSubOrder(SubOrderId(row["id"]), row["owner"]) for row in rows]

    async def delete_slice(self, order_id: OrderId, limit: int) -> int:
        return affected(await self._connection.execute(SQL["delete_slice"], order_id, limit))

    async def _note(
        self, moves: Sequence[dict[str, Any]], *, reason: Reason | None, at: datetime
    ) -> None:
        """Write moves into the history."""
        if moves:
            lines = [{**move, "reason": reason, "actor": "rs-order"} for move in moves]
            await self._connection.execute(ORDER_SQL["add_history"], lines, at)


def _move(order_id: OrderId, sub_order_id: int, before: str, after: str) -> dict[str, Any]:
    return {"order_id": order_id, "sub_order_id": sub_order_id, "before": before, "after": after}
