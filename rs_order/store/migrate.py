"""Brings the platform schema and the tenants' schemas to the version of this code.

Files in ``migrations/<kind>/NNNN_<what>.sql`` are applied in order, each once per schema; the last one
applied is noted in the schema's ``schema_version``. Several instances may start at once: the first takes
the lock, the others find nothing left to do.
"""

from importlib.resources import files

import structlog

from rs_order.domain.ids import Tenant
from rs_order.store.pool import Connection, Pool
from rs_order.store.schema_names import PLATFORM_SCHEMA, tenant_schema

_LOCK = 7226_0001
_LOCK_TIMEOUT = "60s"
"""For a table that somebody uses; he is waited for no longer, since others wait behind us."""
_PATIENCE_SECONDS = 24 * 3600.0
"""An index on a large table takes its time; so does whoever waits for the instance that makes it."""
log = structlog.get_logger(__name__)


def migrations(kind: str) -> list[tuple[int, str, str]]:
    """Number, name and text of each migration of a kind (``platform``, ``tenant``), oldest first."""
    folder = files(__package__).joinpath("migrations", kind)
    found = [
        (int(file.name.split("_", 1)[0]), file.name, file.read_text(encoding="utf-8"))
        for file in folder.iterdir()
        if file.name.endswith(".sql")
    ]
    return sorted(found)


async def migrate_platform(pool: Pool) -> None:
    """Create or update what all tenants share."""
    async with pool.acquire() as connection:
        await _migrate(connection, "platform", PLATFORM_SCHEMA)


async def migrate_tenant(pool: Pool, tenant: Tenant) -> None:
    """Create or update the schema of one tenant.

    Raises:
        InvalidTenantNameError: the name can't be part of a schema's name.
    """
    async with pool.acquire() as connection:
        await _migrate(connection, "tenant", tenant_schema(tenant))


async def _migrate(connection: Connection, kind: str, schema: str) -> None:
    async with connection.transaction():
        await connection.execute(
            "select pg_advisory_xact_lock($1)", _LOCK, timeout=_PATIENCE_SECONDS
        )
        await connection.execute(f"set local lock_timeout = '{_LOCK_TIMEOUT}'")
        await connection.execute(f"create schema if not exists {schema}")
        await connection.execute("select set_config('search_path', $1, true)", schema)
        await connection.execute(
            "create table if not exists schema_version "
            "(version integer primary key, name text not null, applied_at timestamptz not null default now())"
        )
        done: int = await connection.fetchval(
            "select coalesce(max(version), 0) from schema_version"
        )
        for version, name, text in migrations(kind):
            if version <= done:
                continue
            await connection.execute(text, timeout=_PATIENCE_SECONDS)
            await connection.execute(
                "insert into schema_version (version, name) values ($1, $2)", version, name
            )
            log.info("schema-migrated", schema=schema, migration=name)
