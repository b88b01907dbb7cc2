"""The holds of tenants, users and orders. The queue of an owner leaves out what is held."""

from collections.abc import Sequence
from datetime import datetime

from rs_order.domain.holds import HeldThing, Hold
from rs_order.domain.ids import OrderId, Tenant
from rs_order.store.errors import store_errors
from rs_order.store.pool import Connection, Pool, Row, single_statement, statements, tenant_schema

SQL = statements("holds")


class Holds:
    """The holds of one tenant, inside a unit of work."""

    def __init__(self, connection: Connection, tenant: Tenant) -> None:
        self._connection = connection
        self._tenant = tenant

    async def lock(self) -> None:
        """Wait for the tenant's passes, and let none begin until the unit of work ends.

        So each pass either ends before a hold is written, or sees it.
        """
        await self._connection.execute(SQL["lock"], tenant_schema(self._tenant))

    async def add(
        self, held: HeldThing, reason: str, by: str, at: datetime, until: datetime
    ) -> Hold:
        (row,) = await self._connection.fetch(
            SQL["add"], self._tenant, held.owner, held.order_id, reason, by, at, until
        )
        return _hold_of(row)

    async def exists(self, held: HeldThing) -> bool:
        """True if the order isn't deleted or expired, or if the user has an order."""
        if held.order_id is not None:
            return await self._connection.fetchval(SQL["owner_to_hold"], held.order_id) is not None
        if held.owner is not None:
            return bool(await self._connection.fetchval(SQL["has_orders"], held.owner))
        return True

    async def owner_of(self, order_id: OrderId) -> str | None:
        """Return the owner of an order; None if it was removed."""
        owner: str | None = await self._connection.fetchval(SQL["owner_of_order"], order_id)
        return owner

    async def end(self, hold_id: int, *, due: datetime | None = None) -> Hold | None:
        """Delete a hold and return it; None if there is none. ``due``: only if its end isn't later."""
        rows = await self._connection.fetch(SQL["end"], self._tenant, hold_id, due)
        return _hold_of(rows[0]) if rows else None


class HoldViews:
    """Reads the holds of all tenants. Each method raises StoreUnavailable."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def list(self, tenant: str | None, *, limit: int, after: int = 0) -> Sequence[Hold]:
        """Return holds by id. ``tenant``: only those of it; ``after``: the last id of the page before."""
        return await self._read("list", tenant, after, limit)

    async def find(self, hold_id: int) -> Hold | None:
        found = await self._read("find", hold_id)
        return found[0] if found else None

    async def _read(self, statement: str, *parameters: object) -> Sequence[Hold]:
        with store_errors():
            async with single_statement(self._pool) as connection:
                rows = await connection.fetch(SQL[statement], *parameters)
        return [_hold_of(row) for row in rows]


def _hold_of(row: Row) -> Hold:
    held = HeldThing(
        Tenant(row["tenant"]), row["owner"], row["order_id"] and OrderId(row["order_id"])
    )
    return Hold(row["id"], held, row["reason"], row["created_by"], row["created_at"], row["until"])
