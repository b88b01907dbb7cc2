"""Maintenance mode as a column of the platform's table of tenants."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from rs_order.domain.ids import Tenant
from rs_order.store.errors import store_errors
from rs_order.store.pool import Pool, transaction
from rs_order.store.schema_names import is_tenant_name
from rs_order.store.statements import statements

SQL = statements("maintenance")


@dataclass(frozen=True, slots=True)
class MaintenanceState:
    active: bool
    since: datetime
    """When it was last switched, else when the tenant came."""


class Maintenance:
    """Kept in the database, so that all instances agree (decisions.md).

    Each method raises StoreUnavailable when the database gives no answer.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def covers(self, tenant: str) -> bool:
        """Whether a tenant is in maintenance now; one that isn't served is not."""
        if not is_tenant_name(tenant):
            return False
        with store_errors():
            async with transaction(self._pool, readonly=True) as connection:
                return bool(await connection.fetchval(SQL["covers"], tenant))

    async def all(self) -> Mapping[Tenant, MaintenanceState]:
        """The state of every tenant that is served."""
        with store_errors():
            async with transaction(self._pool, readonly=True) as connection:
                rows = await connection.fetch(SQL["all"])
        return {Tenant(row["name"]): MaintenanceState(row["active"], row["at"]) for row in rows}

    async def switch(self, tenant: str, *, active: bool, at: datetime) -> bool:
        """Put a tenant in maintenance or take it out; False for one that isn't served."""
        if not is_tenant_name(tenant):
            return False
        with store_errors():
            async with transaction(self._pool) as connection:
                row = await connection.fetchval(SQL["switch"], tenant, active, at)
        return row is not None
