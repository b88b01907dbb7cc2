"""A unit of work commits all or nothing, and raises different errors for what can be tried again."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import asyncpg
import pytest

from rs_order.app.clock import SystemClock
from rs_order.core.shared_steps import ScheduleStep
from rs_order.demo.servers.database_and_broker import Database
from rs_order.domain.events import OrderDoor
from rs_order.domain.ids import Checksum, OrderId, RequestId
from rs_order.store.completions import NewDatasetTask
from rs_order.store.errors import StoreConflict, StoreUnavailable
from rs_order.store.migrate import migrate_platform
from rs_order.store.orders import SQL as ORDERS
from rs_order.store.orders import NewOrder
from rs_order.store.outbox import Outbox
from rs_order.store.pool import Pool, open_pool, transaction
from rs_order.store.requests import NewRequest
from rs_order.store.tenants import Tenants
from rs_order.store.unit_of_work import Store
from tests.integration.app_harness import A_SELECTION
from tests.integration.conftest import TENANT
from tests.support.clock import NOW
from tests.support.polling import until_waiting_for_locks
from tests.support.rows import OWNER, TenantRows, in_tenant
from tests.support.stores import MigratedDatabases

A_REQUEST = NewRequest("c-1", b"fingerprint", '{"queries": ["*"]}')


class _Error(Exception):
    """An error of a use case."""


def a_new_order(label: str) -> NewOrder:
    return NewOrder(
        owner=OWNER,
        role="REGISTERED_USER",
        label=label,
        correlation_id="c-1",
        request_id=None,
        sub_order_hours=2,
        created_at=datetime.now(UTC),
        door=OrderDoor.BASKET,
        selections=(),
    )


async def counted(pool: Pool) -> tuple[int, int]:
    """Return the numbers of the tenant's requests and of rows in the outbox."""
    async with in_tenant(pool, TENANT) as connection:
        (row,) = await connection.fetch(
            "select (select count(*) from order_request) as requests,"
            " (select count(*) from rs_order.outbox) as messages"
        )
    return row["requests"], row["messages"]


async def write(store: Store, error: type[BaseException] | None = None) -> None:
    """Change a tenant's data and send a message in one unit, which may then raise an error."""
    async with store.unit_of_work(TENANT) as uow:
        await uow.requests.record([A_REQUEST], NOW)
        await uow.messages.send([ScheduleStep(OWNER).to(TENANT)])
        if error is not None:
            raise error


async def test_a_unit_that_ends_normally_commits_with_its_messages(
    store: Store, pool: Pool, committed: list[str]
) -> None:
    """The relay is notified once, after the commit."""
    await write(store)

    assert await counted(pool) == (1, 1)
    assert committed == ["committed"]


@pytest.mark.parametrize("error", [_Error, asyncio.CancelledError, KeyError])
async def test_an_exception_rolls_the_unit_back(
    error: type[BaseException], store: Store, pool: Pool, committed: list[str]
) -> None:
    """The caller gets the exception as it is."""
    with pytest.raises(error):
        await write(store, error)

    assert await counted(pool) == (0, 0)
    assert committed == []


async def test_nothing_is_visible_before_the_commit(store: Store, pool: Pool) -> None:
    """Another connection sees neither the request nor the message."""
    async with store.unit_of_work(TENANT) as uow:
        await uow.requests.record([A_REQUEST], NOW)
        await uow.messages.send([ScheduleStep(OWNER).to(TENANT)])

        assert await counted(pool) == (0, 0)

    assert await counted(pool) == (1, 1)


async def test_a_unit_without_messages_does_not_wake_the_relay(
    store: Store, committed: list[str]
) -> None:
    """The relay has nothing to publish."""
    async with store.unit_of_work(TENANT) as uow:
        await uow.settings()

    assert committed == []


async def test_w40_two_orders_of_one_label_at_once_are_a_conflict(store: Store, pool: Pool) -> None:
    """The second waits for the first, gets StoreConflict after its commit, and then takes a number."""

    async def second() -> None:
        async with store.unit_of_work(TENANT) as uow:
            assert await uow.orders.labels_taken([(OWNER, "same")]) == set()
            await uow.orders.create([a_new_order("same")])

    async with store.unit_of_work(TENANT) as uow:
        await uow.orders.create([a_new_order("same")])
        racing = asyncio.create_task(second())
        await until_waiting_for_locks(pool)

    with pytest.raises(StoreConflict, match="orders_label_once"):
        await racing
    async with store.unit_of_work(TENANT) as uow:
        assert await uow.orders.labels_taken([(OWNER, "same")]) == {(OWNER, "same")}

        await uow.orders.create([a_new_order("same (2)")])

    async with in_tenant(pool, TENANT) as connection:
        labels = await connection.fetch("select label from orders order by label")

    assert [row["label"] for row in labels] == ["same", "same (2)"]


async def test_a_deadlock_is_a_conflict(store: Store, rows: TenantRows) -> None:
    """Two units lock in opposite order: one commits, the other gets StoreConflict and may start again."""
    first, second = await rows.order(), await rows.order()
    both_hold = asyncio.Barrier(2)

    async def lock(one: OrderId, other: OrderId) -> None:
        async with store.unit_of_work(TENANT) as uow:
            await uow.orders.lock([one])
            await both_hold.wait()
            await uow.orders.lock([other])

    results = await asyncio.gather(lock(first, second), lock(second, first), return_exceptions=True)

    assert [type(result) for result in results if result is not None] == [StoreConflict]


async def test_a_statement_is_planned_once(migrated_databases: MigratedDatabases) -> None:
    """Whatever its parameters: for a few of them the server would plan again each time."""
    async with migrated_databases.pool(TENANT, size=1) as (pool, _):
        store = Store(pool, lambda _: None)
        for number in range(10):
            async with store.unit_of_work(TENANT) as uow:
                await uow.orders.lock_awaiting([Checksum(f"checksum {number}")])
        (statement,) = await pool.fetch(
            "select generic_plans, custom_plans from pg_prepared_statements"
            " where right(statement, length($1)) = $1",
            ORDERS["awaiting"],
        )
        mode = await pool.fetchval("show plan_cache_mode")

    assert tuple(statement) == (10, 0)
    assert mode == "auto", "searches need plans for their parameters"


async def test_a_statement_is_planned_for_full_tables(
    migrated_databases: MigratedDatabases,
) -> None:
    """Even if they are empty then: the plan stays while they grow."""
    async with migrated_databases.pool(TENANT, size=1) as (pool, _):
        store = Store(pool, lambda _: None)
        await pool.execute(f"vacuum analyze order_{TENANT}.data_file")
        async with store.unit_of_work(TENANT) as uow:
            await uow.orders.lock_awaiting([Checksum("checksum")])
        name = await pool.fetchval(
            "select name from pg_prepared_statements where right(statement, length($1)) = $1",
            ORDERS["awaiting"],
        )
        await pool.execute(
            f"set search_path = order_{TENANT}; set plan_cache_mode = force_generic_plan"
        )
        plan = await pool.fetch(f"explain execute {name} (array['checksum'])")
        scans = await pool.fetchval("show enable_seqscan")

    assert not [line for (line,) in plan if "Seq Scan" in line]
    assert scans == "on", "searches may read small tables as a whole"


@pytest.mark.parametrize(
    "read",
    [
        lambda store, number: store.completion_positions(TENANT, [(OrderId(number), 0)]),
        lambda store, number: store.received_requests(TENANT, [RequestId(number)]),
    ],
    ids=["positions", "received"],
)
async def test_a_read_for_an_order_is_planned_a_few_times(
    read: Callable[[Store, int], Awaitable[object]], migrated_databases: MigratedDatabases
) -> None:
    """The server tries five plans for the parameters, and then keeps one for any parameters."""
    async with migrated_databases.pool(TENANT, size=1) as (pool, _):
        store = Store(pool, lambda _: None)
        for number in range(10):
            await read(store, number)
        plans = await pool.fetch(
            "select generic_plans, custom_plans from pg_prepared_statements"
            " where position($1 in statement) > 0",
            f"from order_{TENANT}.",
        )

    assert [tuple(row) for row in plans] == [(5, 5)]


async def test_a_defect_is_no_conflict(store: Store) -> None:
    """Another attempt wouldn't help, so the error of the database is not translated."""
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        async with store.unit_of_work(TENANT) as uow:
            await uow.completions.dataset_tasks([NewDatasetTask(OrderId(-1), A_SELECTION)])


async def test_a_database_that_ends_a_session_is_unavailable(store: Store, pool: Pool) -> None:
    """The unit is rolled back; the next unit gets a connection that works."""
    with pytest.raises(StoreUnavailable):
        await _lose_the_session(store, pool)

    assert await counted(pool) == (0, 0)

    await write(store)

    assert await counted(pool) == (1, 1)


async def _lose_the_session(store: Store, pool: Pool) -> None:
    async with store.unit_of_work(TENANT) as uow:
        await uow.requests.record([A_REQUEST], NOW)
        await pool.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and state = 'idle in transaction'"
        )
        await uow.requests.record([A_REQUEST], NOW)


async def test_a_read_only_database_is_unavailable(
    store: Store, pool: Pool, migrated_url: str
) -> None:
    """It may be a standby. No message is rejected for it, and the relay publishes nothing it can't remove."""
    name = migrated_url.rpartition("/")[2].partition("?")[0]
    await store.send([ScheduleStep(OWNER).to(TENANT)])
    await pool.execute(f"alter database {name} set default_transaction_read_only = on")
    async with await open_pool(migrated_url, size=2) as reading:
        with pytest.raises(StoreUnavailable):
            await write(Store(reading, lambda _: None))
        for partition in range(16):
            async with Outbox(reading, SystemClock()).claim(partition, 1) as rows:
                assert rows is None


async def test_tenants_are_not_unknown_while_the_database_is_down(own_database: Database) -> None:
    """The caller gets StoreUnavailable, and can try again."""
    async with await open_pool(own_database.url, size=2) as pool:
        await migrate_platform(pool)
        tenants = Tenants(pool)
        await own_database.stop()
        with pytest.raises(StoreUnavailable):
            await tenants.load()
        with pytest.raises(StoreUnavailable):
            await tenants.save_host(TENANT, "https://elsewhere")


async def test_a_database_that_is_down_is_unavailable(own_database: Database) -> None:
    """After its start the same pool works again."""
    async with await open_pool(own_database.url, size=2) as pool:
        store = Store(pool, lambda _: None)
        await own_database.stop()
        with pytest.raises(StoreUnavailable):
            await store.send([ScheduleStep(OWNER).to(TENANT)])

        await own_database.start()

        assert await pool.fetchval("select 1") == 1


async def test_a_connection_that_returns_to_the_pool_costs_no_call(database_url: str) -> None:
    """Sessions keep no state, so nothing is reset: the last statement of a transaction is its commit."""
    last = "select query from pg_stat_activity where pid = $1"
    pool, other = await open_pool(database_url, size=1), await open_pool(database_url, size=1)
    async with pool, other:
        async with transaction(pool) as connection:
            session = await connection.fetchval("select pg_backend_pid()")

        assert await other.fetchval(last, session) == "commit"
