"""Maintenance mode as a column of the platform's table of tenants."""

from collections.abc import Mapping
from datetime import datetime

from rs_order.adapters.postgres.driver import Pool
from rs_order.adapters.postgres.errors import store_errors
from rs_order.adapters.postgres.pool import transaction
from rs_order.adapters.postgres.schema_names import is_tenant_name
from rs_order.adapters.postgres.statements import statements
from rs_order.domain.ids import Tenant
from rs_order.ports.maintenance import MaintenanceState

SQL = statements("maintenance")


class PostgresMaintenance:
    """Implements :class:`rs_order.ports.maintenance.Maintenance`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def covers(self, tenant: str) -> bool:
        if not is_tenant_name(tenant):
            return False
        with store_errors():
            async with transaction(self._pool, readonly=True) as connection:
                return bool(await connection.fetchval(SQL["covers"], tenant))

    async def all(self) -> Mapping[Tenant, MaintenanceState]:
        with store_errors():
            async with transaction(self._pool, readonly=True) as connection:
                rows = await connection.fetch(SQL["all"])
        return {Tenant(row["name"]): MaintenanceState(row["active"], row["at"]) for row in rows}

    async def switch(self, tenant: str, *, active: bool, at: datetime) -> bool:
        if not is_tenant_name(tenant):
            return False
        with store_errors():
            async with transaction(self._pool) as connection:
                row = await connection.fetchval(SQL["switch"], tenant, active, at)
        return row is not None
