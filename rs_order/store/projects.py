"""Reads the tenants as operators see them: state, version of the schema, size and maintenance."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from rs_order.domain.ids import Tenant
from rs_order.store.errors import store_errors
from rs_order.store.every_tenant import applied_migrations
from rs_order.store.migrate import migrations
from rs_order.store.pool import Pool, single_statement, statements

SQL = statements("tenants")


@dataclass(frozen=True, slots=True)
class Project:
    """A tenant of this deployment."""

    name: Tenant
    active: bool
    created_at: datetime
    in_maintenance: bool
    maintenance_at: datetime
    """When the maintenance was last switched, or else when the tenant was created."""
    bytes: int
    """Of its tables and indexes on disk."""
    version: str | None
    """Number of the last migration of its schema; None: it has no schema that can be read."""
    missing: int
    """Migrations that this version of the service has and the schema hasn't."""


class Projects:
    """The tenants of the deployment. All calls raise StoreUnavailable."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def page(
        self, names: Sequence[str] | None, *, after: str = "", limit: int
    ) -> list[Project]:
        """Return tenants by name, active or not. ``names``: only these; None: all."""
        with store_errors():
            async with single_statement(self._pool) as connection:
                rows = await connection.fetch(SQL["projects"], names, after, limit)
            applied = await applied_migrations(self._pool, [Tenant(row["name"]) for row in rows])
        known = {migration.number for migration in migrations("tenant")}
        found = []
        for row in rows:
            numbers = applied.get(Tenant(row["name"]), {}).keys()
            version = f"{max(numbers):04}" if numbers else None
            missing = len(known - numbers) if numbers else 0
            found.append(Project(**row, version=version, missing=missing))
        return found
