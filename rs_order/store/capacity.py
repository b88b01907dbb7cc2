"""The limit of the service over all tenants: who runs, and who waits for a place."""

from collections.abc import Sequence
from datetime import datetime

from rs_order.domain.ids import SubOrderId, Tenant
from rs_order.store.pool import Connection
from rs_order.store.statements import statements

SQL = statements("limits")


class Limits:
    """What the limit of the service needs to know of all tenants."""

    def __init__(self, connection: Connection, tenant: Tenant) -> None:
        self._connection = connection
        self._tenant = tenant

    async def lock(self) -> None:
        await self._connection.execute(SQL["lock"])

    async def running(self) -> int:
        """Sub-orders asked of storage and not settled, in all tenants."""
        return int(await self._connection.fetchval(SQL["running"]))

    async def started(self, owner: str, sub_orders: Sequence[SubOrderId]) -> None:
        await self._connection.execute(SQL["started"], self._tenant, owner, sub_orders)

    async def ended(self, sub_orders: Sequence[SubOrderId]) -> None:
        if sub_orders:
            await self._connection.execute(SQL["ended"], self._tenant, sub_orders)

    async def wait(self, owner: str, rank: datetime) -> None:
        """The owner has a sub-order ready, but the service is at its limit."""
        await self._connection.execute(SQL["wait"], self._tenant, owner, rank)

    async def next_users(self, limit: int) -> list[tuple[Tenant, str]]:
        """Take the users whose turn it is: fewest running sub-orders first, then by rank."""
        rows = await self._connection.fetch(SQL["next_users"], limit)
        return [(Tenant(row["tenant"]), row["owner"]) for row in rows]
