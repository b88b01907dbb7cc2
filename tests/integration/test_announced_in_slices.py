"""An order of very many external files announces its sub-orders in slices, in order, and its end last.

So does its retry.
"""

import pytest

from rs_order.actions.retry_order import RetryOrderStep
from rs_order.core.shared_steps import CompleteOrderStep
from rs_order.core.steps import Step
from rs_order.domain import file_batches
from rs_order.domain.ids import OrderId
from rs_order.domain.settings import TenantSettings
from rs_order.domain.states import FileState, OrderStatus, SubOrderKind, SubOrderState
from rs_order.store.pool import Pool
from tests.integration.app_harness import JANE, AppHarness, one_file
from tests.support.rows import TenantRows

SUB_ORDERS = 7
DONE = [("SUBORDER_DONE", SUB_ORDERS)]


@pytest.fixture
async def slices(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> AppHarness:
    """An application that announces three sub-orders in a step; each file has a sub-order of its own."""
    monkeypatch.setattr(file_batches, "MAX_EXTERNAL_FILES", 0)
    app = AppHarness(pool)
    app.use_slices(announced_sub_orders=3)
    return app


async def begin(app: AppHarness, *stored: str) -> OrderId:
    """Read all files of an order, and announce the first slice."""
    external = [one_file(f"x{number}", external=True) for number in range(SUB_ORDERS - len(stored))]
    order = await app.order(*stored, products=external)
    while not await app.responses_about(order):
        assert await app.run_one(CompleteOrderStep)
    return order


async def announced(app: AppHarness, order: OrderId) -> list[int]:
    rows = await app.rows(
        "select (body::json ->> 'subOrderId')::bigint as id from order_response"
        " where order_id = $1 and body::json ->> 'status' = 'SUBORDER_DONE' order by id",
        order,
    )
    return [row["id"] for row in rows]


async def assert_each_slice_is_a_step(slices: AppHarness, order: OrderId, kind: type[Step]) -> None:
    """Check the slices of an order whose first slice is announced."""
    assert await slices.status(order) == "RUNNING"
    assert await slices.responses_about(order) == DONE * 3
    (step,) = await slices.steps(kind)
    await slices.do(step)
    await slices.do(step)
    assert await slices.responses_about(order) == DONE * 6
    await slices.run()

    assert await slices.responses_about(order) == [*DONE * 7, ("DONE", SUB_ORDERS)]
    assert len(set(await announced(slices, order))) == SUB_ORDERS
    assert await slices.status(order) == "DONE"
    assert await slices.miscounted() == []


async def test_each_slice_is_a_step(slices: AppHarness) -> None:
    """The order runs meanwhile; a step that is delivered again announces nothing."""
    order = await begin(slices)
    await assert_each_slice_is_a_step(slices, order, CompleteOrderStep)


async def test_the_end_comes_after_the_last_slice(slices: AppHarness) -> None:
    """Storage answers, and the owner downloads, before everything is announced."""
    order = await begin(slices, "a")
    await slices.storage_answers("a")
    await slices.downloaded(order, "x0", "x4")
    (step,) = await slices.steps(CompleteOrderStep)
    await slices.run()
    await slices.storage_answers("a")

    assert await slices.responses_about(order) == [*DONE * 7, ("DONE", SUB_ORDERS)]
    assert len(set(await announced(slices, order))) == SUB_ORDERS
    await slices.do(step)
    assert await slices.status(order) == "DONE"
    assert await slices.miscounted() == []


async def test_a_paused_order_goes_on_with_the_next_slice(slices: AppHarness) -> None:
    """Nothing is announced in the pause, and nothing twice."""
    order = await begin(slices, "a")
    await slices.actions.pause(JANE, order)
    await slices.run()
    assert await slices.responses_about(order) == DONE * 3
    await slices.actions.resume(JANE, order)
    await slices.run()
    await slices.storage_answers("a")

    assert await slices.responses_about(order) == [*DONE * 7, ("DONE", SUB_ORDERS)]
    assert await slices.status(order) == "DONE"


async def retried(app: AppHarness, rows: TenantRows, *, stored: bool = False) -> OrderId:
    """Retry an order whose downloads failed, and do its steps until the first slice is announced."""
    order = await rows.order(OrderStatus.DONE_WITH_WARNING)
    names = [f"x{number}" for number in range(SUB_ORDERS - stored)]
    failed = dict.fromkeys(names, FileState.DOWNLOAD_ERROR)
    ended = SubOrderState.ENDED
    await rows.sub_order(order, failed, state=ended, kind=SubOrderKind.EXTERNAL)
    if stored:
        await rows.sub_order(order, {"a": FileState.ERROR}, state=ended)
    await app.actions.retry(JANE, order)
    while not await app.responses_about(order):
        assert await app.run_one(RetryOrderStep)
    return order


async def test_each_slice_of_a_retry_is_a_step(slices: AppHarness, rows: TenantRows) -> None:
    """The order runs meanwhile; a step that is delivered again announces nothing."""
    order = await retried(slices, rows)
    await assert_each_slice_is_a_step(slices, order, RetryOrderStep)


async def test_a_retry_goes_on_behind_what_happens_between_its_slices(
    slices: AppHarness, rows: TenantRows
) -> None:
    """The owner downloads and pauses; nothing of the order starts or ends before the last slice."""
    order = await retried(slices, rows, stored=True)
    (row,) = await slices.rows("select expires_at from orders where id = $1", order)
    await slices.downloaded(order, "x0", "x4")
    await slices.actions.pause(JANE, order)
    await slices.run()
    assert await slices.responses_about(order) == DONE * 3
    assert await slices.restore_requests() == []
    await slices.actions.resume(JANE, order)
    await slices.run()
    await slices.storage_answers("a")

    assert await slices.responses_about(order) == [*DONE * 7, ("DONE", SUB_ORDERS)]
    assert len(set(await announced(slices, order))) == SUB_ORDERS
    assert [row] == await slices.rows("select expires_at from orders where id = $1", order)
    assert await slices.miscounted() == []


async def test_no_duration_of_sub_orders_means_the_maximum_of_the_tenant(app: AppHarness) -> None:
    """The order isn't expired when it has been read."""
    settings = TenantSettings.of({"app_sub_order_duration": 0})
    assert settings.app_sub_order_hours == settings.expiration_max_hours == 168

    order = await app.order("a", products=[one_file("x", external=True)])
    await app.rows("update orders set sub_order_hours = 0")  # created by an earlier version
    await app.run()
    (row,) = await app.rows("select expires_at, status from orders where id = $1", order)

    assert row["status"] == "RUNNING"
    assert (row["expires_at"] - app.clock.now()).total_seconds() == 168 * 3600
