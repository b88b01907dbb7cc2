"""A retry tries the files in error again, and only these; it ends once, and well counted (W18, T1 to T4)."""

import asyncio
from datetime import timedelta

import pytest

from rs_order.actions.retry_order import RetryOrderStep
from rs_order.core.errors import ActionRejected
from rs_order.core.shared_steps import ExpireOrderStep, ScheduleStep
from rs_order.domain.ids import OrderId
from rs_order.domain.states import FileState, OrderStatus, SubOrderKind, SubOrderState
from rs_order.scheduling.restoration import AskAgainStep
from rs_order.store.pool import Pool
from tests.integration.app_harness import JANE, AppHarness, one_file
from tests.integration.test_unit_of_work import waiting_for_a_lock
from tests.support.clock import NOW
from tests.support.rows import OWNER, TenantRows

A, D, DE, E, PE = (
    FileState.AVAILABLE,
    FileState.DOWNLOADED,
    FileState.DOWNLOAD_ERROR,
    FileState.ERROR,
    FileState.PROCESSING_ERROR,
)
ENDED, WAITING = SubOrderState.ENDED, SubOrderState.WAITING
STORAGE, EXTERNAL = SubOrderKind.STORAGE, SubOrderKind.EXTERNAL


@pytest.fixture
def slices_of_two(app: AppHarness) -> None:
    """Make many slices of few files."""
    app.use_slices(retried_files=2)


async def failed_order(app: AppHarness, rows: TenantRows, files: dict[str, FileState]) -> OrderId:
    """An ended order with one storage sub-order of these files."""
    order = await rows.order(OrderStatus.DONE_WITH_WARNING)
    state = WAITING if A in files.values() else ENDED
    await rows.sub_order(order, files, state=state)
    return order


async def test_w18_the_two_of_seven_files_that_failed_are_tried_again(app: AppHarness) -> None:
    """Healthy and downloaded files stay as they are (T1); the second end is told, too."""
    order = await app.order(*"abcdefg")
    await app.run()
    await app.storage_answers(*"abcde", f="tape is broken", g="tape is broken")
    await app.downloaded(order, "a")

    assert await app.status(order) == "DONE_WITH_WARNING"

    await app.actions.retry(JANE, order)

    assert await app.status(order) == "RUNNING"

    await app.run()

    assert await app.restore_requests() == [list("abcdefg"), ["f", "g"]]
    assert await app.sub_orders(order) == [("STORAGE", "WAITING"), ("STORAGE", "RUNNING")]
    assert await app.files(order) == {
        "a": "DOWNLOADED",
        **dict.fromkeys("bcde", "AVAILABLE"),
        **dict.fromkeys("fg", "PENDING"),
    }

    await app.storage_answers("f", "g")

    assert await app.status(order) == "DONE"
    assert await app.responses_about(order) == [
        ("SUBORDER_DONE", 1),
        ("FAILED", 1),
        ("SUBORDER_DONE", 2),
        ("DONE", 2),
    ]
    assert [line[1:] for line in await app.history(order)][-3:] == [
        ("DONE_WITH_WARNING", "storage-answered", "storage"),
        ("RUNNING", "retried", JANE.email),
        ("DONE", "storage-answered", "storage"),
    ]


async def test_w18_a_retry_that_fails_again_ends_again(app: AppHarness) -> None:
    """And may be retried again; the emptied sub-orders are no longer counted."""
    order = await app.order("a")
    await app.run()
    for _ in range(2):
        await app.storage_answers(a="tape is broken")

        assert await app.status(order) == "FAILED"

        await app.actions.retry(JANE, order)
        await app.run()

        assert await app.sub_orders(order) == [("STORAGE", "RUNNING")]

    await app.storage_answers("a")

    assert await app.responses_about(order) == [
        ("FAILED", 1),
        ("FAILED", 1),
        ("SUBORDER_DONE", 1),
        ("DONE", 1),
    ]


async def test_w18_all_three_errors_are_retried_and_nothing_else(
    app: AppHarness, rows: TenantRows
) -> None:
    """decisions.md, Retry: ERROR, DOWNLOAD_ERROR and PROCESSING_ERROR (T2)."""
    files = {"a": A, "d": D, "de": DE, "e": E, "pe": PE}
    order = await failed_order(app, rows, files)
    await app.actions.retry(JANE, order)
    await app.run()

    assert await app.files(order) == {
        "a": "AVAILABLE",
        "d": "DOWNLOADED",
        "de": "PENDING",
        "e": "PENDING",
        "pe": "PENDING",
    }
    assert await app.restore_requests() == [["de", "e", "pe"]]


async def test_w18_external_files_are_available_again(app: AppHarness, rows: TenantRows) -> None:
    """Nobody has to be asked for them (T3): the order ends at once, its new sub-order is announced once."""
    order = await rows.order(OrderStatus.DONE_WITH_WARNING)
    await rows.sub_order(order, {"x": D, "y": DE}, state=ENDED, kind=EXTERNAL)
    await rows.sub_order(order, {"a": A}, state=WAITING)
    await app.actions.retry(JANE, order)
    await app.run()

    assert await app.files(order) == {"x": "DOWNLOADED", "y": "AVAILABLE", "a": "AVAILABLE"}
    assert await app.sub_orders(order) == [
        ("EXTERNAL", "ENDED"),
        ("STORAGE", "WAITING"),
        ("EXTERNAL", "WAITING"),
    ]
    assert await app.status(order) == "DONE"
    assert await app.responses_about(order) == [("SUBORDER_DONE", 3), ("DONE", 3)]


@pytest.mark.usefixtures("slices_of_two")
async def test_external_files_that_are_downloaded_between_two_slices(
    app: AppHarness, rows: TenantRows
) -> None:
    """The owner downloads all files of a new sub-order before it is complete: it ends when it is closed."""
    order = await rows.order(OrderStatus.DONE_WITH_WARNING)
    await rows.sub_order(order, {"x": DE, "y": DE}, state=ENDED, kind=EXTERNAL)
    await app.actions.retry(JANE, order)
    await app.run_one(RetryOrderStep)
    await app.downloaded(order, "x", "y")
    await app.run()

    assert await app.sub_orders(order) == [("EXTERNAL", "ENDED")]
    assert await app.status(order) == "DONE"
    assert await app.miscounted() == []


async def test_w18_an_emptied_sub_order_takes_no_slot_and_is_not_counted(pool: Pool) -> None:
    """The owner's only slot is for the new one."""
    app = AppHarness(pool, max_storage_files_jobs_per_user=1)
    order = await app.order("a")
    await app.run()
    await app.storage_answers("a")
    await app.downloaded(order, "a", failed=True)

    assert await app.status(order) == "DONE_WITH_WARNING"

    await app.actions.retry(JANE, order)
    await app.run()

    assert await app.rows("select sub_orders from orders") == [{"sub_orders": 1}]
    assert await app.sub_orders(order) == [("STORAGE", "RUNNING")]
    assert await app.miscounted() == []


@pytest.mark.parametrize("status", [OrderStatus.FAILED, OrderStatus.DONE_WITH_WARNING])
async def test_w18_an_order_without_files_ends_as_it_was(
    status: OrderStatus, app: AppHarness, rows: TenantRows
) -> None:
    """Promise 1: never DONE, and never RUNNING until it expires."""
    order = await rows.order(status)
    await app.actions.retry(JANE, order)

    assert await app.status(order) == "RUNNING"

    await app.run()

    assert await app.status(order) == status
    assert await app.responses_about(order) == [("FAILED", 0)]
    assert [line[:3] for line in await app.history(order)] == [
        (status, "RUNNING", "retried"),
        ("RUNNING", status, "retry-ended"),
    ]


async def test_what_a_failed_completion_left_behind_is_not_retried(
    app: AppHarness, rows: TenantRows
) -> None:
    """It was taken back and isn't counted; the step that deletes it may be late (decision 0008)."""
    order = await rows.order(OrderStatus.FAILED)
    await rows.sub_order(order, {"a": E}, state=ENDED)
    await app.rows("update orders set error_files = 0, error_bytes = 0, sub_orders = 0")
    await app.actions.retry(JANE, order)
    await app.run()

    assert await app.status(order) == "FAILED"
    assert await app.files(order) == {"a": "ERROR"}

    await app.rows("delete from data_file")
    await app.rows("delete from sub_order")


async def test_a_stored_file_without_a_checksum_is_not_retried(app: AppHarness) -> None:
    """Storage can't be asked for it: the order would wait two days for nothing."""
    order = await app.order("a", products=[one_file("b")])
    await app.run()
    await app.storage_answers(a="broken", b="broken")
    await app.rows("update data_file set checksum = null where name = 'b'")
    await app.actions.retry(JANE, order)
    await app.run()

    assert await app.files(order) == {"a": "PENDING", "b": "ERROR"}

    await app.storage_answers("a")

    assert await app.status(order) == "DONE_WITH_WARNING"


@pytest.mark.usefixtures("slices_of_two")
async def test_a_bucket_goes_on_over_slices(app: AppHarness, rows: TenantRows) -> None:
    """Five files in three slices are one sub-order, as in one slice."""
    order = await failed_order(app, rows, dict.fromkeys("abcde", E))
    await app.actions.retry(JANE, order)
    await app.run_one(RetryOrderStep)

    assert await app.sub_orders(order) == [("STORAGE", "ENDED"), ("STORAGE", "BUILDING")]
    assert await app.miscounted() == []

    await app.run()

    assert await app.sub_orders(order) == [("STORAGE", "RUNNING")]
    assert await app.restore_requests() == [list("abcde")]


@pytest.mark.usefixtures("slices_of_two")
async def test_a_number_of_files_that_fills_its_slices_leaves_no_bucket_open(
    app: AppHarness, rows: TenantRows
) -> None:
    """The slice that finds nothing more closes what the one before left open."""
    order = await failed_order(app, rows, dict.fromkeys("abcd", E))
    await app.actions.retry(JANE, order)
    await app.run()

    assert await app.sub_orders(order) == [("STORAGE", "RUNNING")]


@pytest.mark.usefixtures("slices_of_two")
async def test_a_full_bucket_is_closed_and_the_next_is_begun(pool: Pool, rows: TenantRows) -> None:
    """Checked after each file (domain.md 12.6); none starts before all are known, so that totals are true."""
    app = AppHarness(pool, files_bucket_size_mb=20 / 1024 / 1024)
    app.use_slices(retried_files=2)
    order = await failed_order(app, rows, dict.fromkeys("abcde", E))
    await app.actions.retry(JANE, order)
    await app.run_one(RetryOrderStep)
    await app.do({"step": "schedule", "owner": OWNER})

    assert await app.sub_orders(order) == [("STORAGE", "ENDED"), ("STORAGE", "READY")]
    assert await app.restore_requests() == []
    assert await app.steps(ScheduleStep) == []

    await app.run(RetryOrderStep)
    sizes = await app.rows("select pending_files from sub_order order by id")

    assert [row["pending_files"] for row in sizes] == [2, 2, 1]
    assert await app.rows("select sub_orders from orders") == [{"sub_orders": 3}]
    assert await app.miscounted() == []


@pytest.mark.usefixtures("slices_of_two")
async def test_buckets_never_mix_datasets_nor_kinds(app: AppHarness, rows: TenantRows) -> None:
    """C10: files of two datasets, stored and external, go to sub-orders of their own."""
    order = await rows.order(OrderStatus.FAILED)
    await rows.sub_order(order, {"a": E, "b": E, "c": E}, state=ENDED)
    await rows.sub_order(order, {"x": DE}, state=ENDED, kind=EXTERNAL)
    await app.rows(
        "with task as (insert into dataset_task (order_id, dataset_urn, dataset_label, products_count)"
        " values ($1, 'urn', 'Another', 1) returning id)"
        " update data_file set dataset_task_id = task.id from task where name = 'b'",
        order,
    )
    await app.actions.retry(JANE, order)
    await app.run()
    groups = await app.rows(
        "select string_agg(name, '' order by name) as names from data_file"
        " group by sub_order_id order by 1"
    )

    assert [row["names"] for row in groups] == ["ac", "b", "x"]


@pytest.mark.usefixtures("slices_of_two")
async def test_promise_3_a_slice_that_is_done_twice_moves_nothing_the_second_time(
    app: AppHarness, rows: TenantRows
) -> None:
    """Its place is behind the cursor then; so is that of a step written before a pause."""
    order = await failed_order(app, rows, dict.fromkeys("abc", E))
    await app.actions.retry(JANE, order)
    (step,) = await app.steps(RetryOrderStep)
    await app.run_one(RetryOrderStep)
    before = await app.rows("select * from data_file order by id")
    await app.do(step)

    assert await app.rows("select * from data_file order by id") == before
    assert len(await app.steps(RetryOrderStep)) == 1

    await app.run()
    await app.do(step)

    assert await app.sub_orders(order) == [("STORAGE", "RUNNING")]


async def test_what_fills_an_order_is_read_behind_its_lock(
    app: AppHarness, rows: TenantRows, pool: Pool
) -> None:
    """Whoever waits for the last slice sees that it was the last; else nobody would end the order."""
    order = await failed_order(app, rows, {"a": E})
    await app.actions.retry(JANE, order)
    tenant = JANE.caller.tenant

    async def second() -> bool:
        async with app.store.unit_of_work(tenant) as uow:
            (seen,) = await uow.orders.lock([order])
            return seen.retrying

    async with app.store.unit_of_work(tenant) as uow:
        (held,) = await uow.orders.lock([order])
        held.message = "changed, so that the second has to look at the row again"
        waiting = asyncio.create_task(second())
        await waiting_for_a_lock(pool)
        await uow.retries.finish([order])
        await uow.orders.save([held], NOW)

    assert held.retrying
    assert not await waiting


async def test_a_second_click_is_refused(app: AppHarness, rows: TenantRows) -> None:
    """The order runs already."""
    order = await failed_order(app, rows, {"a": E})
    await app.actions.retry(JANE, order)
    with pytest.raises(ActionRejected, match="ORDER_MUST_BE_DONE_WITH_WARNING_OR_FAILED"):
        await app.actions.retry(JANE, order)

    assert len(await app.steps(RetryOrderStep)) == 1


@pytest.mark.usefixtures("slices_of_two")
async def test_w18_an_order_does_not_end_between_two_slices(
    app: AppHarness, rows: TenantRows
) -> None:
    """Nothing is pending there when external files come first, and a download looks at the order."""
    order = await rows.order(OrderStatus.DONE_WITH_WARNING)
    await rows.sub_order(order, {"x": DE, "y": DE, "z": DE}, state=ENDED, kind=EXTERNAL)
    await rows.sub_order(order, {"a": A, "b": E}, state=WAITING)
    await app.actions.retry(JANE, order)
    await app.run_one(RetryOrderStep)
    await app.downloaded(order, "a")

    assert await app.status(order) == "RUNNING"

    await app.run()
    await app.storage_answers("b")

    assert await app.status(order) == "DONE"


async def test_a_late_answer_before_the_slice_spares_the_file(app: AppHarness) -> None:
    """It isn't in error any more when its turn comes; nothing is asked, and the order is done."""
    order = await silent_order(app)
    await app.actions.retry(JANE, order)
    await app.storage_answers("a")
    await app.run()

    assert await app.status(order) == "DONE"
    assert await app.files(order) == {"a": "AVAILABLE"}
    assert await app.restore_requests() == []
    assert await app.responses_about(order) == [("FAILED", 1), ("SUBORDER_DONE", 1), ("DONE", 1)]


async def test_a_late_answer_after_the_slice_settles_the_file_in_its_new_sub_order(
    app: AppHarness,
) -> None:
    """Storage was asked for it before, so its word counts although nobody has asked again yet."""
    order = await silent_order(app)
    await app.actions.retry(JANE, order)
    await app.run(RetryOrderStep)

    assert await app.sub_orders(order) == [("STORAGE", "READY")]

    await app.storage_answers("a")
    await app.run()

    assert await app.status(order) == "DONE"
    assert await app.restore_requests() == []


async def silent_order(app: AppHarness) -> OrderId:
    """FAILED, because storage was silent for two days; what it was asked until then is forgotten."""
    order = await app.order("a")
    await app.run()
    for _ in range(10):
        app.clock.move(hours=6)
        await app.run(AskAgainStep)

    assert await app.status(order) == "FAILED"

    await app.rows("delete from rs_order.outbox where kind = 'RESTORE_REQUEST'")
    return order


@pytest.mark.parametrize("files", [1, 3])
async def test_a_retried_order_gets_the_time_its_new_sub_orders_need(
    files: int, pool: Pool, rows: TenantRows
) -> None:
    """By the user's duration (domain.md 12.6); the step of its old time expires nothing."""
    app = AppHarness(pool, files_bucket_size_mb=10 / 1024 / 1024)
    await app.rows(
        "insert into setting values ('user_order_parameters',"
        ' \'{"subOrderDuration": 3, "delayBeforeEmailNotification": 1}\')'
    )
    order = await failed_order(app, rows, dict.fromkeys("abc"[:files], E))
    await app.rows("update orders set expires_at = $1", NOW + timedelta(hours=1))
    await app.actions.retry(JANE, order)
    await app.run()
    app.clock.move(hours=3.5)
    await app.run(ExpireOrderStep)
    (row,) = await app.rows("select status, expires_at from orders")

    assert row == {"status": "RUNNING", "expires_at": NOW + timedelta(hours=(files + 2) * 3)}

    app.clock.move(hours=files * 3 + 3)
    await app.run(ExpireOrderStep)

    assert await app.status(order) == "EXPIRED"


async def test_a_retry_of_an_order_whose_time_was_over_does_not_expire_it(
    app: AppHarness, rows: TenantRows
) -> None:
    """A FAILED order never expires; its old step, come again, finds a new time."""
    order = await failed_order(app, rows, {"a": E})
    await app.rows("update orders set expires_at = $1", NOW - timedelta(days=30))
    await app.actions.retry(JANE, order)
    await app.do({"step": "expire-order", "orderId": order})

    assert await app.status(order) == "RUNNING"


@pytest.mark.usefixtures("slices_of_two")
async def test_a_retry_goes_on_after_a_pause_where_it_stood(
    app: AppHarness, rows: TenantRows
) -> None:
    """No slice is moved in the pause, and the order doesn't end in it."""
    order = await failed_order(app, rows, dict.fromkeys("abcde", E))
    await app.actions.retry(JANE, order)
    await app.run_one(RetryOrderStep)
    await app.actions.pause(JANE, order)
    await app.run()

    assert await app.status(order) == "PAUSED"
    assert list((await app.files(order)).values()).count("ERROR") == 3

    await app.actions.resume(JANE, order)
    await app.run()

    assert await app.sub_orders(order) == [("STORAGE", "RUNNING")]
    assert await app.files(order) == dict.fromkeys("abcde", "PENDING")


@pytest.mark.usefixtures("slices_of_two")
@pytest.mark.parametrize("how", ["delete", "cancel"])
async def test_an_order_can_go_in_the_middle_of_its_retry(
    how: str, app: AppHarness, rows: TenantRows
) -> None:
    """Its steps find nothing to do; nothing is left of it."""
    order = await failed_order(app, rows, dict.fromkeys("abcde", E))
    await app.actions.retry(JANE, order)
    await app.run_one(RetryOrderStep)
    if how == "delete":
        await app.actions.pause(JANE, order)
        await app.actions.delete(JANE, order)
    else:
        await app.application.orders.cancel.handle(JANE.caller.tenant, [order])
    await app.run()

    assert await app.status(order) == "DELETED"
    assert await app.files(order) == {}
    assert await app.sub_orders(order) == []
    assert await app.rows("select * from retry") == []


async def test_w18_the_percentage_falls_back_and_rises_again(
    app: AppHarness, rows: TenantRows
) -> None:
    """K5: 10 of 12 files are settled while two are tried again."""
    files = {**{f"a{number}": D for number in range(10)}, "e1": E, "e2": E}
    order = await failed_order(app, rows, files)

    assert (await app.view(order)).percent == 100

    await app.actions.retry(JANE, order)
    await app.run()
    view = await app.view(order)

    assert (view.percent, view.errors, view.status) == (83, 0, OrderStatus.RUNNING)
