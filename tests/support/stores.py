"""A store on PostgreSQL for suites that also run on a fake."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from rs_order.adapters.postgres.driver import Pool
from rs_order.adapters.postgres.migrate import migrate_platform
from rs_order.adapters.postgres.pool import open_pool
from rs_order.adapters.postgres.tenants import PostgresTenants
from rs_order.domain.ids import Tenant
from tests.support.servers import fresh_database


@asynccontextmanager
async def migrated_pool(
    admin: asyncpg.Connection, server_url: str, tenant: Tenant
) -> AsyncIterator[tuple[Pool, PostgresTenants]]:
    """An empty database with one tenant, and a pool as a process has it."""
    async with (
        fresh_database(admin, server_url) as url,
        await open_pool(url, size=10) as pool,
    ):
        await migrate_platform(pool)
        tenants = PostgresTenants(pool)
        await tenants.add(tenant)
        yield pool, tenants
