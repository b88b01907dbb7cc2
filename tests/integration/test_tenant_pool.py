"""A tenant gets a connection that has its plans, and a connection keeps the plans of a few tenants."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from prometheus_client import REGISTRY

from rs_order.domain.ids import Tenant
from rs_order.store import tenant_pool
from rs_order.store.pool import Pool, open_pool, single_statement, tenant_schema, transaction
from rs_order.store.tenant_plans import MOST_PLANNED

SIZE = 2
ONE, TWO, THREE = Tenant("one"), Tenant("two"), Tenant("three")
TENANTS = [Tenant(f"tenant{number}") for number in range(MOST_PLANNED + 1)]
STATEMENT = "select $1::text as of_a_tenant"


@pytest.fixture
async def small_pool(database_url: str) -> AsyncIterator[Pool]:
    """Open a pool whose connections are fewer than the tenants. Its end waits for all of them."""
    async with await open_pool(database_url, size=SIZE) as opened:
        yield opened


async def session_of(pool: Pool, tenant: Tenant) -> int:
    """Return the server's process for a transaction of a tenant."""
    async with transaction(pool, tenant) as connection:
        process: int = await connection.fetchval("select pg_backend_pid()")
    return process


async def test_tenants_that_alternate_keep_their_connections(small_pool: Pool) -> None:
    """Each has its own while there are enough."""
    sessions = [await session_of(small_pool, tenant) for tenant in [ONE, TWO] * 5]

    assert sessions == sessions[:SIZE] * 5
    assert len(set(sessions)) == SIZE


async def test_more_tenants_than_connections_share_them(small_pool: Pool) -> None:
    """The one that was unused for the longest time is taken, and keeps the plans of its first tenant."""
    one, two = await session_of(small_pool, ONE), await session_of(small_pool, TWO)

    assert await session_of(small_pool, THREE) == one
    assert await session_of(small_pool, TWO) == two
    assert await session_of(small_pool, ONE) == one
    assert await session_of(small_pool, THREE) == one
    assert (small_pool.open, small_pool.idle) == (SIZE, SIZE)


async def test_tenants_that_alternate_on_a_connection_keep_their_plans(
    single_connection: Pool,
) -> None:
    """Each statement is planned once for each of them, and not again when its turn comes."""
    tenants = TENANTS[:MOST_PLANNED]
    assert await plannings(single_connection, tenants) == len(tenants)
    assert await plannings(single_connection, tenants * 3) == 0


async def test_a_further_tenant_takes_over_the_statements_of_another(
    single_connection: Pool,
) -> None:
    """So the server keeps no more of them, whatever the number of tenants. The last ones keep theirs."""
    assert await plannings(single_connection, TENANTS) == len(TENANTS)
    prepared = await single_connection.fetchval(
        "select count(*) from pg_prepared_statements where right(statement, length($1)) = $1",
        STATEMENT,
    )
    assert prepared == MOST_PLANNED
    assert await plannings(single_connection, TENANTS[-2:]) == 0
    assert await plannings(single_connection, TENANTS[:1]) == 1


@pytest.fixture
async def single_connection(database_url: str) -> AsyncIterator[Pool]:
    """Open a pool of one connection to a database with a schema for each tenant."""
    async with await open_pool(database_url, size=1) as opened:
        for tenant in TENANTS:
            await opened.execute(f"create schema {tenant_schema(tenant)}")
        yield opened
        for tenant in TENANTS:
            await opened.execute(f"drop schema {tenant_schema(tenant)}")


async def plannings(pool: Pool, tenants: Sequence[Tenant]) -> int:
    """Execute a statement for one tenant after the other, and return how often the server planned it."""
    planned: list[object] = []

    def listen(_connection: object, message: object) -> None:
        planned.append(message)

    for tenant in tenants:
        async with transaction(pool, tenant, generic_plans=True) as connection:
            connection.add_log_listener(listen)
            await connection.execute(
                "set local client_min_messages = log; set local log_planner_stats = on"
            )
            await connection.fetchval(STATEMENT, "a parameter")
            await connection.execute("set local log_planner_stats = off")
            connection.remove_log_listener(listen)
    return len(planned)


async def test_a_caller_waits_a_moment_for_a_connection_of_its_tenant(small_pool: Pool) -> None:
    """It leaves the one that another tenant has just used, so that neither plans its statements anew."""
    two = await session_of(small_pool, TWO)
    async with transaction(small_pool, ONE) as connection:
        one = await connection.fetchval("select pg_backend_pid()")
        waiting = asyncio.create_task(session_of(small_pool, ONE))
        await asyncio.sleep(0)
    assert await waiting == one
    assert await session_of(small_pool, TWO) == two


async def test_callers_that_wait_are_counted_until_they_have_a_connection(small_pool: Pool) -> None:
    async with transaction(small_pool, ONE), transaction(small_pool, TWO):
        waiting = asyncio.create_task(session_of(small_pool, THREE))
        await asyncio.sleep(0)
        assert _waiting() == 1
    await waiting
    assert _waiting() == 0


async def test_callers_that_give_up_are_not_counted(small_pool: Pool) -> None:
    async with transaction(small_pool, ONE), transaction(small_pool, TWO):
        waiting = asyncio.create_task(session_of(small_pool, THREE))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
        assert _waiting() == 0


def _waiting() -> float | None:
    return REGISTRY.get_sample_value("rs_order_pool_waiting")


async def test_a_caller_that_has_waited_takes_the_connection_of_another_tenant(
    small_pool: Pool,
) -> None:
    """Its own tenant may use its connection for long."""
    two = await session_of(small_pool, TWO)
    async with transaction(small_pool, ONE):
        assert await session_of(small_pool, ONE) == two


async def test_a_caller_that_waits_gets_the_first_connection_that_is_released(
    small_pool: Pool,
) -> None:
    """It isn't kept for its tenant then."""
    async with transaction(small_pool, ONE):
        async with transaction(small_pool, TWO) as connection:
            released = await connection.fetchval("select pg_backend_pid()")
            waiting = asyncio.create_task(session_of(small_pool, THREE))
            await asyncio.sleep(0)
        assert await waiting == released


async def test_a_released_connection_goes_to_a_caller_of_the_same_tenant(small_pool: Pool) -> None:
    """Another one that waits for a moment only gets the next, so that the plans are kept."""
    async with transaction(small_pool, ONE):
        async with transaction(small_pool, TWO) as connection:
            released = await connection.fetchval("select pg_backend_pid()")
            others = [asyncio.create_task(session_of(small_pool, one)) for one in (THREE, ONE)]
            same = asyncio.create_task(used_in_order(small_pool, TWO, others))
            await asyncio.sleep(0)
        assert await same == (released, [])
        assert await asyncio.gather(*others) == [released, released]


async def test_a_caller_is_passed_over_for_a_moment_only(
    small_pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then it gets the next connection, even if that was used for another tenant."""
    monkeypatch.setattr(tenant_pool, "PATIENCE_SECONDS", 0)
    async with transaction(small_pool, ONE):
        async with transaction(small_pool, TWO):
            other = asyncio.create_task(session_of(small_pool, THREE))
            await asyncio.sleep(0)
            same = asyncio.create_task(used_in_order(small_pool, TWO, [other]))
            await asyncio.sleep(0)
        _, used_before = await same
    assert used_before == [other]


async def used_in_order(
    pool: Pool, tenant: Tenant, others: list[asyncio.Task[int]]
) -> tuple[int, list[asyncio.Task[int]]]:
    """Return the session of a transaction, and those of the other tasks that had ended before."""
    session = await session_of(pool, tenant)
    return session, [other for other in others if other.done()]


async def test_a_caller_that_gives_up_leaves_the_connection_to_the_next(small_pool: Pool) -> None:
    """This holds before it receives the connection, and just after."""
    async with transaction(small_pool, ONE):
        async with transaction(small_pool, TWO):
            waiting = [asyncio.create_task(session_of(small_pool, THREE)) for _ in range(3)]
            await asyncio.sleep(0)
            waiting[0].cancel()
        waiting[1].cancel()  # it has the connection, and didn't run yet
        session = await waiting[2]
    ended = await asyncio.gather(*waiting[:2], return_exceptions=True)

    assert [type(one) for one in ended] == [asyncio.CancelledError] * 2
    assert await session_of(small_pool, THREE) == session
    assert (small_pool.open, small_pool.idle) == (SIZE, SIZE)


async def test_connections_that_expire_are_not_used_again(small_pool: Pool) -> None:
    """Neither those that are kept nor those in use: the address may lead to another server."""
    kept = await session_of(small_pool, ONE)
    async with transaction(small_pool, TWO) as connection:
        in_use = await connection.fetchval("select pg_backend_pid()")
        await small_pool.expire_connections()

    assert await session_of(small_pool, ONE) not in (kept, in_use)
    assert await session_of(small_pool, TWO) not in (kept, in_use)


async def test_a_connection_that_the_server_has_closed_is_not_used_again(small_pool: Pool) -> None:
    """A kept connection may end at any time."""
    one, two = await session_of(small_pool, ONE), await session_of(small_pool, TWO)
    async with transaction(small_pool, TWO) as connection:
        await connection.execute("select pg_terminate_backend($1, 5000)", one)

    assert await session_of(small_pool, ONE) != one
    assert await session_of(small_pool, TWO) == two


async def test_a_single_statement_sees_no_schema_of_a_tenant(small_pool: Pool) -> None:
    """The search path ends with the transaction of the tenant, also if no transaction follows."""
    await session_of(small_pool, ONE)
    for _ in range(SIZE):
        async with single_statement(small_pool) as connection:
            assert await connection.fetchval("show search_path") == '"$user", public'


async def test_a_connection_that_served_many_tenants_is_closed(
    small_pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So the memory of the server doesn't grow with connections and tenants."""
    monkeypatch.setattr(tenant_pool, "MOST_TENANTS", 1)
    async with transaction(small_pool, ONE):
        first = await session_of(small_pool, TWO)
        assert await session_of(small_pool, THREE) == first
        assert await session_of(small_pool, TWO) != first


async def test_a_new_connection_knows_the_lists_of_parameters(small_pool: Pool) -> None:
    """The driver asks the server about no type of a statement, for which it needs three statements."""
    lists: list[list[object]] = [["a"], [1], [True], [uuid4()], [datetime.now(UTC)], [b"a"], [{}]]
    types = ("text", "bigint", "boolean", "uuid", "timestamptz", "bytea", "jsonb")
    parameters = (f"${number}::{name}[]" for number, name in enumerate(types, start=1))
    statement = f"select {', '.join(parameters)}"
    asked: list[str] = []
    async with small_pool.acquire() as connection:
        connection.add_query_logger(lambda record: asked.append(record.query))
        (row,) = await connection.fetch(statement, *lists)
        await asyncio.sleep(0)  # the driver calls the logger in the next turn of the event loop

    assert list(row) == lists
    assert asked == [statement]
