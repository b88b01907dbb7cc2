"""A retry requests only the files in error again, and ends once with right counters (W18, T1 to T4)."""

import asyncio
from datetime import timedelta

import pytest

from rs_order.actions.retry_order import RetryOrderStep
from rs_order.core.errors import ActionRejected
from rs_order.core.shared_steps import AskAgainStep, ExpireOrderStep, ScheduleStep
from rs_order.domain.ids import OrderId
from rs_order.domain.states import FileState, OrderStatus, SubOrderKind, SubOrderState
from rs_order.store.pool import Pool
from tests.integration.app_harness import JANE, AppHarness, one_file
from tests.support.clock import NOW
from tests.support.polling import until_waiting_for_locks
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
    """Retry two files per step."""
    app.use_slices(retried_files=2)


async def failed_order(app: AppHarness, rows: TenantRows, files: dict[str, FileState]) -> OrderId:
    """Create a final order with one storage sub-order of these files."""
    order = await rows.order(OrderStatus.DONE_WITH_WARNING)
    state = WAITING if A in files.values() else ENDED
    await rows.sub_order(order, files, state=state)
    return order


async def test_w18_only_the_two_of_seven_files_that_failed_are_retried(app: AppHarness) -> None:
    """Available and downloaded files stay as they are (T1); the second end is announced, too."""
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
    """It may be retried again; the emptied sub-orders are no longer counted."""
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
    """They need no request (T3): the order ends at once, and its new sub-order is announced once."""
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
    """The owner downloads all files of a new sub-order before it is closed; it ends when it is closed."""
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
    """The owner's only slot is free for the new sub-order."""
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
async def test_w18_an_order_without_files_returns_to_its_status(
    status: OrderStatus, app: AppHarness, rows: TenantRows
) -> None:
    """Promise 1: it doesn't become DONE, and doesn't stay RUNNING until it expires."""
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


async def test_files_of_a_failed_completion_are_not_retried(
    app: AppHarness, rows: TenantRows
) -> None:
    """They are not counted, and the step that deletes them may be late (decision 0008)."""
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
    """Storage can't restore it, so the order would wait two days for nothing."""
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
async def test_a_batch_continues_over_slices(app: AppHarness, rows: TenantRows) -> None:
    """Five files in three slices make one sub-order, as they do in one slice."""
    order = await failed_order(app, rows, dict.fromkeys("abcde", E))
    await app.actions.retry(JANE, order)
    await app.run_one(RetryOrderStep)

    assert await app.sub_orders(order) == [("STORAGE", "ENDED"), ("STORAGE", "BUILDING")]
    assert await app.miscounted() == []

    await app.run()

    assert await app.sub_orders(order) == [("STORAGE", "RUNNING")]
    assert await app.restore_requests() == [list("abcde")]


@pytest.mark.usefixtures("slices_of_two")
async def test_files_that_fill_their_slices_leave_no_batch_open(
    app: AppHarness, rows: TenantRows
) -> None:
    """The slice that finds no more files closes the batch."""
    order = await failed_order(app, rows, dict.fromkeys("abcd", E))
    await app.actions.retry(JANE, order)
    await app.run()

    assert await app.sub_orders(order) == [("STORAGE", "RUNNING")]


@pytest.mark.usefixtures("slices_of_two")
async def test_a_full_batch_is_closed_and_the_next_is_begun(pool: Pool, rows: TenantRows) -> None:
    """The size is checked after each file (domain.md 12.6). None starts early, so the totals are right."""
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
async def test_batches_never_mix_datasets_or_kinds(app: AppHarness, rows: TenantRows) -> None:
    """C10: files of two datasets get different sub-orders, and so do stored and external files."""
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
    """The cursor is already past it; the same holds for a step written before a pause."""
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


async def test_the_end_of_a_retry_is_read_under_the_lock_of_the_order(
    app: AppHarness, rows: TenantRows, pool: Pool
) -> None:
    """A transaction that waits for the last slice sees that it was the last; else the order never ends."""
    order = await failed_order(app, rows, {"a": E})
    await app.actions.retry(JANE, order)
    tenant = JANE.caller.tenant

    async def second() -> bool:
        async with app.store.unit_of_work(tenant) as uow:
            (seen,) = await uow.orders.lock([order])
            return seen.retrying

    async with app.store.unit_of_work(tenant) as uow:
        (held,) = await uow.orders.lock([order])
        held.message = "changed, so that the second transaction reads the row again"
        waiting = asyncio.create_task(second())
        await until_waiting_for_locks(pool)
        await uow.retries.finish([order])
        await uow.orders.save([held], NOW)

    assert held.retrying
    assert not await waiting


async def test_a_second_retry_is_rejected(app: AppHarness, rows: TenantRows) -> None:
    """The order is already running."""
    order = await failed_order(app, rows, {"a": E})
    await app.actions.retry(JANE, order)
    with pytest.raises(ActionRejected, match="ORDER_MUST_BE_DONE_WITH_WARNING_OR_FAILED"):
        await app.actions.retry(JANE, order)

    assert len(await app.steps(RetryOrderStep)) == 1


@pytest.mark.usefixtures("slices_of_two")
async def test_w18_an_order_does_not_end_between_two_slices(
    app: AppHarness, rows: TenantRows
) -> None:
    """A download settles the order while only external files are retried, so that none is pending."""
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


async def test_a_file_that_arrives_before_its_slice_is_not_retried(app: AppHarness) -> None:
    """It is no longer in error, so storage gets no request, and the order is done."""
    order = await timed_out_order(app)
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
    """It answers the first request, and counts although there is no second one yet."""
    order = await timed_out_order(app)
    await app.actions.retry(JANE, order)
    await app.run(RetryOrderStep)

    assert await app.sub_orders(order) == [("STORAGE", "READY")]

    await app.storage_answers("a")
    await app.run()

    assert await app.status(order) == "DONE"
    assert await app.restore_requests() == []


async def timed_out_order(app: AppHarness) -> OrderId:
    """Create an order that failed because storage timed out, and delete its restore requests."""
    order = await app.order("a")
    await app.run()
    for _ in range(10):
        app.clock.move(hours=6)
        await app.run(AskAgainStep)

    assert await app.status(order) == "FAILED"

    await app.rows("delete from rs_order.outbox where kind = 'RESTORE_REQUEST'")
    return order


@pytest.mark.parametrize("files", [1, 3])
async def test_the_expiry_date_of_a_retried_order_follows_its_new_sub_orders(
    files: int, pool: Pool, rows: TenantRows
) -> None:
    """Each counts with the users' duration (domain.md 12.6); the step of the old date expires nothing."""
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


async def test_a_retry_of_an_order_past_its_expiry_date_does_not_expire_it(
    app: AppHarness, rows: TenantRows
) -> None:
    """The expiry step of the old date may come again; it finds the new date."""
    order = await failed_order(app, rows, {"a": E})
    await app.rows("update orders set expires_at = $1", NOW - timedelta(days=30))
    await app.actions.retry(JANE, order)
    await app.do({"step": "expire-order", "orderId": order})

    assert await app.status(order) == "RUNNING"


@pytest.mark.usefixtures("slices_of_two")
async def test_a_retry_continues_after_a_pause(app: AppHarness, rows: TenantRows) -> None:
    """During the pause no slice is retried, and the order doesn't end."""
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
async def test_an_order_can_be_deleted_during_its_retry(
    how: str, app: AppHarness, rows: TenantRows
) -> None:
    """Its steps find nothing to do, and none of its files is left."""
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


async def test_w18_a_retry_lowers_the_percentage(app: AppHarness, rows: TenantRows) -> None:
    """K5: 10 of 12 files are settled while two are retried."""
    files = {**{f"a{number}": D for number in range(10)}, "e1": E, "e2": E}
    order = await failed_order(app, rows, files)

    assert (await app.view(order)).percent == 100

    await app.actions.retry(JANE, order)
    await app.run()
    view = await app.view(order)

    assert (view.percent, view.errors, view.status) == (83, 0, OrderStatus.RUNNING)
