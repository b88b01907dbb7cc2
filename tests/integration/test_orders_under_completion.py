"""An order whose files are still read shows nothing of them, and nothing is downloaded (rest.md 5.5)."""

import pytest

from rs_order.domain.ids import DataFileId, DatasetTaskId, OrderId, SubOrderId
from rs_order.domain.states import FileState, OrderStatus, SubOrderState
from rs_order.store.downloads import StoredDownloads
from rs_order.store.file_views import FileViews
from rs_order.store.lists import SortBy
from rs_order.store.order_views import OrderProperty, OrderSearch, OrderView, OrderViews
from rs_order.store.pool import Pool
from tests.integration.conftest import TENANT
from tests.support.rows import TenantRows, in_tenant

WAITING = OrderSearch(waiting_for_user=True)
under_completion = pytest.mark.parametrize("status", [OrderStatus.PENDING, OrderStatus.PAUSED])


async def half_read(rows: TenantRows, status: OrderStatus) -> tuple[OrderId, SubOrderId]:
    """Write an order with one available file and one in error. It has no expiry date yet."""
    order = await rows.order(status)
    files = {"a": FileState.AVAILABLE, "b": FileState.ERROR}
    return order, await rows.sub_order(order, files, state=SubOrderState.WAITING)


def shown(view: OrderView | None) -> dict[str, object]:
    assert view is not None
    return {
        "tasks": [task.files for task in view.dataset_tasks],
        "percent": view.percent,
        "errors": view.errors,
        "available": view.available_files,
        "waiting": view.waiting_for_user,
    }


NOTHING = {"tasks": [], "percent": 0, "errors": 0, "available": 0, "waiting": False}
EVERYTHING = {"tasks": [2], "percent": 100, "errors": 1, "available": 1, "waiting": True}


async def read_to_the_end(pool: Pool, order: OrderId) -> None:
    async with in_tenant(pool, TENANT) as connection:
        await connection.execute(
            "update orders set status = 'RUNNING', expires_at = now() + interval '1 day' where id = $1",
            order,
        )


@under_completion
async def test_counts_are_shown_once_all_files_are_known(
    status: OrderStatus, pool: Pool, rows: TenantRows
) -> None:
    views = OrderViews(pool)
    order, _ = await half_read(rows, status)
    before = await views.order(TENANT, order)
    await read_to_the_end(pool, order)

    assert shown(before) == NOTHING
    assert shown(await views.order(TENANT, order)) == EVERYTHING


@under_completion
async def test_searches_and_exports_count_nothing(
    status: OrderStatus, pool: Pool, rows: TenantRows
) -> None:
    """The filter, the total, the sort order and the export agree with what is shown."""
    views = OrderViews(pool)
    hidden, _ = await half_read(rows, status)
    known, _ = await half_read(rows, OrderStatus.RUNNING)
    waiting = await views.search(TENANT, WAITING, [], limit=10, offset=0)
    by_count = SortBy(OrderProperty.AVAILABLE_FILES_COUNT)
    everything = await views.search(TENANT, OrderSearch(), [by_count], limit=10, offset=0)
    exported = [view async for part in views.export(TENANT, WAITING) for view in part]

    assert (waiting.total, [view.id for view in waiting.items]) == (1, [known])
    assert [view.id for view in everything.items] == [hidden, known]
    assert [view.id for view in exported] == [known]


@under_completion
async def test_no_file_is_listed_or_downloaded(
    status: OrderStatus, pool: Pool, rows: TenantRows
) -> None:
    files, downloads = FileViews(pool), StoredDownloads(pool)
    order, sub_order = await half_read(rows, status)
    async with in_tenant(pool, TENANT) as connection:
        task = DatasetTaskId(await connection.fetchval("select id from dataset_task"))
        file = DataFileId(
            await connection.fetchval("select id from data_file where state = 'AVAILABLE'")
        )

    async def numbers() -> list[int]:
        of_order = await files.available(TENANT, order, None, [], limit=10, offset=0)
        of_sub_order = await files.available(TENANT, order, sub_order, [], limit=10, offset=0)
        found = await files.of_dataset(TENANT, order, task, limit=10, offset=0)
        assert found is not None
        of_dataset = found.files
        assert of_dataset is not None
        return [listed.total + len(listed.items) for listed in (of_order, of_sub_order, of_dataset)]

    before = await numbers()
    zip_before, file_before = (
        await downloads.order(TENANT, order),
        await downloads.file(TENANT, file),
    )
    await read_to_the_end(pool, order)
    zip_after, file_after = await downloads.order(TENANT, order), await downloads.file(TENANT, file)

    assert zip_before is not None
    assert zip_after is not None
    assert (before, await numbers()) == ([0, 0, 0], [2, 2, 4])
    assert (zip_before.has_files, zip_before.has_available_files) == (False, False)
    assert (zip_after.has_files, zip_after.has_available_files) == (True, True)
    assert file_before is not None
    assert file_before.state is FileState.PENDING
    assert file_after is not None
    assert file_after.state is FileState.AVAILABLE


@pytest.mark.parametrize(
    ("files", "process", "offered"),
    [
        pytest.param({"b": FileState.ERROR}, False, True, id="a file in error"),
        pytest.param({}, False, False, id="no file"),
        pytest.param({"b": FileState.ERROR}, True, False, id="a process that was never begun"),
    ],
)
async def test_a_retry_is_offered_where_it_is_accepted(
    files: dict[str, FileState], process: bool, offered: bool, pool: Pool, rows: TenantRows
) -> None:
    """The order failed before the dataset with the process was read: only its basket names the process."""
    order = await rows.order(OrderStatus.FAILED)
    if files:
        await rows.sub_order(order, files, state=SubOrderState.ENDED)
    if process:
        async with in_tenant(pool, TENANT) as connection:
            await connection.execute(
                "with consumed as (insert into basket (owner, order_id) values ('jane', $1) returning id)"
                " insert into dataset_selection (basket_id, dataset_urn, dataset_label, products_count,"
                " files_count, files_bytes, type_totals, process_id)"
                " select id, 'URN:1', 'A dataset', 1, 1, 1, '{}', gen_random_uuid() from consumed",
                order,
            )
    view = await OrderViews(pool).order(TENANT, order)

    assert view is not None
    assert view.can_be_retried is offered
