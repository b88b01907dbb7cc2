"""What is read to be shown: plain SQL, no domain object, no connection held between calls."""

from collections import defaultdict
from collections.abc import Sequence

from rs_order.adapters.postgres.driver import Connection, Pool, Row
from rs_order.adapters.postgres.errors import store_errors
from rs_order.adapters.postgres.pool import transaction, use_tenant
from rs_order.adapters.postgres.rows import optional_filter_of, process_of, tally_of
from rs_order.adapters.postgres.statements import statements
from rs_order.domain.ids import DatasetTaskId, OrderId, Tenant
from rs_order.domain.states import OrderStatus
from rs_order.ports.views import DatasetTaskView, OrderView

SQL = statements("views")


class PostgresOrderViews:
    """Implements :class:`rs_order.ports.views.OrderViews`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def order(self, tenant: Tenant, order_id: OrderId) -> OrderView | None:
        found = await self.orders(tenant, [order_id])
        return found[0] if found else None

    async def orders(self, tenant: Tenant, ids: Sequence[OrderId]) -> list[OrderView]:
        with store_errors():
            async with transaction(self._pool, readonly=True) as connection:
                await use_tenant(connection, tenant)
                return await load_views(connection, ids)


async def load_views(connection: Connection, ids: Sequence[OrderId]) -> list[OrderView]:
    """The views of these orders, in the order of the ids: two statements whatever their number."""
    rows = {row["id"]: row for row in await connection.fetch(SQL["orders"], ids)}
    tasks: dict[int, list[DatasetTaskView]] = defaultdict(list)
    for row in await connection.fetch(SQL["dataset_tasks"], list(rows)):
        tasks[row["order_id"]].append(_task_of(row))
    return [_view_of(rows[id_], tasks[id_]) for id_ in ids if id_ in rows]


def _view_of(row: Row, tasks: Sequence[DatasetTaskView]) -> OrderView:
    status, tally = OrderStatus(row["status"]), tally_of(row)
    return OrderView(
        id=OrderId(row["id"]),
        owner=row["owner"],
        label=row["label"],
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        status=status,
        status_at=row["status_at"],
        percent=0 if _still_read(row) else tally.percent,
        errors=tally.errors,
        available_files=0 if status.gone else tally.available,
        waiting_for_user=row["waiting_sub_orders"] > 0,
        dataset_tasks=tuple(tasks),
    )


def _still_read(row: Row) -> bool:
    """Whether its files are still being read, or would be if it weren't paused: they are not all known."""
    status = OrderStatus(row["status"])
    paused = status is OrderStatus.PAUSED
    return status is OrderStatus.PENDING or (paused and row["expires_at"] is None)


def _task_of(row: Row) -> DatasetTaskView:
    return DatasetTaskView(
        id=DatasetTaskId(row["id"]),
        label=row["dataset_label"],
        products=row["products_count"],
        files=row["files_count"],
        bytes=row["files_bytes"],
        file_filter=optional_filter_of(row),
        process=process_of(row),
    )
