"""Opens the database of a process and brings its schemas up to date."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from rs_order.app.clock import SystemClock
from rs_order.domain.ids import Tenant
from rs_order.ports import Clock
from rs_order.settings import PREFIX, Settings, SettingsError
from rs_order.store.audit import AuditActor
from rs_order.store.data_rights import grant_data_rights
from rs_order.store.migrate import migrate_platform, migrate_tenants
from rs_order.store.pool import InvalidTenantNameError, Pool, open_pool
from rs_order.store.tenants import Tenants
from rs_order.store.unit_of_work import Store
from rs_order.tenants.connect import ResumeTenantStep


@dataclass(slots=True)
class Database:
    """The connection pool, the tenants in the database, and the clock."""

    pool: Pool
    tenants: Tenants
    clock: Clock

    async def add_tenant(self, name: str, host: str | None, by: AuditActor) -> Tenant:
        """Create a tenant's schema and send the step that resumes the work of an inactive tenant."""
        tenant = await self.tenants.add(name, host, by)
        await Store(self.pool, committed=lambda _: None).send([ResumeTenantStep().to(tenant)])
        return tenant

    async def disable_tenant(self, name: str, by: AuditActor) -> bool:
        """Stop serving a tenant; False if it isn't served. Others may use its share of the capacity."""
        disabled = await self.tenants.disable(name, by)
        if disabled:
            others = [ResumeTenantStep().to(tenant) for tenant in self.tenants.names()]
            await Store(self.pool, committed=lambda _: None).send(others)
        return disabled

    async def grant_data_rights(self, role: str) -> None:
        """Let a role run ``rs-order serve`` without owning anything.

        Raises:
            UnknownRoleError: there is no such role.
        """
        await grant_data_rights(self.pool, role)


@asynccontextmanager
async def open_database(
    settings: Settings, clock: Clock | None = None, *, after_deployment: bool = False
) -> AsyncIterator[Database]:
    """Open the pool and bring the platform schema and the schema of every tenant up to date.

    Args:
        settings: address of the database, and the tenants to add.
        clock: a clock for tests. The default is the system clock.
        after_deployment: no process of the previous version runs any more, so the migrations that
            must wait for its end are also applied.
    """
    pool = await open_pool(
        settings.database_url.get_secret_value(),
        size=settings.database_pool_size,
        statement_cache=settings.database_statement_cache,
    )
    async with pool:
        await migrate_platform(pool, after=after_deployment)
        tenants = Tenants(pool)
        await tenants.load()
        await migrate_tenants(pool, tenants.names(), after=after_deployment)
        try:
            await tenants.add_configured(settings.tenants)
        except InvalidTenantNameError as error:
            raise SettingsError(f"{PREFIX}TENANTS: {error}") from error
        yield Database(pool, tenants, clock or SystemClock())
