"""A retry tries the files in error again, and only these; it ends once, and well counted (W18, T1 to T4)."""

import asyncio
from datetime import timedelta

import pytest

from rs_order.application.act import RetryOrderStep, retry_order
from rs_order.application.ask_storage import AskAgainStep
from rs_order.application.errors import ActionRefused
from rs_order.application.steps import ExpireOrderStep, ScheduleStep
from rs_order.domain.ids import OrderId
from rs_order.domain.states import FileState, OrderStatus, SubOrderKind, SubOrderState
from rs_order.store.pool import Pool
from tests.integration.test_unit_of_work import waiting_for_a_lock
from tests.integration.workshop import JANE, Workshop, one_file
from tests.support.rows import NOW, OWNER, TenantRows

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
def slices_of_two(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that few files make many slices."""
    monkeypatch.setattr(retry_order, "SLICE", 2)


async def failed_order(
    workshop: Workshop, rows: TenantRows, files: dict[str, FileState]
) -> OrderId:
    """An ended order with one storage sub-order of these files."""
    order = await rows.order(OrderStatus.DONE_WITH_WARNING)
    state = WAITING if A in files.values() else ENDED
    await rows.sub_order(order, files, state=state)
    return order


async def test_w18_the_two_of_seven_files_that_failed_are_tried_again(workshop: Workshop) -> None:
    """Healthy and downloaded files stay as they are (T1); the second end is told, too."""
    order = await workshop.order(*"abcdefg")
    await workshop.run()
    await workshop.storage_says(*"abcde", f="tape is broken", g="tape is broken")
    await workshop.downloaded(order, "a")

    assert await workshop.status(order) == "DONE_WITH_WARNING"

    await workshop.actions.retry(JANE, order)

    assert await workshop.status(order) == "RUNNING"

    await workshop.run()

    assert await workshop.asked() == [list("abcdefg"), ["f", "g"]]
    assert await workshop.sub_orders(order) == [("STORAGE", "WAITING"), ("STORAGE", "RUNNING")]
    assert await workshop.files(order) == {
        "a": "DOWNLOADED",
        **dict.fromkeys("bcde", "AVAILABLE"),
        **dict.fromkeys("fg", "PENDING"),
    }

    await workshop.storage_says("f", "g")

    assert await workshop.status(order) == "DONE"
    assert await workshop.told(order) == [
        ("SUBORDER_DONE", 1),
        ("FAILED", 1),
        ("SUBORDER_DONE", 2),
        ("DONE", 2),
    ]
    assert [line[1:] for line in await workshop.history(order)][-3:] == [
        ("DONE_WITH_WARNING", "storage-answered", "storage"),
        ("RUNNING", "retried", JANE.email),
        ("DONE", "storage-answered", "storage"),
    ]


async def test_w18_a_retry_that_fails_again_ends_again(workshop: Workshop) -> None:
    """And may be retried again; the emptied sub-orders are no longer counted."""
    order = await workshop.order("a")
    await workshop.run()
    for _ in range(2):
        await workshop.storage_says(a="tape is broken")

        assert await workshop.status(order) == "FAILED"

        await workshop.actions.retry(JANE, order)
        await workshop.run()

        assert await workshop.sub_orders(order) == [("STORAGE", "RUNNING")]

    await workshop.storage_says("a")

    assert await workshop.told(order) == [
        ("FAILED", 1),
        ("FAILED", 1),
        ("SUBORDER_DONE", 1),
        ("DONE", 1),
    ]


async def test_w18_all_three_errors_are_retried_and_nothing_else(
    workshop: Workshop, rows: TenantRows
) -> None:
    """decisions.md, Retry: ERROR, DOWNLOAD_ERROR and PROCESSING_ERROR (T2)."""
    files = {"a": A, "d": D, "de": DE, "e": E, "pe": PE}
    order = await failed_order(workshop, rows, files)
    await workshop.actions.retry(JANE, order)
    await workshop.run()

    assert await workshop.files(order) == {
        "a": "AVAILABLE",
        "d": "DOWNLOADED",
        "de": "PENDING",
        "e": "PENDING",
        "pe": "PENDING",
    }
    assert await workshop.asked() == [["de", "e", "pe"]]


async def test_w18_external_files_are_available_again(workshop: Workshop, rows: TenantRows) -> None:
    """Nobody has to be asked for them (T3): the order ends at once, its new sub-order is announced once."""
    order = await rows.order(OrderStatus.DONE_WITH_WARNING)
    await rows.sub_order(order, {"x": D, "y": DE}, state=ENDED, kind=EXTERNAL)
    await rows.sub_order(order, {"a": A}, state=WAITING)
    await workshop.actions.retry(JANE, order)
    await workshop.run()

    assert await workshop.files(order) == {"x": "DOWNLOADED", "y": "AVAILABLE", "a": "AVAILABLE"}
    assert await workshop.sub_orders(order) == [
        ("EXTERNAL", "ENDED"),
        ("STORAGE", "WAITING"),
        ("EXTERNAL", "WAITING"),
    ]
    assert await workshop.status(order) == "DONE"
    assert await workshop.told(order) == [("SUBORDER_DONE", 3), ("DONE", 3)]


async def test_w18_an_emptied_sub_order_takes_no_slot_and_is_not_counted(pool: Pool) -> None:
    """The owner's only slot is for the new one."""
    workshop = Workshop(pool, max_storage_files_jobs_per_user=1)
    order = await workshop.order("a")
    await workshop.run()
    await workshop.storage_says("a")
    await workshop.downloaded(order, "a", failed=True)

    assert await workshop.status(order) == "DONE_WITH_WARNING"

    await workshop.actions.retry(JANE, order)
    await workshop.run()

    assert await workshop.rows("select sub_orders from orders") == [{"sub_orders": 1}]
    assert await workshop.sub_orders(order) == [("STORAGE", "RUNNING")]
    assert await workshop.miscounted() == []


@pytest.mark.parametrize("status", [OrderStatus.FAILED, OrderStatus.DONE_WITH_WARNING])
async def test_w18_an_order_without_files_ends_as_it_was(
    status: OrderStatus, workshop: Workshop, rows: TenantRows
) -> None:
    """Promise 1: never DONE, and never RUNNING until it expires."""
    order = await rows.order(status)
    await workshop.actions.retry(JANE, order)

    assert await workshop.status(order) == "RUNNING"

    await workshop.run()

    assert await workshop.status(order) == status
    assert await workshop.told(order) == [("FAILED", 0)]
    assert [line[:3] for line in await workshop.history(order)] == [
        (status, "RUNNING", "retried"),
        ("RUNNING", status, "retry-ended"),
    ]


async def test_what_a_failed_completion_left_behind_is_not_retried(
    workshop: Workshop, rows: TenantRows
) -> None:
    """It was taken back and isn't counted; the step that deletes it may be late (decision 0008)."""
    order = await rows.order(OrderStatus.FAILED)
    await rows.sub_order(order, {"a": E}, state=ENDED)
    await workshop.rows("update orders set error_files = 0, error_bytes = 0, sub_orders = 0")
    await workshop.actions.retry(JANE, order)
    await workshop.run()

    assert await workshop.status(order) == "FAILED"
    assert await workshop.files(order) == {"a": "ERROR"}

    await workshop.rows("delete from data_file")
    await workshop.rows("delete from sub_order")


async def test_a_stored_file_without_a_checksum_is_not_retried(workshop: Workshop) -> None:
    """Storage can't be asked for it: the order would wait two days for nothing."""
    order = await workshop.order("a", products=[one_file("b")])
    await workshop.run()
    await workshop.storage_says(a="broken", b="broken")
    await workshop.rows("update data_file set checksum = null where name = 'b'")
    await workshop.actions.retry(JANE, order)
    await workshop.run()

    assert await workshop.files(order) == {"a": "PENDING", "b": "ERROR"}

    await workshop.storage_says("a")

    assert await workshop.status(order) == "DONE_WITH_WARNING"


@pytest.mark.usefixtures("slices_of_two")
async def test_a_bucket_goes_on_over_slices(workshop: Workshop, rows: TenantRows) -> None:
    """Five files in three slices are one sub-order, as in one slice."""
    order = await failed_order(workshop, rows, dict.fromkeys("abcde", E))
    await workshop.actions.retry(JANE, order)
    await workshop.run_one(RetryOrderStep)

    assert await workshop.sub_orders(order) == [("STORAGE", "ENDED"), ("STORAGE", "BUILDING")]
    assert await workshop.miscounted() == []

    await workshop.run()

    assert await workshop.sub_orders(order) == [("STORAGE", "RUNNING")]
    assert await workshop.asked() == [list("abcde")]


@pytest.mark.usefixtures("slices_of_two")
async def test_a_number_of_files_that_fills_its_slices_leaves_no_bucket_open(
    workshop: Workshop, rows: TenantRows
) -> None:
    """The slice that finds nothing more closes what the one before left open."""
    order = await failed_order(workshop, rows, dict.fromkeys("abcd", E))
    await workshop.actions.retry(JANE, order)
    await workshop.run()

    assert await workshop.sub_orders(order) == [("STORAGE", "RUNNING")]


@pytest.mark.usefixtures("slices_of_two")
async def test_a_full_bucket_is_closed_and_the_next_is_begun(pool: Pool, rows: TenantRows) -> None:
    """Checked after each file (domain.md 12.6); none starts before all are known, so that totals are true."""
    workshop = Workshop(pool, files_bucket_size_mb=20 / 1024 / 1024)
    order = await failed_order(workshop, rows, dict.fromkeys("abcde", E))
    await workshop.actions.retry(JANE, order)
    await workshop.run_one(RetryOrderStep)
    await workshop.do({"step": "schedule", "owner": OWNER})

    assert await workshop.sub_orders(order) == [("STORAGE", "ENDED"), ("STORAGE", "READY")]
    assert await workshop.asked() == []
    assert await workshop.steps(ScheduleStep) == []

    await workshop.run(RetryOrderStep)
    sizes = await workshop.rows("select pending_files from sub_order order by id")

    assert [row["pending_files"] for row in sizes] == [2, 2, 1]
    assert await workshop.rows("select sub_orders from orders") == [{"sub_orders": 3}]
    assert await workshop.miscounted() == []


@pytest.mark.usefixtures("slices_of_two")
async def test_buckets_never_mix_datasets_nor_kinds(workshop: Workshop, rows: TenantRows) -> None:
    """C10: files of two datasets, stored and external, go to sub-orders of their own."""
    order = await rows.order(OrderStatus.FAILED)
    await rows.sub_order(order, {"a": E, "b": E, "c": E}, state=ENDED)
    await rows.sub_order(order, {"x": DE}, state=ENDED, kind=EXTERNAL)
    await workshop.rows(
        "with task as (insert into dataset_task (order_id, dataset_urn, dataset_label, products_count)"
        " values ($1, 'urn', 'Another', 1) returning id)"
        " update data_file set dataset_task_id = task.id from task where name = 'b'",
        order,
    )
    await workshop.actions.retry(JANE, order)
    await workshop.run()
    groups = await workshop.rows(
        "select string_agg(name, '' order by name) as names from data_file"
        " group by sub_order_id order by 1"
    )

    assert [row["names"] for row in groups] == ["ac", "b", "x"]


@pytest.mark.usefixtures("slices_of_two")
async def test_promise_3_a_slice_that_is_done_twice_moves_nothing_the_second_time(
    workshop: Workshop, rows: TenantRows
) -> None:
    """Its place is behind the cursor then; so is that of a step written before a pause."""
    order = await failed_order(workshop, rows, dict.fromkeys("abc", E))
    await workshop.actions.retry(JANE, order)
    (step,) = await workshop.steps(RetryOrderStep)
    await workshop.run_one(RetryOrderStep)
    before = await workshop.rows("select * from data_file order by id")
    await workshop.do(step)

    assert await workshop.rows("select * from data_file order by id") == before
    assert len(await workshop.steps(RetryOrderStep)) == 1

    await workshop.run()
    await workshop.do(step)

    assert await workshop.sub_orders(order) == [("STORAGE", "RUNNING")]


async def test_what_fills_an_order_is_read_behind_its_lock(
    workshop: Workshop, rows: TenantRows, pool: Pool
) -> None:
    """Whoever waits for the last slice sees that it was the last; else nobody would end the order."""
    order = await failed_order(workshop, rows, {"a": E})
    await workshop.actions.retry(JANE, order)
    tenant = JANE.caller.tenant

    async def second() -> bool:
        async with workshop.store.unit_of_work(tenant) as uow:
            (seen,) = await uow.orders.lock([order])
            return seen.retrying

    async with workshop.store.unit_of_work(tenant) as uow:
        (held,) = await uow.orders.lock([order])
        held.message = "changed, so that the second has to look at the row again"
        waiting = asyncio.create_task(second())
        await waiting_for_a_lock(pool)
        await uow.retries.finish([order])
        await uow.orders.save([held], NOW)

    assert held.retrying
    assert not await waiting


async def test_a_second_click_is_refused(workshop: Workshop, rows: TenantRows) -> None:
    """The order runs already."""
    order = await failed_order(workshop, rows, {"a": E})
    await workshop.actions.retry(JANE, order)
    with pytest.raises(ActionRefused, match="ORDER_MUST_BE_DONE_WITH_WARNING_OR_FAILED"):
        await workshop.actions.retry(JANE, order)

    assert len(await workshop.steps(RetryOrderStep)) == 1


@pytest.mark.usefixtures("slices_of_two")
async def test_w18_an_order_does_not_end_between_two_slices(
    workshop: Workshop, rows: TenantRows
) -> None:
    """Nothing is pending there when external files come first, and a download looks at the order."""
    order = await rows.order(OrderStatus.DONE_WITH_WARNING)
    await rows.sub_order(order, {"x": DE, "y": DE, "z": DE}, state=ENDED, kind=EXTERNAL)
    await rows.sub_order(order, {"a": A, "b": E}, state=WAITING)
    await workshop.actions.retry(JANE, order)
    await workshop.run_one(RetryOrderStep)
    await workshop.downloaded(order, "a")

    assert await workshop.status(order) == "RUNNING"

    await workshop.run()
    await workshop.storage_says("b")

    assert await workshop.status(order) == "DONE"


async def test_a_late_answer_before_the_slice_spares_the_file(workshop: Workshop) -> None:
    """It isn't in error any more when its turn comes; nothing is asked, and the order is done."""
    order = await silent_order(workshop)
    await workshop.actions.retry(JANE, order)
    await workshop.storage_says("a")
    await workshop.run()

    assert await workshop.status(order) == "DONE"
    assert await workshop.files(order) == {"a": "AVAILABLE"}
    assert await workshop.asked() == []
    assert await workshop.told(order) == [("FAILED", 1), ("SUBORDER_DONE", 1), ("DONE", 1)]


async def test_a_late_answer_after_the_slice_settles_the_file_in_its_new_sub_order(
    workshop: Workshop,
) -> None:
    """Storage was asked for it before, so its word counts although nobody has asked again yet."""
    order = await silent_order(workshop)
    await workshop.actions.retry(JANE, order)
    await workshop.run(RetryOrderStep)

    assert await workshop.sub_orders(order) == [("STORAGE", "READY")]

    await workshop.storage_says("a")
    await workshop.run()

    assert await workshop.status(order) == "DONE"
    assert await workshop.asked() == []


async def silent_order(workshop: Workshop) -> OrderId:
    """FAILED, because storage was silent for two days; what it was asked until then is forgotten."""
    order = await workshop.order("a")
    await workshop.run()
    for _ in range(10):
        workshop.clock.move(hours=6)
        await workshop.run(AskAgainStep)

    assert await workshop.status(order) == "FAILED"

    await workshop.rows("delete from rs_order.outbox where kind = 'RESTORE_REQUEST'")
    return order


@pytest.mark.parametrize("files", [1, 3])
async def test_a_retried_order_gets_the_time_its_new_sub_orders_need(
    files: int, pool: Pool, rows: TenantRows
) -> None:
    """By the user's duration (domain.md 12.6); the step of its old time expires nothing."""
    workshop = Workshop(pool, files_bucket_size_mb=10 / 1024 / 1024)
    await workshop.rows(
        "insert into setting values ('user_order_parameters',"
        ' \'{"subOrderDuration": 3, "delayBeforeEmailNotification": 1}\')'
    )
    order = await failed_order(workshop, rows, dict.fromkeys("abc"[:files], E))
    await workshop.rows("update orders set expires_at = $1", NOW + timedelta(hours=1))
    await workshop.actions.retry(JANE, order)
    await workshop.run()
    workshop.clock.move(hours=3.5)
    await workshop.run(ExpireOrderStep)
    (row,) = await workshop.rows("select status, expires_at from orders")

    assert row == {"status": "RUNNING", "expires_at": NOW + timedelta(hours=(files + 2) * 3)}

    workshop.clock.move(hours=files * 3 + 3)
    await workshop.run(ExpireOrderStep)

    assert await workshop.status(order) == "EXPIRED"


async def test_a_retry_of_an_order_whose_time_was_over_does_not_expire_it(
    workshop: Workshop, rows: TenantRows
) -> None:
    """A FAILED order never expires; its old step, come again, finds a new time."""
    order = await failed_order(workshop, rows, {"a": E})
    await workshop.rows("update orders set expires_at = $1", NOW - timedelta(days=30))
    await workshop.actions.retry(JANE, order)
    await workshop.do({"step": "expire-order", "orderId": order})

    assert await workshop.status(order) == "RUNNING"


@pytest.mark.usefixtures("slices_of_two")
async def test_a_retry_goes_on_after_a_pause_where_it_stood(
    workshop: Workshop, rows: TenantRows
) -> None:
    """No slice is moved in the pause, and the order doesn't end in it."""
    order = await failed_order(workshop, rows, dict.fromkeys("abcde", E))
    await workshop.actions.retry(JANE, order)
    await workshop.run_one(RetryOrderStep)
    await workshop.actions.pause(JANE, order)
    await workshop.run()

    assert await workshop.status(order) == "PAUSED"
    assert list((await workshop.files(order)).values()).count("ERROR") == 3

    await workshop.actions.resume(JANE, order)
    await workshop.run()

    assert await workshop.sub_orders(order) == [("STORAGE", "RUNNING")]
    assert await workshop.files(order) == dict.fromkeys("abcde", "PENDING")


@pytest.mark.usefixtures("slices_of_two")
@pytest.mark.parametrize("how", ["delete", "cancel"])
async def test_an_order_can_go_in_the_middle_of_its_retry(
    how: str, workshop: Workshop, rows: TenantRows
) -> None:
    """Its steps find nothing to do; nothing is left of it."""
    order = await failed_order(workshop, rows, dict.fromkeys("abcde", E))
    await workshop.actions.retry(JANE, order)
    await workshop.run_one(RetryOrderStep)
    if how == "delete":
        await workshop.actions.pause(JANE, order)
        await workshop.actions.delete(JANE, order)
    else:
        await workshop.application.cancel.handle(JANE.caller.tenant, [order])
    await workshop.run()

    assert await workshop.status(order) == "DELETED"
    assert await workshop.files(order) == {}
    assert await workshop.sub_orders(order) == []
    assert await workshop.rows("select * from retry") == []


async def test_w18_the_percentage_falls_back_and_rises_again(
    workshop: Workshop, rows: TenantRows
) -> None:
    """K5: 10 of 12 files are settled while two are tried again."""
    files = {**{f"a{number}": D for number in range(10)}, "e1": E, "e2": E}
    order = await failed_order(workshop, rows, files)

    assert (await workshop.view(order)).percent == 100

    await workshop.actions.retry(JANE, order)
    await workshop.run()
    view = await workshop.view(order)

    assert (view.percent, view.errors, view.status) == (83, 0, OrderStatus.RUNNING)
