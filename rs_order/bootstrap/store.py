"""The database side of a process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from rs_order.adapters.postgres.driver import Pool
from rs_order.adapters.postgres.migrate import migrate_platform, migrate_tenant
from rs_order.adapters.postgres.pool import open_pool
from rs_order.adapters.postgres.schema_names import InvalidTenantNameError
from rs_order.adapters.postgres.tenants import PostgresTenants
from rs_order.adapters.postgres.unit_of_work import PostgresStore
from rs_order.adapters.system_clock import SystemClock
from rs_order.application import steps
from rs_order.domain.ids import Tenant
from rs_order.ports.clock import Clock
from rs_order.settings import PREFIX, Settings, SettingsError


@dataclass(slots=True)
class Store:
    """The database side of a process."""

    pool: Pool
    tenants: PostgresTenants
    clock: Clock

    async def add_tenant(self, name: str, host: str | None) -> Tenant:
        """Provision a tenant; whoever serves it makes up for what it missed, if it was away."""
        tenant = await self.tenants.add(name, host)
        await PostgresStore(self.pool, committed=lambda: None).send([steps.wake_tenant(tenant)])
        return tenant


@asynccontextmanager
async def open_store(settings: Settings, clock: Clock | None = None) -> AsyncIterator[Store]:
    """The pool, with the platform schema up to date and every tenant known and up to date."""
    pool = await open_pool(
        settings.database_url.get_secret_value(),
        size=settings.database_pool_size,
        statement_cache=settings.database_statement_cache,
    )
    async with pool:
        await migrate_platform(pool)
        tenants = PostgresTenants(pool)
        await tenants.load()
        for tenant in tenants.names():
            await migrate_tenant(pool, tenant)
        for name in settings.tenants:
            await _add_configured(tenants, name)
        yield Store(pool, tenants, clock or SystemClock())


async def _add_configured(tenants: PostgresTenants, name: str) -> None:
    try:
        await tenants.add(name)
    except InvalidTenantNameError as error:
        raise SettingsError(f"{PREFIX}TENANTS: {error}") from error
