"""The tenants this deployment serves."""

from collections.abc import Sequence

from rs_order.adapters.postgres.driver import Pool
from rs_order.adapters.postgres.migrate import migrate_tenant
from rs_order.adapters.postgres.pool import transaction
from rs_order.adapters.postgres.schema_names import tenant_schema
from rs_order.adapters.postgres.statements import statements
from rs_order.domain.ids import Tenant

SQL = statements("tenants")


class PostgresTenants:
    """Implements :class:`rs_order.ports.store.Tenants`; what it knows is refreshed by :meth:`load`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._hosts: dict[Tenant, str | None] = {}

    async def load(self) -> None:
        """Read again which tenants there are; others may have added or removed some."""
        async with transaction(self._pool, readonly=True) as connection:
            rows = await connection.fetch(SQL["all"])
        self._hosts = {Tenant(row["name"]): row["host"] for row in rows}

    def serves(self, tenant: str) -> bool:
        return tenant in self._hosts

    def names(self) -> Sequence[Tenant]:
        return list(self._hosts)

    async def add(self, name: str, host: str | None = None) -> Tenant:
        """Provision a tenant.

        Raises:
            InvalidTenantNameError: the name can't be part of a schema's name.
        """
        tenant = Tenant(name)
        tenant_schema(tenant)
        await migrate_tenant(self._pool, tenant)
        async with transaction(self._pool) as connection:
            await connection.execute(SQL["add"], tenant, host)
        await self.load()
        return tenant

    async def host(self, tenant: Tenant) -> str | None:
        return self._hosts.get(tenant)

    async def keep_host(self, tenant: Tenant, host: str) -> None:
        if self._hosts.get(tenant) != host:
            async with transaction(self._pool) as connection:
                await connection.execute(SQL["keep_host"], tenant, host)
            self._hosts[tenant] = host
