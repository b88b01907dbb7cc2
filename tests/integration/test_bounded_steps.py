"""Work on a large order is split into bounded steps; the call itself costs the same for every size."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest

from rs_order.core.shared_steps import (
    AskAgainStep,
    DeleteFilesStep,
    ExpireOrderStep,
    ScheduleStep,
    StartProcessingStep,
    StopSubOrdersStep,
)
from rs_order.domain.ids import OrderId
from rs_order.domain.scheduling import PassLimits
from rs_order.domain.states import FileState, OrderStatus, SubOrderKind, SubOrderState
from rs_order.processing.results import GiveUpResultsStep
from rs_order.store.pool import Pool, open_pool, statements
from rs_order.store.rows import process_record
from tests.integration.app_harness import ALAN, JANE, TENANT, AppHarness
from tests.support.counting import counted
from tests.support.large_orders import write_large_order
from tests.support.rows import TenantRows, in_tenant
from tests.unit.test_input_batches import PROCESS

A, P, E = FileState.AVAILABLE, FileState.PENDING, FileState.ERROR
WAITING, RUNNING, ENDED = SubOrderState.WAITING, SubOrderState.RUNNING, SubOrderState.ENDED


@pytest.fixture
async def single(pool: Pool, migrated_url: str) -> AsyncIterator[Pool]:
    """Open a pool of one connection to the database of ``pool``, so that all statements are counted."""
    assert pool.open
    async with await open_pool(migrated_url, size=1) as opened:
        yield opened


async def large_order(
    rows: TenantRows,
    status: OrderStatus,
    state: SubOrderState,
    files: FileState,
    *,
    sub_orders: int,
    each: int = 2,
) -> OrderId:
    order = await rows.order(status)
    for number in range(sub_orders):
        names = {f"{order}-{number}-{file}": files for file in range(each)}
        await rows.sub_order(order, names, state=state)
    return order


Act = Callable[[AppHarness, OrderId], Awaitable[Any]]
ACTS: dict[str, tuple[OrderStatus, SubOrderState, FileState, Act]] = {
    "delete": (OrderStatus.DONE, WAITING, A, lambda app, order: app.actions.delete(JANE, order)),
    "cancel": (
        OrderStatus.RUNNING,
        RUNNING,
        P,
        lambda app, order: app.application.orders.cancel.handle(TENANT, [order]),
    ),
    "expire": (
        OrderStatus.DONE,
        WAITING,
        A,
        lambda app, order: app.do({"step": ExpireOrderStep.name, "orderId": order}),
    ),
    "pause": (OrderStatus.RUNNING, RUNNING, P, lambda app, order: app.actions.pause(JANE, order)),
    "resume": (
        OrderStatus.PAUSED,
        SubOrderState.READY,
        P,
        lambda app, order: app.actions.resume(JANE, order),
    ),
    "retry": (OrderStatus.FAILED, ENDED, E, lambda app, order: app.actions.retry(JANE, order)),
    "remove": (OrderStatus.DELETED, ENDED, E, lambda app, order: app.actions.remove(ALAN, order)),
}
"""Per action: status of the order, states of its sub-orders and files, and the call."""


@pytest.mark.parametrize("act", ACTS)
async def test_promise_8_cost_of_an_action_does_not_follow_the_size_of_the_order(
    act: str, single: Pool, rows: TenantRows
) -> None:
    """As many statements for 600 files as for 6, none of them on files; the first call only warms up."""
    app = AppHarness(single)
    status, state, files, do = ACTS[act]
    counts = []
    for sub_orders, each in ((3, 2), (3, 2), (30, 20)):
        order = await large_order(rows, status, state, files, sub_orders=sub_orders, each=each)
        await app.rows("update orders set expires_at = $1", app.clock.now())
        async with counted(single) as queries:
            await do(app, order)
        counts.append(len(queries))

        assert [
            query for query in queries if "data_file" in query.replace("data_file_id", "")
        ] == []
        assert len(await app.files(order)) == sub_orders * each

    assert counts[1] == counts[2]


@pytest.mark.parametrize("act", ["delete", "cancel", "expire"])
async def test_files_and_sub_orders_of_an_ended_order_are_deleted_in_slices(
    act: str, app: AppHarness, rows: TenantRows
) -> None:
    """Neither the call nor a step deletes more than a slice; sub-orders that hold slots go first."""
    app.use_slices(released_sub_orders=3, deleted_rows=4)
    status, state, files, do = ACTS[act]
    order = await large_order(rows, status, state, files, sub_orders=8)
    await app.rows("update orders set expires_at = $1", app.clock.now())
    await do(app, order)
    left = [(16, len(await app.sub_orders(order)))]
    while await app.run_one(DeleteFilesStep):
        left.append((len(await app.files(order)), len(await app.sub_orders(order))))

    assert left == [(16, 5), (16, 2), (12, 0), (8, 0), (4, 0), (0, 0), (0, 0)]


async def test_each_slice_of_a_deleted_order_frees_its_slots(pool: Pool, rows: TenantRows) -> None:
    """The owner's other orders use them before the last slice, and so does the service's limit."""
    app = AppHarness(pool, max_storage_files_jobs_per_user=4, jobs_pool_size=4)
    app.use_slices(released_sub_orders=2)
    order = await large_order(rows, OrderStatus.PAUSED, RUNNING, P, sub_orders=4)
    await app.rows(
        "insert into rs_order.running_sub_order (tenant, owner, sub_order_id)"
        " select $1, owner, id from sub_order",
        TENANT,
    )
    next_order = await large_order(rows, OrderStatus.RUNNING, SubOrderState.READY, P, sub_orders=4)
    await app.actions.delete(JANE, order)
    running = []
    for _ in range(2):
        await app.run_one(ScheduleStep)
        running.append([state for _, state in await app.sub_orders(next_order)].count("RUNNING"))
        await app.run_one(DeleteFilesStep)

    assert running == [2, 4]


async def test_a_reminder_of_a_cancelled_order_asks_storage_for_nothing(
    app: AppHarness, rows: TenantRows
) -> None:
    """The sub-order runs until its slice is deleted; storage is not asked, and no file fails."""
    app.use_slices(released_sub_orders=1)
    order = await large_order(rows, OrderStatus.RUNNING, RUNNING, P, sub_orders=2)
    await app.application.orders.cancel.handle(TENANT, [order])
    ((_, state),) = await app.sub_orders(order)
    app.clock.move(days=30)
    await app.do(await _reminder(app, order))

    assert state == "RUNNING"
    assert await app.restore_requests() == []
    assert await app.steps(AskAgainStep) == []
    assert set((await app.files(order)).values()) == {"PENDING"}

    await app.run()

    assert await app.sub_orders(order) == []


async def test_a_process_of_a_cancelled_order_neither_starts_nor_fails(
    app: AppHarness, rows: TenantRows
) -> None:
    """Before its slice is deleted, rs-processing gets no request, and no timeout is reported."""
    app.use_slices(released_sub_orders=1)
    order = await rows.order(OrderStatus.RUNNING)
    for name in "ab":
        sub_order = await rows.sub_order(
            order, {name: P}, state=SubOrderState.PROCESSING, kind=SubOrderKind.PROCESSING
        )
    await app.rows("update dataset_task set process_info = $1", process_record(PROCESS))
    await app.rows("update data_file set output_key = name")
    await app.rows(
        "insert into process_batch (sub_order_id, order_id, correlation_id)"
        " select id, order_id, id::text from sub_order"
    )
    await app.application.orders.cancel.handle(TENANT, [order])
    for step in (StartProcessingStep.name, GiveUpResultsStep.name):
        await app.do({"step": step, "orderId": order, "subOrderId": sub_order})

    assert await app.sub_orders(order) == [("PROCESSING", "PROCESSING")]
    assert await app.files(order) == {"a": "PENDING", "b": "PENDING"}
    assert await app.responses_about(order) == []

    await app.run()

    assert await app.sub_orders(order) == []
    assert await app.rows("select from process_batch") == []


async def test_a_pause_stops_sub_orders_in_slices(app: AppHarness, rows: TenantRows) -> None:
    """The order is paused at once; its sub-orders return to the queue slice by slice."""
    app.use_slices(stopped_sub_orders=2)
    order = await large_order(rows, OrderStatus.RUNNING, RUNNING, P, sub_orders=5)
    await app.actions.pause(JANE, order)
    ready = [await _ready(app, order)]
    while await app.run_one(StopSubOrdersStep):
        ready.append(await _ready(app, order))

    assert await app.status(order) == "PAUSED"
    assert ready == [2, 4, 5]


async def test_a_resume_before_the_last_slice_leaves_the_others_running(
    pool: Pool, rows: TenantRows
) -> None:
    """Storage was already asked for their files and is not asked again."""
    app = AppHarness(pool, max_storage_files_jobs_per_user=0)
    app.use_slices(stopped_sub_orders=2)
    order = await large_order(rows, OrderStatus.RUNNING, RUNNING, P, sub_orders=5)
    await app.actions.pause(JANE, order)
    await app.actions.resume(JANE, order)
    await app.run()

    assert [len(checksums) for checksums in await app.restore_requests()] == [2, 2]
    assert {state for _, state in await app.sub_orders(order)} == {"RUNNING"}


async def test_a_reminder_of_a_paused_order_is_written_again(
    app: AppHarness, rows: TenantRows
) -> None:
    """Storage isn't asked during the pause, but again after it if the sub-order still runs.

    The step that stops the sub-orders is written again, because it may have been lost.
    """
    app.use_slices(stopped_sub_orders=1)
    order = await large_order(rows, OrderStatus.RUNNING, RUNNING, P, sub_orders=2)
    await app.actions.pause(JANE, order)
    await app.rows("delete from rs_order.outbox")
    await app.do(await _reminder(app, order))
    (again,) = await app.steps(AskAgainStep)

    assert len(await app.steps(StopSubOrdersStep)) == 1

    assert await app.restore_requests() == []

    await app.actions.resume(JANE, order)
    await app.do(again)

    assert len(await app.restore_requests()) == 1


async def test_a_pass_asks_storage_for_a_bounded_number_of_files(
    pool: Pool, rows: TenantRows
) -> None:
    """Sub-orders of 3 files in passes of 4; each pass writes the step of the next one."""
    app = AppHarness(pool, max_storage_files_jobs_per_user=4)
    app.use_slices(started=PassLimits(files=4))
    order = await large_order(
        rows, OrderStatus.RUNNING, SubOrderState.READY, P, sub_orders=5, each=3
    )
    await app.application.scheduling.schedule.resume(TENANT)
    asked = []
    while await app.run_one(ScheduleStep):
        asked.append(sum(map(len, await app.restore_requests())))

    assert asked == [6, 12]
    assert [state for _, state in await app.sub_orders(order)].count("READY") == 1


async def test_a_sub_order_larger_than_a_pass_is_started_alone(
    pool: Pool, rows: TenantRows
) -> None:
    """Otherwise nothing of its owner would ever start."""
    app = AppHarness(pool, max_storage_files_jobs_per_user=0)
    app.use_slices(started=PassLimits(files=2))
    await large_order(rows, OrderStatus.RUNNING, SubOrderState.READY, P, sub_orders=2, each=3)
    await app.application.scheduling.schedule.resume(TENANT)
    asked = []
    while await app.run_one(ScheduleStep):
        asked.append(sum(map(len, await app.restore_requests())))

    assert asked == [3, 6]


SLICED = (
    ("retries", "files_in_error", "({order}, {task}, {middle}, {slice})"),
    ("files", "delete_slice", "({order}, {slice})"),
    ("processing", "delete_inputs", "({order}, {slice})"),
    ("sub_orders", "delete_slice", "({order}, {slice})"),
    ("sub_orders", "release", "('{{{order}}}', {slice})"),
    ("sub_orders", "stop", "({order}, {slice})"),
)
_A_SLICE = 100


@pytest.mark.parametrize("plan", ["force_custom_plan", "force_generic_plan"])
async def test_promise_8_cost_of_a_slice_does_not_follow_what_is_left(
    plan: str, pool: Pool
) -> None:
    """Each node of its plan touches only a slice, though each order has 20,000 files and 2,000 sub-orders."""
    async with in_tenant(pool, TENANT) as connection:
        for owner, state, files in (("jane", "ENDED", "error"), ("john", "READY", "pending")):
            await write_large_order(
                connection,
                owner=owner,
                status="PAUSED",
                sub_order_state=state,
                state=files,
                sub_orders=2000,
                each=10,
            )
        await connection.execute(
            "insert into process_input (order_id, sub_order_id, dataset_task_id, identity, product_urn,"
            " product_version, data_type, key, name, url, external, online, state)"
            " select order_id, sub_order_id, dataset_task_id, identity, product_urn, 1, 'RAWDATA', name,"
            " name, url, false, false, 'PENDING' from data_file"
        )
        await connection.execute(
            "update sub_order set state = 'RUNNING' where state = 'READY' and id in"
            " (select id from sub_order order by id desc limit 1000)"
        )
        await connection.execute("analyze")
    for number, (file, name, arguments) in enumerate(SLICED):
        async with in_tenant(pool, TENANT) as connection:
            (row,) = await connection.fetch(
                "select max(order_id) as order, max(dataset_task_id) as task,"
                " percentile_disc(0.5) within group (order by id) as middle"
                " from data_file where state = $1",
                "ERROR" if file == "retries" else "PENDING",
            )
            await connection.execute(f"set local plan_cache_mode = {plan}")
            await connection.execute(f"prepare sliced{number} as {_bare(statements(file)[name])}")
            (explained,) = await connection.fetch(
                f"explain (analyze, format json) execute sliced{number}"
                + arguments.format(**dict(row), slice=_A_SLICE)
            )
        touched = max(_touched(node) for node in _nodes(explained[0][0]["Plan"]))

        assert touched >= _A_SLICE, f"{name} of {file} finds nothing"
        assert touched <= 2 * _A_SLICE, f"{name} of {file} touches {touched} rows"


def _bare(statement: str) -> str:
    return "\n".join(line for line in statement.splitlines() if not line.startswith("--"))


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", []):
        yield from _nodes(part)


def _touched(node: dict[str, Any]) -> int:
    """Return the number of rows that a node returned or filtered out."""
    returned, filtered = node["Actual Rows"], node.get("Rows Removed by Filter", 0)
    return int((returned + filtered) * node["Actual Loops"])


async def _reminder(app: AppHarness, order: OrderId) -> dict[str, Any]:
    """Return the step that asks storage again for the last running sub-order of an order."""
    (row,) = await app.rows(
        "select max(id) as id from sub_order where order_id = $1 and state = 'RUNNING'", order
    )
    return {"step": AskAgainStep.name, "orderId": order, "subOrderId": row["id"], "asks": 1}


async def _ready(app: AppHarness, order: OrderId) -> int:
    return [state for _, state in await app.sub_orders(order)].count("READY")
