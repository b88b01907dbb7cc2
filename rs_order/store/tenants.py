"""The tenants this deployment serves."""

from collections.abc import Callable, Sequence
from datetime import datetime

from rs_order.domain.ids import Tenant
from rs_order.store.errors import store_errors
from rs_order.store.migrate import migrate_tenant
from rs_order.store.pool import Pool, transaction
from rs_order.store.schema_names import tenant_schema
from rs_order.store.statements import statements

SQL = statements("tenants")


class Tenants:
    """The tenants this deployment serves; they come and go while it runs."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._hosts: dict[Tenant, str | None] = {}
        self._away: frozenset[str] = frozenset()
        self._changed: Callable[[], None] = lambda: None

    def watch(self, changed: Callable[[], None]) -> None:
        """Have a function called whenever this process learns that tenants came or went."""
        self._changed = changed

    async def load(self) -> None:
        """Read again which tenants there are; others may have added or removed some."""
        with store_errors():
            async with transaction(self._pool, readonly=True) as connection:
                rows = await connection.fetch(SQL["all"])
        known = self._hosts.keys()
        self._hosts = {Tenant(row["name"]): row["host"] for row in rows if row["active"]}
        self._away = frozenset(row["name"] for row in rows if not row["active"])
        if known != self._hosts.keys():
            self._changed()

    def serves(self, tenant: str) -> bool:
        return tenant in self._hosts

    def is_inactive(self, tenant: str) -> bool:
        """Whether it was served once and went; what it has stays until it comes again."""
        return tenant in self._away

    def names(self) -> Sequence[Tenant]:
        return list(self._hosts)

    async def add(self, name: str, host: str | None = None) -> Tenant:
        """Provision a tenant.

        Raises:
            InvalidTenantNameError: the name can't be part of a schema's name.
        """
        await self._provision(name, host, None)
        return Tenant(name)

    async def activate(self, name: str, said_at: datetime) -> bool:
        """Provision a tenant, unless the platform said something newer of it.

        Raises:
            InvalidTenantNameError: the name can't be part of a schema's name.
        """
        with store_errors():
            return await self._provision(name, None, said_at)

    async def deactivate(self, name: str, said_at: datetime) -> bool:
        """Serve a tenant no more, unless the platform said something newer of it.

        Raises:
            InvalidTenantNameError: the name can't be a tenant's.
        """
        tenant_schema(Tenant(name))
        with store_errors():
            async with transaction(self._pool) as connection:
                gone = await connection.fetchval(SQL["deactivate"], name, said_at)
            await self.load()
        return gone is not None

    def host(self, tenant: Tenant) -> str | None:
        """Return the public address of the project as far as this process knows it; never reads the store."""
        return self._hosts.get(tenant)

    async def keep_host(self, tenant: Tenant, host: str) -> None:
        """Store the public address of the project, unless this process knows that it is stored."""
        if self._hosts.get(tenant) != host:
            with store_errors():
                async with transaction(self._pool) as connection:
                    await connection.execute(SQL["keep_host"], tenant, host)
            self._hosts[tenant] = host

    def remember_host(self, tenant: Tenant, host: str) -> None:
        """Take over an address that was read from the store elsewhere."""
        if tenant in self._hosts:
            self._hosts[tenant] = host

    async def _provision(self, name: str, host: str | None, said_at: datetime | None) -> bool:
        """Whether the tenant is active by this; its schema is there in any case."""
        tenant = Tenant(name)
        tenant_schema(tenant)
        await migrate_tenant(self._pool, tenant)
        async with transaction(self._pool) as connection:
            added = await connection.fetchval(SQL["add"], tenant, host, said_at)
        await self.load()
        return added is not None
