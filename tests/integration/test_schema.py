"""The migrations create the schema of the readable files, and can be applied safely and repeatedly."""

import asyncio
from collections.abc import Mapping
from enum import StrEnum
from importlib.resources import files

import asyncpg
import pytest

from rs_order.domain.ids import Tenant
from rs_order.domain.moves import ORDER_MOVES, SUB_ORDER_MOVES
from rs_order.store.migrate import (
    LOCK_OF_A_SCHEMA,
    Migration,
    MigrationError,
    migrate_platform,
    migrate_tenant,
    migrate_tenants,
    migrations,
)
from rs_order.store.pool import Connection, InvalidTenantNameError, Pool, open_pool
from rs_order.store.tenants import Tenants
from tests.integration.conftest import OTHER, TENANT
from tests.support.polling import LOCK_WAITS, eventually, until_waiting_for_locks
from tests.support.rows import in_tenant
from tests.support.servers import fresh_database

INSTANCES = 5
GOOD = Migration.of("0001_good.before.sql", "create table good ()")

_CATALOGS = {
    "columns": """
        select class.relname || '.' || attname as name,
               concat_ws(' ', format_type(atttypid, atttypmod), attnotnull, attidentity,
                         attgenerated, pg_get_expr(adbin, adrelid)) as definition
        from pg_attribute
        join pg_class class on class.oid = attrelid
        left join pg_attrdef on adrelid = attrelid and adnum = attnum
        where relnamespace = $1::text::regnamespace and relkind = 'r' and attnum > 0
          and not attisdropped""",
    "constraints": """
        select conrelid::regclass || ' ' || conname as name, pg_get_constraintdef(oid) as definition
        from pg_constraint where connamespace = $1::text::regnamespace""",
    "indexes": """
        select indexname as name, indexdef as definition from pg_indexes where schemaname = $1""",
    "triggers": """
        select tgrelid::regclass || ' ' || tgname as name, pg_get_triggerdef(pg_trigger.oid) as definition
        from pg_trigger join pg_class on pg_class.oid = tgrelid
        where relnamespace = $1::text::regnamespace and not tgisinternal""",
    "functions": """
        select proname as name, pg_get_functiondef(oid) as definition
        from pg_proc where pronamespace = $1::text::regnamespace""",
    "sequences": """
        select sequencename as name, concat_ws(' ', data_type, start_value, increment_by) as definition
        from pg_sequences where schemaname = $1""",
    "types": """
        select typname as name, typtype::text as definition from pg_type
        where typnamespace = $1::text::regnamespace and typtype in ('e', 'd')""",
}


async def catalog_of(connection: Connection, schema: str) -> dict[str, dict[str, str]]:
    """Return the definitions of all objects of a schema, without its name."""
    await connection.execute("select set_config('search_path', $1, false)", schema)
    found: dict[str, dict[str, str]] = {}
    for kind, query in _CATALOGS.items():
        found[kind] = {
            row["name"].replace(f"{schema}.", ""): row["definition"].replace(f"{schema}.", "")
            for row in await connection.fetch(query, schema)
            if "schema_version" not in row["name"]
        }
    return found


async def read_schema(connection: Connection, kind: str, schema: str) -> None:
    """Create a schema from its readable file."""
    text = files("rs_order.store").joinpath("schema", f"{kind}.sql").read_text()
    await connection.execute(f"create schema {schema}")
    await connection.execute("select set_config('search_path', $1, false)", schema)
    await connection.execute(text)


@pytest.mark.parametrize(
    ("kind", "schema"), [("platform", "rs_order"), ("tenant", f"order_{TENANT}")]
)
async def test_the_readable_schema_equals_the_migrated_one(
    kind: str,
    schema: str,
    pool: Pool,
    migrated_url: str,
) -> None:
    """Columns, constraints, indexes, triggers, functions, sequences and contents agree."""
    migrated = await asyncpg.connect(migrated_url)
    async with fresh_database(migrated, migrated_url) as other_url:
        readable = await asyncpg.connect(other_url)
        try:
            await read_schema(readable, kind, schema)
            expected = await catalog_of(readable, schema)

            assert await catalog_of(migrated, schema) == expected
            assert len(expected["columns"]) > 10
            if kind == "tenant":
                for table in ("order_move", "sub_order_move"):
                    moves = f"select before, after from {table} order by before, after"  # noqa: S608

                    assert await migrated.fetch(moves) == await readable.fetch(moves)
        finally:
            await readable.close()
    await migrated.close()


async def test_tenant_schemas_hold_plain_types_only(pool: Pool) -> None:
    """A prepared statement can then serve every tenant (architecture.md 3)."""
    async with pool.acquire() as connection, connection.transaction():
        catalog = await catalog_of(connection, f"order_{TENANT}")

    assert catalog["types"] == {}


@pytest.mark.parametrize(
    ("table", "machine"), [("order_move", ORDER_MOVES), ("sub_order_move", SUB_ORDER_MOVES)]
)
async def test_the_moves_of_the_database_are_those_of_the_domain(
    table: str, machine: Mapping[StrEnum, Mapping[StrEnum, object]], pool: Pool
) -> None:
    """Each state machine of ``domain/moves.py`` has the moves of its table."""
    async with in_tenant(pool, TENANT) as connection:
        stored = await connection.fetch(f"select before, after from {table}")  # noqa: S608

    assert {(row["before"], row["after"]) for row in stored} == {
        (before.value, after.value) for before, moves in machine.items() for after in moves
    }


async def test_several_instances_migrate_at_once(database_url: str) -> None:
    """Each migrates platform and tenants of an empty database; each migration is applied once."""

    async def instance() -> None:
        async with await open_pool(database_url, size=2) as pool:
            await migrate_platform(pool)
            tenants = Tenants(pool)
            for tenant in (TENANT, OTHER):
                await tenants.add(tenant)

    async with asyncio.TaskGroup() as instances:
        for _ in range(INSTANCES):
            instances.create_task(instance())

    connection = await asyncpg.connect(database_url)
    try:
        for kind, schema in (("platform", "rs_order"), ("tenant", f"order_{TENANT}")):
            applied = await connection.fetch(
                f"select version, name from {schema}.schema_version"  # noqa: S608 - names of ours
            )

            assert [tuple(row) for row in applied] == [
                (migration.number, migration.name) for migration in migrations(kind)
            ]
        assert await connection.fetchval("select count(*) from rs_order.tenant") == 2
    finally:
        await connection.close()


async def test_a_schema_that_appears_while_its_lock_is_awaited(database_url: str) -> None:
    """Another instance created it. This session has looked before, and remembers that there was none."""
    schema = f"order_{TENANT}"
    async with (
        await open_pool(database_url, size=1) as migrating,
        await open_pool(database_url, size=2) as other,
    ):
        await migrate_platform(migrating)
        assert await migrating.fetchval("select to_regnamespace($1)", schema) is None
        async with other.acquire() as creating, creating.transaction():
            await creating.execute(
                "select pg_advisory_xact_lock($1::integer, hashtext($2))", LOCK_OF_A_SCHEMA, schema
            )
            migration = asyncio.create_task(migrate_tenant(migrating, TENANT))
            await until_waiting_for_locks(other)
            await creating.execute(f"create schema {schema}")
        await migration

        async with in_tenant(migrating, TENANT) as connection:
            assert await connection.fetch("select from orders") == []


async def test_migrating_again_changes_nothing(pool: Pool) -> None:
    """The transaction ids of the rows stay the same, so nothing was written."""
    version = "select xmin::text, version, applied_at from schema_version"
    async with in_tenant(pool, TENANT) as connection:
        before = await connection.fetch(version)
    await migrate_platform(pool)
    await migrate_tenant(pool, TENANT)
    async with in_tenant(pool, TENANT) as connection:
        after = await connection.fetch(version)

    assert after == before


async def applied_to(pool: Pool, tenant: Tenant) -> list[str]:
    """Return the names of the applied migrations, in the order in which they were applied."""
    async with in_tenant(pool, tenant) as connection:
        rows = await connection.fetch(
            "select name from schema_version order by xmin::text::bigint, version"
        )
    return [row["name"] for row in rows]


async def test_after_migrations_wait_for_the_operator(database_url: str) -> None:
    """The start applies none of them; ``rs-order migrate --after`` does."""
    late = Migration.of("0002_late.after.sql", "drop table good")
    known = [GOOD, late]
    async with await open_pool(database_url, size=1) as pool:
        await migrate_tenant(pool, TENANT, known=known)
        await migrate_tenant(pool, TENANT, known=known)
        assert await applied_to(pool, TENANT) == [GOOD.name]

        await migrate_tenant(pool, TENANT, after=True, known=known)
        assert await applied_to(pool, TENANT) == [GOOD.name, late.name]


async def test_a_gap_in_the_numbers_is_filled(database_url: str) -> None:
    """A migration that was merged after one of a higher number is applied, too."""
    third = Migration.of("0003_third.before.sql", "create table third ()")
    second = Migration.of("0002_second.before.sql", "create table second ()")
    async with await open_pool(database_url, size=1) as pool:
        await migrate_tenant(pool, TENANT, known=[GOOD, third])
        await migrate_tenant(pool, TENANT, known=[GOOD, second, third])

        assert await applied_to(pool, TENANT) == [GOOD.name, third.name, second.name]


async def test_a_schema_in_use_is_not_changed_out_of_order(database_url: str) -> None:
    """An ``after`` migration of an earlier version is missing: a schema gets it only if nothing uses it."""
    late = Migration.of("0002_late.after.sql", "drop table good")
    third = Migration.of("0003_third.before.sql", "create table good ()")
    known = [GOOD, late, third]
    async with await open_pool(database_url, size=1) as pool:
        await migrate_tenant(pool, TENANT, known=[GOOD, late])

        with pytest.raises(
            MigrationError, match=r"0002_late\.after\.sql .*'rs-order migrate --after'"
        ):
            await migrate_tenant(pool, TENANT, known=known)
        assert await applied_to(pool, TENANT) == [GOOD.name]

        await migrate_tenant(pool, TENANT, in_use=False, known=known)
        await migrate_tenant(pool, OTHER, known=known)
        assert await applied_to(pool, TENANT) == [GOOD.name, late.name, third.name]
        assert await applied_to(pool, OTHER) == [GOOD.name, late.name, third.name]


async def test_a_table_in_use_is_migrated_when_it_is_free(pool: Pool, migrated_url: str) -> None:
    """A migration gives up soon, because other statements queue behind it, and tries again."""
    column = Migration.of("9001_column.before.sql", "alter table orders add column more text")
    async with await open_pool(migrated_url, size=1) as migrating, in_tenant(pool, TENANT) as user:
        await user.fetch("select from orders")
        migration = asyncio.create_task(
            migrate_tenant(migrating, TENANT, known=[*migrations("tenant"), column])
        )
        await until_waiting_for_locks(pool)
        await eventually(lambda: _nothing_waits(pool), "the end of the first attempt")
        await user.execute("commit")
        await migration

    async with in_tenant(pool, TENANT) as connection:
        assert await connection.fetch("select more from orders") == []


async def test_a_table_in_use_delays_no_other_tenant(
    pool: Pool, migrated_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The schemas of tenants are migrated at the same time, each under a lock of its own."""
    column = Migration.of("9001_column.before.sql", "alter table orders add column more text")
    known = [*migrations("tenant"), column]
    monkeypatch.setattr("rs_order.store.migrate.migrations", lambda _: known)
    async with await open_pool(migrated_url, size=2) as migrating, in_tenant(pool, TENANT) as user:
        await user.fetch("select from orders")
        migration = asyncio.create_task(migrate_tenants(migrating, [TENANT, OTHER]))
        await eventually(lambda: _is_applied(pool, OTHER, column), "the other tenant is migrated")
        assert not await _is_applied(pool, TENANT, column)
        await user.execute("commit")
        await migration

    assert await _is_applied(pool, TENANT, column)


async def _is_applied(pool: Pool, tenant: Tenant, migration: Migration) -> bool:
    return migration.name in await applied_to(pool, tenant)


async def _nothing_waits(pool: Pool) -> bool:
    waiting: int = await pool.fetchval(
        f"select count(*) from ({LOCK_WAITS}) as waiting"  # noqa: S608 - a constant
    )
    return waiting == 0


async def test_a_migration_that_fails_leaves_nothing(database_url: str) -> None:
    """One transaction changes the schema and records the versions."""
    bad = Migration.of("0002_bad.before.sql", "nonsense")
    async with await open_pool(database_url, size=1) as pool:
        with pytest.raises(asyncpg.PostgresSyntaxError):
            await migrate_tenant(pool, TENANT, known=[GOOD, bad])

        assert await pool.fetchval("select to_regnamespace('order_project1')") is None


@pytest.mark.parametrize(
    "name", ["", "Project", "1st", "a-b", "a b", "a;drop schema x", 'a"', "é", "x" * 49, "a\n"]
)
async def test_a_name_that_is_no_identifier_never_reaches_sql(name: str, pool: Pool) -> None:
    """The function that makes the schema's name rejects it."""
    with pytest.raises(InvalidTenantNameError):
        await migrate_tenant(pool, Tenant(name))
