"""Migrated databases with empty tenants."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from urllib.parse import urlsplit

import asyncpg

from rs_order.domain.ids import Tenant
from rs_order.store.migrate import migrate_platform
from rs_order.store.pool import Pool, open_pool
from rs_order.store.tenants import Tenants
from tests.support.servers import fresh_database


class MigratedDatabases:
    """Makes databases with given tenants. Those with the same tenants are copies of one that was migrated."""

    def __init__(
        self, admin: asyncpg.Connection, server_url: str, lifetime: AsyncExitStack
    ) -> None:
        """``lifetime``: closing it drops the databases that are copied."""
        self._admin = admin
        self._server_url = server_url
        self._lifetime = lifetime
        self._templates: dict[tuple[Tenant, ...], str] = {}

    @asynccontextmanager
    async def url(self, *tenants: Tenant) -> AsyncIterator[str]:
        """Create a database with empty tenants and yield its URL. Drop it in the end."""
        if tenants not in self._templates:
            self._templates[tenants] = await self._migrated(tenants)
        template = self._templates[tenants]
        async with fresh_database(self._admin, self._server_url, template) as url:
            yield url

    @asynccontextmanager
    async def pool(self, *tenants: Tenant, size: int = 10) -> AsyncIterator[tuple[Pool, Tenants]]:
        """Create such a database, and open a pool to it."""
        async with self.url(*tenants) as url, await open_pool(url, size=size) as pool:
            served = Tenants(pool)
            await served.load()
            yield pool, served

    async def _migrated(self, tenants: tuple[Tenant, ...]) -> str:
        """Create and migrate a database, and return its name."""
        url = await self._lifetime.enter_async_context(
            fresh_database(self._admin, self._server_url)
        )
        async with await open_pool(url, size=1) as pool:
            await migrate_platform(pool)
            for tenant in tenants:
                await Tenants(pool).add(tenant)
        return urlsplit(url).path.lstrip("/")
