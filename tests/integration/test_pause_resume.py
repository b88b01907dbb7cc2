"""A paused order holds no slot and loses no file; a resumed one continues where it stopped (O6, O7)."""

import asyncio
from datetime import timedelta

import pytest

from rs_order.core.shared_steps import AskAgainStep, CompleteOrderStep, ScheduleStep
from rs_order.domain.ids import OrderId
from rs_order.domain.states import FileState, OrderStatus, SubOrderKind, SubOrderState
from rs_order.ports import RemoteUnavailable
from rs_order.store.pool import Pool
from tests.integration.app_harness import ALAN, JANE, TENANT, AppHarness, one_file
from tests.support.clock import NOW
from tests.support.polling import until_waiting_for_locks
from tests.support.rows import OWNER, TenantRows

P, A, D, E = FileState.PENDING, FileState.AVAILABLE, FileState.DOWNLOADED, FileState.ERROR


async def running_order(app: AppHarness, *files: str) -> OrderId:
    """Create an order with one sub-order, for which storage has a request."""
    order = await app.order(*files)
    await app.run()

    assert await app.status(order) == "RUNNING"
    assert await app.sub_orders(order) == [("STORAGE", "RUNNING")]
    return order


async def test_a_pause_returns_running_sub_orders_to_the_queue(app: AppHarness) -> None:
    """They keep their ranks; storage gets no request while the order is paused."""
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


async def test_a_pause_frees_its_slot_for_other_orders_of_the_owner(pool: Pool) -> None:
    """It also frees its capacity of the service, which the service's limit counts."""
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
    """Storage is not asked again, and no file times out, however long the pause."""
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
    ("unavailable", "file", "sub_order", "status", "responses"),
    [
        (False, "AVAILABLE", "WAITING", "DONE", ["SUBORDER_DONE", "DONE"]),
        (True, "ERROR", "ENDED", "FAILED", ["FAILED"]),
    ],
)
async def test_k4_an_answer_of_storage_during_a_pause_counts(
    app: AppHarness,
    *,
    unavailable: bool,
    file: str,
    sub_order: str,
    status: str,
    responses: list[str],
) -> None:
    """A restore request can't be withdrawn. The last answer ends the paused order."""
    order = await running_order(app, "a")
    await app.actions.pause(JANE, order)
    if unavailable:
        await app.storage_answers(a="tape is broken")
    else:
        await app.storage_answers("a")

    assert await app.files(order) == {"a": file}
    assert await app.sub_orders(order) == [("STORAGE", sub_order)]
    assert await app.status(order) == status
    assert [status for status, _ in await app.responses_about(order)] == responses


async def test_w19_a_resumed_order_requests_only_its_pending_files(
    app: AppHarness,
) -> None:
    """Downloaded and available files stay so; a failed file isn't requested again."""
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


async def test_the_timeout_of_storage_starts_again_after_a_pause(app: AppHarness) -> None:
    """The time of the pause doesn't count; the reminder from before the pause does nothing."""
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
    """A sub-order of a paused order is skipped, and started once the order is resumed."""
    order = await app.order("a")
    await app.run(CompleteOrderStep)
    await app.actions.pause(JANE, order)
    await app.run()

    assert await app.restore_requests() == []

    await app.actions.resume(JANE, order)
    await app.run()

    assert await app.restore_requests() == [["a"]]


async def test_w9_a_completion_stops_at_a_pause_and_continues_after_it(pool: Pool) -> None:
    """Each page is read once, and none during the pause; percent stays 0 as for a pending order."""
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

    assert app.catalog.read == [0, 1, 2]
    assert await app.status(order) == "RUNNING"
    assert await app.files(order) == dict.fromkeys("abc", "PENDING")
    assert await app.miscounted() == []


async def test_w9_a_page_that_arrives_during_a_pause_is_ignored(app: AppHarness) -> None:
    """It was requested before the pause; it is read again after it."""
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


async def test_w9_a_half_read_order_does_not_end_during_its_pause(pool: Pool) -> None:
    """All files read so far are external and downloaded, but there is another page."""
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


async def test_attempts_before_a_pause_do_not_count_after_it(app: AppHarness) -> None:
    """The time of the pause is no time in which the catalog was unavailable."""
    order = await app.order("a")
    app.catalog.error = RemoteUnavailable("rs-catalog", "is down")
    await app.run_one(CompleteOrderStep)
    await app.actions.pause(JANE, order)
    app.clock.move(hours=1)
    await app.actions.resume(JANE, order)
    await app.run_one(CompleteOrderStep)
    (completion,) = await app.rows("select attempts from completion")

    assert await app.status(order) == "PENDING"
    assert completion == {"attempts": 1}


async def test_w8_a_pause_and_an_answer_at_the_same_time_both_count(
    app: AppHarness, rows: TenantRows
) -> None:
    """The second sees what the first wrote, so no status and no counter is overwritten."""
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
    """The schedule checks the sub-order again under the lock, and writes another schedule step."""
    app = AppHarness(pool, files_bucket_size_mb=10 / 1024 / 1024)
    order = await app.order("a", "b")
    await app.run()
    await app.actions.pause(JANE, order)
    await app.actions.resume(JANE, order)
    await app.rows("delete from rs_order.outbox")
    async with app.store.unit_of_work(TENANT) as uow:
        await uow.orders.lock([order])
        answer = asyncio.create_task(app.storage_answers("a"))
        await until_waiting_for_locks(pool)
        schedule = asyncio.create_task(app.do({"step": "schedule", "owner": OWNER}))
        await until_waiting_for_locks(pool, 2)
    await asyncio.gather(answer, schedule)

    assert await app.sub_orders(order) == [("STORAGE", "WAITING"), ("STORAGE", "RUNNING")]
    assert await app.restore_requests() == [["b"]]
    assert len(await app.steps(ScheduleStep)) == 1
    assert await app.miscounted() == []


async def test_a_resumed_order_without_a_pending_file_ends_at_once(
    app: AppHarness, rows: TenantRows
) -> None:
    """Nothing else would ever end it. Its peers get the response."""
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
    """Their sub-order ends; the order stays paused, with its stored files pending."""
    order = await rows.order(OrderStatus.PAUSED)
    await rows.sub_order(order, {"a": P}, state=SubOrderState.READY)
    await rows.sub_order(order, {"x": A}, state=SubOrderState.WAITING, kind=SubOrderKind.EXTERNAL)
    await app.downloaded(order, "x")

    assert await app.status(order) == "PAUSED"
    assert await app.sub_orders(order) == [("STORAGE", "READY"), ("EXTERNAL", "ENDED")]


async def test_a_paused_order_expires_at_its_expiry_date(app: AppHarness) -> None:
    """O11: a pause doesn't change the expiry date."""
    order = await running_order(app, "a")
    await app.actions.pause(JANE, order)
    app.clock.move(hours=6.1)
    await app.run()

    assert await app.status(order) == "EXPIRED"
    assert await app.files(order) == {}


async def test_an_order_can_be_paused_and_resumed_several_times(app: AppHarness) -> None:
    """Each resume requests the pending files; DONE is announced once."""
    order = await running_order(app, "a", "b")
    for _ in range(3):
        await app.actions.pause(JANE, order)
        await app.actions.resume(JANE, order)
        await app.run()
    await app.storage_answers("a", "b")

    assert await app.restore_requests() == [["a", "b"]] * 4
    assert await app.responses_about(order) == [("SUBORDER_DONE", 1), ("DONE", 1)]
