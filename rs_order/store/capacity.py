"""The capacity of the service: how many sub-orders of all tenants storage works on at a time."""

from collections.abc import Sequence
from datetime import datetime

from rs_order.domain.ids import SubOrderId, Tenant
from rs_order.store.pool import Connection, statements

SQL = statements("capacity")


class Capacity:
    """The sub-orders of all tenants that use the capacity, and the owners who wait for some."""

    def __init__(self, connection: Connection, tenant: Tenant) -> None:
        self._connection = connection
        self._tenant = tenant

    async def lock(self) -> None:
        """Let only this unit of work acquire and release capacity until it ends."""
        await self._connection.execute(SQL["lock"])

    async def used(self) -> int:
        """Return how many sub-orders of active tenants storage was asked for and has not settled."""
        return int(await self._connection.fetchval(SQL["used"]))

    async def acquire(self, owner: str, sub_orders: Sequence[SubOrderId]) -> None:
        await self._connection.execute(SQL["acquire"], self._tenant, owner, sub_orders)

    async def release(self, sub_orders: Sequence[SubOrderId]) -> None:
        if sub_orders:
            await self._connection.execute(SQL["release"], self._tenant, sub_orders)

    async def wait(self, owner: str, rank: datetime) -> None:
        """Put an owner into the queue for capacity, with the rank of their next ready sub-order."""
        await self._connection.execute(SQL["wait"], self._tenant, owner, rank)

    async def next_waiters(self, limit: int) -> list[tuple[Tenant, str]]:
        """Remove the next owners from the queue and return them.

        Owners with fewer running sub-orders come first, then those with a lower rank.
        """
        rows = await self._connection.fetch(SQL["next_waiters"], limit)
        return [(Tenant(row["tenant"]), row["owner"]) for row in rows]
