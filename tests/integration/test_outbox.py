"""The outbox as the relay reads it: order, due times, partitions, removal."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import orjson
import pytest

from rs_order.core.shared_steps import DeleteFilesStep, GrantRequestsStep, ScheduleStep
from rs_order.domain.ids import OrderId
from rs_order.ports import FIRST_STEP_PARTITION, MessageKind, OutboxRow
from rs_order.store.outbox import Outbox, OutgoingMessage, order_stream
from rs_order.store.pool import Pool
from rs_order.store.unit_of_work import Store
from tests.integration.conftest import TENANT
from tests.support.clock import ManualClock
from tests.support.polling import until_waiting_for_locks
from tests.support.rows import OWNER, TenantRows
from tests.support.stores import MigratedDatabases

PARTITIONS = range(32)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def outbox(pool: Pool, clock: ManualClock) -> Outbox:
    return Outbox(pool, clock)


def a_response(order: OrderId, text: str) -> OutgoingMessage:
    return OutgoingMessage(
        MessageKind.ORDER_RESPONSE, TENANT, {"text": text}, stream=order_stream(TENANT, order)
    )


async def claimed(outbox: Outbox, limit: int = 100) -> list[OutboxRow]:
    """Return all due rows without removing them."""
    found: list[OutboxRow] = []
    for partition in PARTITIONS:
        async with outbox.claim(partition, limit) as claim:
            assert claim is not None
            found.extend(claim.rows)
    return found


async def test_a_stream_leaves_in_the_order_of_its_commits(
    store: Store, pool: Pool, outbox: Outbox, rows: TenantRows
) -> None:
    """Promise 4: the second writer waits for the order's row, so its message can't have the lower id."""
    order = await rows.order()

    async def write(text: str) -> None:
        async with store.unit_of_work(TENANT) as uow:
            await uow.orders.lock([order])
            await uow.messages.send([a_response(order, text)])

    async with store.unit_of_work(TENANT) as uow:
        await uow.orders.lock([order])
        second = asyncio.create_task(write("second"))
        await until_waiting_for_locks(pool)
        await uow.messages.send([a_response(order, "first")])
    await second

    assert [row.body for row in await claimed(outbox)] == [
        b'{"text":"first"}',
        b'{"text":"second"}',
    ]


async def test_a_stream_always_has_the_same_partition(
    store: Store, outbox: Outbox, rows: TenantRows
) -> None:
    """So only one relay at a time publishes it. Different streams have different partitions."""
    orders = [await rows.order() for _ in range(40)]
    async with store.unit_of_work(TENANT) as uow:
        for _ in range(3):
            await uow.messages.send([a_response(order, "x") for order in orders])
    partitions: dict[str, set[int]] = {}
    for partition in PARTITIONS:
        async with outbox.claim(partition, 1000) as claim:
            assert claim is not None
            for row in claim.rows:
                partitions.setdefault(row.stream or "", set()).add(partition)

    assert len(partitions) == len(orders)
    assert {len(of_stream) for of_stream in partitions.values()} == {1}
    assert len(set.union(*partitions.values())) > 8


async def test_a_row_is_due_at_its_time_and_not_before(
    store: Store, outbox: Outbox, clock: ManualClock
) -> None:
    """Promise 5: a delay is a due time in a row. The relay can ask how long it may wait."""
    await store.send([DeleteFilesStep(OrderId(1)).to(TENANT)])
    (at_once,) = await claimed(outbox)
    await remove(outbox, [at_once])
    due = clock.now() + timedelta(seconds=90)
    await store.send([GrantRequestsStep(()).to(TENANT, due)])

    assert await claimed(outbox) == []
    assert (await outbox.check()).ready_partitions == []
    assert (await outbox.check()).seconds_to_next == pytest.approx(90)

    clock.set(due)

    assert len(await claimed(outbox)) == 1
    assert len((await outbox.check()).ready_partitions) == 1
    assert (await outbox.check()).seconds_to_next == 0


async def test_two_claims_never_share_a_partition(store: Store, outbox: Outbox) -> None:
    """Promise 6: the second claim gets None at once instead of waiting."""
    await store.send([ScheduleStep(OWNER).to(TENANT)])
    (partition,) = (await outbox.check()).ready_partitions
    async with outbox.claim(partition, 10) as first:
        assert first is not None

        async with outbox.claim(partition, 10) as second:
            assert second is None

        async with outbox.claim((partition + 1) % 32, 10) as beside:
            assert beside is not None

    async with outbox.claim(partition, 10) as again:
        assert again is not None


async def test_rows_are_removed_by_the_commit_of_their_claim(store: Store, outbox: Outbox) -> None:
    """Promise 2: a relay that dies after the confirm leaves the row with its message id."""
    await store.send([ScheduleStep(OWNER).to(TENANT)])
    (row,) = await claimed(outbox)
    (partition,) = (await outbox.check()).ready_partitions

    with pytest.raises(_Killed):
        await _die_after_removing(outbox, partition, row)

    assert await claimed(outbox) == [row]

    await remove(outbox, [row])

    assert await claimed(outbox) == []
    assert (await outbox.check()).seconds_to_next is None


class _Killed(Exception):
    """Ends a relay before its commit."""


async def _die_after_removing(outbox: Outbox, partition: int, row: OutboxRow) -> None:
    async with outbox.claim(partition, 10) as claim:
        assert claim is not None
        await claim.remove([row.id])
        raise _Killed


async def remove(outbox: Outbox, rows: list[OutboxRow]) -> None:
    async with outbox.claim(0, 10) as claim:
        assert claim is not None
        await claim.remove([row.id for row in rows])


async def test_a_claim_takes_no_more_than_its_limit(
    store: Store, outbox: Outbox, rows: TenantRows
) -> None:
    """It takes the oldest rows."""
    order = await rows.order()
    async with store.unit_of_work(TENANT) as uow:
        await uow.messages.send([a_response(order, str(number)) for number in range(20)])

    assert [row.body for row in await claimed(outbox, limit=2)] == [
        b'{"text":"0"}',
        b'{"text":"1"}',
    ]


async def test_lag_is_the_age_of_the_oldest_row_that_is_due(
    store: Store, outbox: Outbox, clock: ManualClock
) -> None:
    """Delayed rows don't count."""
    clock.set(datetime.now(UTC))
    await store.send([GrantRequestsStep(()).to(TENANT, clock.now() + timedelta(hours=1))])

    assert (await outbox.lag()).rows == 0

    await store.send([ScheduleStep(OWNER).to(TENANT)])
    lag = await outbox.lag()

    assert lag.rows == 1
    assert 0 <= lag.oldest_seconds < 60


async def test_a_rejected_row_waits_with_its_stream_only(
    store: Store, outbox: Outbox, clock: ManualClock, rows: TenantRows
) -> None:
    """The claim reaches what is behind it; each further rejection makes it wait twice as long."""
    full, free = await rows.order(), await rows.order()
    await store.send([a_response(full, "1"), a_response(full, "2"), a_response(free, "3")])
    await _reject(outbox, "1")

    assert await texts(outbox) == ["3"]

    for pause in (1, 2, 4, 8, 16, 32, 64, 120, 120):
        clock.move(seconds=pause - 0.1)
        assert await texts(outbox) == ["3"]
        clock.move(seconds=0.1)
        assert await texts(outbox) == ["1", "3"]
        await _reject(outbox, "1")

    clock.move(hours=1)
    await _remove(outbox, "1")

    assert await texts(outbox) == ["2", "3"]


async def test_many_rejected_rows_hold_back_no_other(
    store: Store, outbox: Outbox, clock: ManualClock
) -> None:
    """More rejected rows than a claim takes: messages behind them leave, and lag counts them apart."""
    rejected = [a_response(OrderId(number), "full") for number in range(300)]
    await store.send(rejected)
    await _reject(outbox, "full")
    await store.send([a_response(OrderId(number), "free") for number in range(1000, 1050)])

    assert sorted(await texts(outbox, limit=20)) == ["free"] * 50
    lag = await outbox.lag()
    assert (lag.rows, lag.rejected) == (50, 300)

    clock.move(seconds=0.5)
    assert (await outbox.check()).seconds_to_next == 0


async def test_a_backlog_that_came_after_the_plan_costs_what_is_taken(
    migrated_databases: MigratedDatabases, clock: ManualClock
) -> None:
    """Statements are planned while the outbox is empty. They joined each row with each other one."""
    waiting, rejected, limit = 3000, 1000, 100
    async with migrated_databases.pool(TENANT, size=1) as (pool, _):
        store, outbox = Store(pool, lambda _: None), Outbox(pool, clock)
        await pool.execute("vacuum analyze rs_order.outbox")
        for _ in range(10):  # the server then keeps its plans
            assert await claimed(outbox) == []
            assert (await outbox.lag()).rows == 0
        await store.send([a_response(OrderId(number), "full") for number in range(rejected)])
        await _reject(outbox, "full")
        await store.send([a_response(OrderId(number), "held") for number in range(rejected)])
        order = OrderId(rejected)
        await store.send([a_response(order, str(number)) for number in range(waiting)])
        partition = await pool.fetchval(
            "select partition from rs_order.outbox where stream = $1 limit 1",
            order_stream(TENANT, order),
        )
        before = await _rows_read(pool)
        async with outbox.claim(partition, limit) as claim:
            assert claim is not None
            assert len(claim.rows) == limit
        read_by_claim = await _rows_read(pool) - before
        lag = await outbox.lag()
        read_by_lag = await _rows_read(pool) - before - read_by_claim

    assert read_by_claim <= 2 * rejected + limit
    assert lag.rows == waiting
    assert read_by_lag <= 100 * (waiting + 2 * rejected), "one pass for each partition and kind"


async def _rows_read(pool: Pool) -> int:
    """Return the number of rows of the outbox that statements have read so far."""
    await pool.execute("select pg_stat_force_next_flush()")
    read = await pool.fetchval(
        "select seq_tup_read + idx_tup_fetch from pg_stat_user_tables where relname = 'outbox'"
    )
    return int(read)


async def test_a_delayed_row_that_was_rejected_waits_too(
    store: Store, outbox: Outbox, clock: ManualClock
) -> None:
    """Its due time has passed, and it isn't claimed before its pause is over."""
    message = DeleteFilesStep(OrderId(1)).to(TENANT, clock.now())
    await store.send([message])
    (row,) = await claimed(outbox)
    for partition in (await outbox.check()).ready_partitions:
        async with outbox.claim(partition, 10) as claim:
            assert claim is not None
            await claim.postpone([row.id])

    assert await claimed(outbox) == []
    assert (await outbox.check()).ready_partitions == []
    assert (await outbox.check()).seconds_to_next == 1

    clock.move(seconds=1)

    assert await claimed(outbox) == [replace(row, was_rejected=True)]


async def test_steps_are_claimed_apart_from_messages_to_peers(
    store: Store, outbox: Outbox, rows: TenantRows
) -> None:
    """A peer that is slow to receive its messages holds back no step."""
    order = await rows.order()
    steps = [DeleteFilesStep(OrderId(number)).to(TENANT) for number in range(50)]
    await store.send([a_response(order, "1"), *steps])
    kinds: dict[bool, set[MessageKind]] = {True: set(), False: set()}
    for partition in PARTITIONS:
        async with outbox.claim(partition, 100) as claim:
            assert claim is not None
            kinds[partition >= FIRST_STEP_PARTITION] |= {row.kind for row in claim.rows}

    assert kinds == {True: {MessageKind.STEP}, False: {MessageKind.ORDER_RESPONSE}}


async def texts(outbox: Outbox, limit: int = 100) -> list[str]:
    """Return the texts of all due responses, by id within a partition."""
    return sorted(orjson.loads(row.body)["text"] for row in await claimed(outbox, limit))


async def _reject(outbox: Outbox, text: str) -> None:
    for partition in PARTITIONS:
        async with outbox.claim(partition, 1000) as claim:
            assert claim is not None
            await claim.postpone(_with_text(claim.rows, text))


async def _remove(outbox: Outbox, text: str) -> None:
    for partition in PARTITIONS:
        async with outbox.claim(partition, 1000) as claim:
            assert claim is not None
            await claim.remove(_with_text(claim.rows, text))


def _with_text(rows: Sequence[OutboxRow], text: str) -> list[int]:
    return [row.id for row in rows if orjson.loads(row.body)["text"] == text]
