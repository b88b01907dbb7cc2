"""A migrated database with one tenant."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from rs_order.domain.ids import Tenant
from rs_order.store.migrate import migrate_platform
from rs_order.store.pool import Pool, open_pool
from rs_order.store.tenants import Tenants
from tests.support.servers import fresh_database


@asynccontextmanager
async def migrated_pool(
    admin: asyncpg.Connection, server_url: str, tenant: Tenant
) -> AsyncIterator[tuple[Pool, Tenants]]:
    """Create a database with one empty tenant, and open a pool to it."""
    async with (
        fresh_database(admin, server_url) as url,
        await open_pool(url, size=10) as pool,
    ):
        await migrate_platform(pool)
        tenants = Tenants(pool)
        await tenants.add(tenant)
        yield pool, tenants
