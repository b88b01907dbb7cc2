"""Brings the platform schema and the tenants' schemas to the version of this code.

Each file ``migrations/<kind>/NNNN_<what>.<stage>.sql`` is applied once per schema, which records it in its
table ``schema_version``. The stage says when that is safe:

- ``before`` the deployment: processes of the previous version go on working with the new schema. The start
  and ``rs-order migrate`` apply it.
- ``after`` the deployment: only when no process of the previous version is left. Only
  ``rs-order migrate --after`` applies it.

Several instances may start at once: the first takes the lock of a schema, the others find nothing left to do
there. A schema that is up to date is only read, so a role that may change no schema can start a process
(decision 0030).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib.resources import files

import asyncpg
import structlog
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_fixed

from rs_order.concurrency import together
from rs_order.domain.ids import Tenant
from rs_order.store.data_rights import lacks_rights, recorded_migrations, role_of
from rs_order.store.every_tenant import applied_migrations
from rs_order.store.pool import LONGEST_IDLE_MS, PLATFORM_SCHEMA, Connection, Pool, tenant_schema

_LOCK = 7226_0001
"""Held alone while the platform's schema changes, and shared while a tenant's does."""
LOCK_OF_A_SCHEMA = 7226_0004
"""With the hash of the schema's name. It is the first of two keys, so it never meets `_LOCK`."""
_LOCK_TIMEOUT = "2s"
"""The longest wait for a table that is in use.

Other statements queue behind a migration that waits. So it gives up before they do, and tries again.
"""
_ATTEMPTS = 30
_PAUSE_SECONDS = 1
_IN_USE = (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError)
"""A running process uses tables that a migration changes. Nothing was changed."""
_TIMEOUT_SECONDS = 24 * 3600.0
"""For one migration, such as an index on a large table, and for the instances that wait for it."""
_SCHEMAS_AT_ONCE = 4
"""Schemas that are changed at the same time, so that the cores of the database share the work."""
_ACTIVE_TENANTS = "select name from rs_order.tenant where active order by name"
_NAME = re.compile(r"(\d{4})_\w+\.(before|after)\.sql")

log = structlog.get_logger(__name__)


class MigrationError(Exception):
    """A schema can't be brought to the version of this code; the text says why and what to do."""

    code = "migration-refused"


class Stage(StrEnum):
    """When a migration is safe, relative to the deployment of the version that it belongs to."""

    BEFORE = "before"
    AFTER = "after"


@dataclass(frozen=True, slots=True)
class Migration:
    number: int
    name: str
    stage: Stage
    text: str

    @classmethod
    def of(cls, name: str, text: str) -> "Migration":
        """Read number and stage from the name of a file.

        Raises:
            MigrationError: the name isn't ``NNNN_<what>.before.sql`` or ``NNNN_<what>.after.sql``.
        """
        found = _NAME.fullmatch(name)
        if found is None:
            raise MigrationError(f"{name} is no name of a migration: NNNN_<what>.before|after.sql")
        return cls(int(found[1]), name, Stage(found[2]), text)


def migrations(kind: str) -> list[Migration]:
    """Return the migrations of a kind (``platform``, ``tenant``) in numeric order."""
    folder = files(__package__).joinpath("migrations", kind)
    found = [
        Migration.of(file.name, file.read_text(encoding="utf-8"))
        for file in folder.iterdir()
        if file.name.endswith(".sql")
    ]
    return sorted(found, key=lambda migration: migration.number)


def pending(
    known: Sequence[Migration], applied: Mapping[int, str], *, after: bool, in_use: bool
) -> list[Migration]:
    """Return the migrations to apply now, in numeric order. A gap in what was applied is filled.

    An ``after`` migration that precedes a ``before`` one belongs to an earlier version. A schema in use
    doesn't get it by itself, since processes of a still earlier version may be running; a schema that
    no process uses does.

    Args:
        known: all migrations, in numeric order.
        applied: names by number, as the schema records them.
        after: the operator states that no process of the previous version is left.
        in_use: a process may be working with the schema.

    Raises:
        MigrationError: the schema has another migration of a number, or needs an ``after`` one first.
    """
    for migration in known:
        recorded = applied.get(migration.number, migration.name)
        if recorded != migration.name:
            raise MigrationError(
                f"The schema has {recorded} where this version has {migration.name}: "
                "it was made by another program or by an unreleased version"
            )
    missing = [migration for migration in known if migration.number not in applied]
    if after:
        return missing
    last = max((one.number for one in missing if one.stage is Stage.BEFORE), default=0)
    now = [migration for migration in missing if migration.number <= last]
    overdue = [migration for migration in now if migration.stage is Stage.AFTER]
    if overdue and in_use:
        raise MigrationError(
            f"{overdue[0].name} of an earlier version isn't applied. Run 'rs-order migrate --after' with the "
            "version that runs now, or stop all processes and run it with this version"
        )
    return now


@dataclass(frozen=True, slots=True)
class SchemaState:
    """The migrations of one schema."""

    schema: str
    applied: Sequence[str]
    """Names, in numeric order."""
    missing: Sequence[Migration]
    """All migrations that aren't applied."""
    next: Sequence[Migration]
    """The migrations that ``rs-order migrate`` would apply now."""


async def schema_states(pool: Pool, *, after: bool = False) -> list[SchemaState]:
    """Return the states of the platform's schema and those of all active tenants; nothing changes.

    Raises:
        MigrationError: see `pending`; or the role may not read a schema.
    """
    async with pool.acquire() as connection:
        states = [await _state(connection, migrations("platform"), PLATFORM_SCHEMA, after=after)]
        tenants = await connection.fetch(_ACTIVE_TENANTS) if states[0].applied else []
        known = migrations("tenant")
        for row in tenants:
            schema = tenant_schema(Tenant(row["name"]))
            states.append(await _state(connection, known, schema, after=after))
    return states


async def _state(
    connection: Connection, known: Sequence[Migration], schema: str, *, after: bool
) -> SchemaState:
    applied = await recorded_migrations(connection, schema)
    if applied is None:
        role = await role_of(connection)
        raise MigrationError(f"Role {role} may not read schema {schema}: use the role that owns it")
    return SchemaState(
        schema=schema,
        applied=[applied[number] for number in sorted(applied)],
        missing=[migration for migration in known if migration.number not in applied],
        next=pending(known, applied, after=after, in_use=bool(applied)),
    )


async def migrate_platform(pool: Pool, *, after: bool = False) -> None:
    """Create or update the schema that all tenants share.

    Raises:
        MigrationError: see `pending`; or the role lacks the rights.
    """
    async with pool.acquire() as connection:
        await _migrate(
            connection, migrations("platform"), PLATFORM_SCHEMA, after=after, in_use=True
        )


async def migrate_tenants(
    pool: Pool, tenants: Sequence[Tenant], *, after: bool = False, in_use: bool = True
) -> None:
    """Create or update the schemas of tenants, several at a time.

    Those that are up to date are found by a few statements for all.

    Raises:
        InvalidTenantNameError: a name can't be part of a schema's name. Nothing was changed.
        MigrationError: see `pending`; or the role lacks the rights.
    """
    known = migrations("tenant")
    applied = await applied_migrations(pool, tenants)
    outdated = iter(
        [
            tenant
            for tenant in tenants
            if tenant not in applied or pending(known, applied[tenant], after=after, in_use=in_use)
        ]
    )

    async def migrate_next() -> None:
        for tenant in outdated:
            await migrate_tenant(pool, tenant, after=after, in_use=in_use, known=known)

    await together(migrate_next() for _ in range(_SCHEMAS_AT_ONCE))


async def migrate_tenant(
    pool: Pool,
    tenant: Tenant,
    *,
    after: bool = False,
    in_use: bool = True,
    known: Sequence[Migration] | None = None,
) -> None:
    """Create or update the schema of one tenant. ``known``: all migrations, by default those of this version.

    Raises:
        InvalidTenantNameError: the name can't be part of a schema's name.
        MigrationError: see `pending`; or the role lacks the rights.
    """
    known = migrations("tenant") if known is None else known
    async with pool.acquire(tenant) as connection:  # after many tenants the pool closes it
        await _migrate(connection, known, tenant_schema(tenant), after=after, in_use=in_use)


async def _migrate(
    connection: Connection,
    known: Sequence[Migration],
    schema: str,
    *,
    after: bool,
    in_use: bool,
) -> None:
    """Apply what is pending, if anything is, and check that the role can use the schema."""
    recorded = await recorded_migrations(connection, schema)
    if recorded is not None:
        used = in_use and bool(recorded)
        if pending(known, recorded, after=after, in_use=used):
            await _migrate_as_owner(connection, known, schema, after=after, in_use=in_use)
    if recorded is None or await lacks_rights(connection, schema):
        role = await role_of(connection)
        raise MigrationError(
            f"Role {role} lacks rights on schema {schema}: run 'rs-order migrate --grant-to {role}' "
            "with the role that owns it"
        )


async def _migrate_as_owner(
    connection: Connection,
    known: Sequence[Migration],
    schema: str,
    *,
    after: bool,
    in_use: bool,
) -> None:
    """Apply the pending migrations under the lock of the schema; try again while tables are in use.

    Raises:
        MigrationError: the role may not change the schema, or its tables were in use at every attempt.
    """
    try:
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type(_IN_USE),
            stop=stop_after_attempt(_ATTEMPTS),
            wait=wait_fixed(_PAUSE_SECONDS),
            reraise=True,
        ):
            with attempt:
                await _apply_pending(connection, known, schema, after=after, in_use=in_use)
    except _IN_USE as error:
        raise MigrationError(
            f"Schema {schema} isn't migrated: its tables were in use at {_ATTEMPTS} attempts. "
            "Run 'rs-order migrate' again when fewer orders are at work"
        ) from error
    except asyncpg.InsufficientPrivilegeError as error:
        raise MigrationError(
            f"Schema {schema} isn't migrated: run 'rs-order migrate' (for a new tenant "
            f"'rs-order tenant add NAME') with its owner, because role {await role_of(connection)} may not"
        ) from error


async def _apply_pending(
    connection: Connection,
    known: Sequence[Migration],
    schema: str,
    *,
    after: bool,
    in_use: bool,
) -> None:
    async with connection.transaction():
        applied = await _lock_schema(connection, schema)
        used = in_use and bool(applied)
        for migration in pending(known, applied, after=after, in_use=used):
            await _apply(connection, migration, schema)


async def _apply(connection: Connection, migration: Migration, schema: str) -> None:
    await connection.execute(migration.text, timeout=_TIMEOUT_SECONDS)
    await connection.execute(
        "insert into schema_version (version, name) values ($1, $2)",
        migration.number,
        migration.name,
    )
    log.info("schema-migrated", schema=schema, migration=migration.name)


async def _lock_schema(connection: Connection, schema: str) -> dict[int, str]:
    """Create the schema if there is none, lock its migrations, and return those applied to it."""
    await connection.execute(
        f"set local idle_in_transaction_session_timeout = {LONGEST_IDLE_MS};"
        "set local lock_timeout = 0; set local statement_timeout = 0"
    )
    await _lock_migrations(connection, schema)
    await connection.execute(f"set local lock_timeout = '{_LOCK_TIMEOUT}'")
    # "if not exists" asks the session's cache, which may know from before the lock that there is none.
    if not await connection.fetchval("select true from pg_namespace where nspname = $1", schema):
        await connection.execute(f"create schema {schema}")
    await connection.execute("select set_config('search_path', $1, true)", schema)
    await connection.execute(
        "create table if not exists schema_version "
        "(version integer primary key, name text not null, applied_at timestamptz not null default now())"
    )
    rows = await connection.fetch("select version, name from schema_version")
    return {row["version"]: row["name"] for row in rows}


async def _lock_migrations(connection: Connection, schema: str) -> None:
    """Wait until no one else migrates the schema, nor the platform's. The lock ends with the transaction."""
    if schema == PLATFORM_SCHEMA:
        await connection.execute(
            "select pg_advisory_xact_lock($1)", _LOCK, timeout=_TIMEOUT_SECONDS
        )
        return
    await connection.execute(
        "select pg_advisory_xact_lock_shared($1)", _LOCK, timeout=_TIMEOUT_SECONDS
    )
    await connection.execute(
        "select pg_advisory_xact_lock($1::integer, hashtext($2))",
        LOCK_OF_A_SCHEMA,
        schema,
        timeout=_TIMEOUT_SECONDS,
    )
