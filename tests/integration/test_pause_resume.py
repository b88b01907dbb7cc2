"""A paused order holds nothing and loses nothing; a resumed one goes on where it stood (O6, O7)."""

import asyncio
from datetime import timedelta

import pytest

from rs_order.core.shared_steps import CompleteOrderStep, ScheduleStep
from rs_order.domain.ids import OrderId
from rs_order.domain.states import FileState, OrderStatus, SubOrderKind, SubOrderState
from rs_order.ports import RemoteUnavailable
from rs_order.scheduling.restoration import AskAgainStep
from rs_order.store.pool import Pool
from tests.integration.app_harness import ALAN, JANE, TENANT, AppHarness, one_file
from tests.support.clock import NOW
from tests.support.polling import eventually
from tests.support.rows import OWNER, TenantRows

P, A, D, E = FileState.PENDING, FileState.AVAILABLE, FileState.DOWNLOADED, FileState.ERROR


async def running_order(app: AppHarness, *files: str) -> OrderId:
    """An order with one sub-order that storage was asked for."""
    order = await app.order(*files)
    await app.run()

    assert await app.status(order) == "RUNNING"
    assert await app.sub_orders(order) == [("STORAGE", "RUNNING")]
    return order


async def test_a_pause_sends_running_sub_orders_back_to_their_places(app: AppHarness) -> None:
    """With their ranks, and by name of who paused; nothing is asked while the order is paused."""
    order = await running_order(app, "a", "b")
    (before,) = await app.rows("select rank, asks from sub_order")
    await app.actions.pause(ALAN, order)
    await app.run()
    (after,) = await app.rows("select state, rank, asks from sub_order")
    reasons = await app.rows(
        "select before, after, reason from history where sub_order_id is not null order by id desc limit 1"
    )

    assert after == {"state": "READY", **before}
    assert (await app.history(order))[-1] == ("RUNNING", "PAUSED", "paused", ALAN.email)
    assert reasons == [{"before": "RUNNING", "after": "READY", "reason": "order-paused"}]
    assert await app.restore_requests() == [["a", "b"]]


async def test_a_pause_frees_the_slot_of_its_owner_for_his_other_orders(pool: Pool) -> None:
    """And the place of the service, which the limit counts."""
    app = AppHarness(pool, max_storage_files_jobs_per_user=1, jobs_pool_size=1)
    first = await running_order(app, "a")
    second = await app.order("b")
    await app.run()

    assert await app.sub_orders(second) == [("STORAGE", "READY")]

    await app.actions.pause(JANE, first)
    await app.run()

    assert await app.sub_orders(second) == [("STORAGE", "RUNNING")]
    assert await app.rows("select count(*) from rs_order.running_sub_order") == [{"count": 1}]
    assert await app.miscounted() == []


async def test_reminders_of_a_paused_sub_order_do_nothing(app: AppHarness) -> None:
    """Nobody is impatient, and nothing is given up, however long the pause."""
    order = await running_order(app, "a")
    await app.actions.pause(JANE, order)
    app.clock.move(hours=5)
    reminders = await app.steps(AskAgainStep)
    await app.run(AskAgainStep)

    assert len(reminders) == 1
    assert await app.steps(AskAgainStep) == []
    assert await app.restore_requests() == [["a"]]
    assert await app.files(order) == {"a": "PENDING"}


@pytest.mark.parametrize(
    ("unavailable", "file", "sub_order", "status", "told"),
    [
        (False, "AVAILABLE", "WAITING", "DONE", ["SUBORDER_DONE", "DONE"]),
        (True, "ERROR", "ENDED", "FAILED", ["FAILED"]),
    ],
)
async def test_k4_what_storage_answers_in_a_pause_counts(
    app: AppHarness,
    *,
    unavailable: bool,
    file: str,
    sub_order: str,
    status: str,
    told: list[str],
) -> None:
    """A request can't be recalled: the last answer ends a paused order."""
    order = await running_order(app, "a")
    await app.actions.pause(JANE, order)
    if unavailable:
        await app.storage_answers(a="tape is broken")
    else:
        await app.storage_answers("a")

    assert await app.files(order) == {"a": file}
    assert await app.sub_orders(order) == [("STORAGE", sub_order)]
    assert await app.status(order) == status
    assert [status for status, _ in await app.responses_about(order)] == told


async def test_w19_a_resumed_order_asks_for_what_is_not_settled_and_nothing_else(
    app: AppHarness,
) -> None:
    """A file that was downloaded stays so; one that failed isn't asked for again."""
    order = await running_order(app, "a", "b", "c", "d")
    await app.storage_answers("a", "b", d="tape is broken")
    await app.downloaded(order, "a")
    await app.actions.pause(JANE, order)
    await app.actions.resume(JANE, order)
    await app.run()

    assert await app.files(order) == {
        "a": "DOWNLOADED",
        "b": "AVAILABLE",
        "c": "PENDING",
        "d": "ERROR",
    }
    assert await app.restore_requests() == [["a", "b", "c", "d"], ["c"]]
    assert (await app.history(order))[-2:] == [
        ("RUNNING", "PAUSED", "paused", JANE.email),
        ("PAUSED", "RUNNING", "resumed", JANE.email),
    ]

    await app.storage_answers("c")

    assert await app.status(order) == "DONE_WITH_WARNING"


async def test_patience_with_storage_begins_anew_after_a_pause(app: AppHarness) -> None:
    """Two days of pause are no silence; the reminder of the time before finds another number."""
    order = await running_order(app, "a")
    await app.actions.pause(JANE, order)
    app.clock.move(hours=60)
    await app.actions.resume(JANE, order)
    await app.run(ScheduleStep)
    (sub_order,) = await app.rows("select asks, asked_at from sub_order")

    assert sub_order == {"asks": 2, "asked_at": NOW + timedelta(hours=60)}

    await app.run_one(AskAgainStep)

    assert await app.restore_requests() == [["a"], ["a"]]
    assert await app.files(order) == {"a": "PENDING"}


async def test_a_pause_comes_between_two_schedules(app: AppHarness, pool: Pool) -> None:
    """A sub-order of a paused order is passed over, and started once it is resumed."""
    order = await app.order("a")
    await app.run(CompleteOrderStep)
    await app.actions.pause(JANE, order)
    await app.run()

    assert await app.restore_requests() == []

    await app.actions.resume(JANE, order)
    await app.run()

    assert await app.restore_requests() == [["a"]]


async def test_w9_a_completion_stops_at_a_pause_and_goes_on_where_it_stood(pool: Pool) -> None:
    """No page is read in the pause, none twice, none left out; percent stays 0 as for a pending order."""
    app = AppHarness(pool, batch_size=1)
    order = await app.order("a", "b", "c")
    await app.run_one()
    await app.actions.pause(JANE, order)
    await app.run()
    paused = await app.view(order)

    assert app.catalog.read == [0]
    assert (await app.status(order), paused.percent) == ("PAUSED", 0)
    assert paused.expires_at is None

    await app.actions.resume(JANE, order)

    assert await app.status(order) == "PENDING"

    await app.run()

    assert app.catalog.read == [0, 1, 2, 3]
    assert await app.status(order) == "RUNNING"
    assert await app.files(order) == dict.fromkeys("abc", "PENDING")
    assert await app.miscounted() == []


async def test_w9_the_answer_to_a_page_that_comes_in_a_pause_is_thrown_away(
    app: AppHarness,
) -> None:
    """Whoever pauses decides later than who asked; the page is read again after the pause."""
    order = await app.order("a")
    reading = app.catalog.hold()
    step = asyncio.create_task(app.run_one())
    await app.catalog.reached.wait()
    await app.actions.pause(JANE, order)
    reading.set()
    await step

    assert await app.files(order) == {}
    assert await app.status(order) == "PAUSED"

    await app.actions.resume(JANE, order)
    await app.run()

    assert await app.files(order) == {"a": "PENDING"}
    assert await app.status(order) == "RUNNING"


async def test_w9_a_half_read_order_does_not_end_in_its_pause(pool: Pool) -> None:
    """Its only files so far are external and downloaded; more are to come."""
    app = AppHarness(pool, batch_size=1001)
    external = [one_file(f"e{number}", external=True) for number in range(1001)]
    order = await app.order("z", products=external)
    await app.run_one()
    await app.actions.pause(JANE, order)
    await app.downloaded(order, *(f"e{number}" for number in range(1001)))

    assert await app.sub_orders(order) == [("EXTERNAL", "ENDED")]
    assert await app.status(order) == "PAUSED"

    await app.actions.resume(JANE, order)
    await app.run()

    assert await app.status(order) == "RUNNING"
    assert (await app.files(order))["z"] == "PENDING"
    assert await app.miscounted() == []


async def test_trouble_from_before_a_pause_is_forgotten(app: AppHarness) -> None:
    """An hour of pause is no hour in which the catalog was asked in vain."""
    order = await app.order("a")
    app.catalog.error = RemoteUnavailable("rs-catalog", "is down")
    await app.run_one()
    await app.actions.pause(JANE, order)
    app.clock.move(hours=1)
    await app.actions.resume(JANE, order)
    await app.run_one()
    (completion,) = await app.rows("select attempts from completion")

    assert await app.status(order) == "PENDING"
    assert completion == {"attempts": 1}


async def test_w8_a_pause_and_an_answer_at_the_same_time_both_count(
    app: AppHarness, rows: TenantRows
) -> None:
    """Whoever comes second sees what the first wrote: no status and no counter is overwritten."""
    orders = [await rows.order() for _ in range(10)]
    for order in orders:
        await rows.sub_order(order, {f"a{order}": P, f"b{order}": P})
    await asyncio.gather(
        *(app.actions.pause(JANE, order) for order in orders),
        *(app.storage_answers(f"a{order}") for order in orders),
    )

    assert {await app.status(order) for order in orders} == {"PAUSED"}
    for order in orders:
        assert await app.files(order) == {f"a{order}": "AVAILABLE", f"b{order}": "PENDING"}
        assert await app.sub_orders(order) == [("STORAGE", "READY")]


async def test_a_late_answer_overtakes_the_start_of_a_resumed_sub_order(pool: Pool) -> None:
    """The round that had found it ready looks again behind the lock, and calls for another round."""
    app = AppHarness(pool, files_bucket_size_mb=10 / 1024 / 1024)
    order = await app.order("a", "b")
    await app.run()
    await app.actions.pause(JANE, order)
    await app.actions.resume(JANE, order)
    await app.rows("delete from rs_order.outbox")
    async with app.store.unit_of_work(TENANT) as uow:
        await uow.orders.lock([order])
        answer = asyncio.create_task(app.storage_answers("a"))
        await _waiting(pool, 1)
        round_ = asyncio.create_task(app.do({"step": "schedule", "owner": OWNER}))
        await _waiting(pool, 2)
    await asyncio.gather(answer, round_)

    assert await app.sub_orders(order) == [("STORAGE", "WAITING"), ("STORAGE", "RUNNING")]
    assert await app.restore_requests() == [["b"]]
    assert len(await app.steps(ScheduleStep)) == 1
    assert await app.miscounted() == []


async def _waiting(pool: Pool, count: int) -> None:
    """Until so many transactions wait for a lock."""
    query = f"select count(*) >= {count} from pg_locks where not granted"  # noqa: S608 - a number
    await eventually(lambda: pool.fetchval(query), f"{count} transactions that wait for a lock")


async def test_a_resumed_order_without_a_pending_file_ends_at_once(
    app: AppHarness, rows: TenantRows
) -> None:
    """Nothing would ever end it otherwise; its peers are told."""
    order = await rows.order(OrderStatus.PAUSED)
    await rows.sub_order(order, {"a": D, "b": E}, state=SubOrderState.ENDED)
    await app.actions.resume(JANE, order)

    assert await app.status(order) == "DONE_WITH_WARNING"
    assert await app.responses_about(order) == [("FAILED", 1)]
    assert [line[:3] for line in await app.history(order)] == [
        ("PAUSED", "RUNNING", "resumed"),
        ("RUNNING", "DONE_WITH_WARNING", "resumed"),
    ]


async def test_external_files_of_a_paused_order_can_be_downloaded(
    app: AppHarness, rows: TenantRows
) -> None:
    """They wait for nobody; the order goes on waiting for its stored ones."""
    order = await rows.order(OrderStatus.PAUSED)
    await rows.sub_order(order, {"a": P}, state=SubOrderState.READY)
    await rows.sub_order(order, {"x": A}, state=SubOrderState.WAITING, kind=SubOrderKind.EXTERNAL)
    await app.downloaded(order, "x")

    assert await app.status(order) == "PAUSED"
    assert await app.sub_orders(order) == [("STORAGE", "READY"), ("EXTERNAL", "ENDED")]


async def test_a_paused_order_expires_at_its_time(app: AppHarness) -> None:
    """O11: a pause stops no clock."""
    order = await running_order(app, "a")
    await app.actions.pause(JANE, order)
    app.clock.move(hours=6.1)
    await app.run()

    assert await app.status(order) == "EXPIRED"
    assert await app.files(order) == {}


async def test_an_order_is_paused_and_resumed_again_and_again(app: AppHarness) -> None:
    """Each time it asks for what is left; in the end it is done, and told so once."""
    order = await running_order(app, "a", "b")
    for _ in range(3):
        await app.actions.pause(JANE, order)
        await app.actions.resume(JANE, order)
        await app.run()
    await app.storage_answers("a", "b")

    assert await app.restore_requests() == [["a", "b"]] * 4
    assert await app.responses_about(order) == [("SUBORDER_DONE", 1), ("DONE", 1)]
