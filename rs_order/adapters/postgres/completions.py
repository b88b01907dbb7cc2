"""Completions: cursors, the basket an order consumed, and the files that come in page by page."""

from collections.abc import Sequence

from rs_order.adapters.postgres.baskets import reserve_ids
from rs_order.adapters.postgres.driver import Connection, Row
from rs_order.adapters.postgres.processes import (
    process_record,
    processed_from,
    processed_record,
)
from rs_order.adapters.postgres.rows import dataset_selection_of, kinds_column, pattern_column
from rs_order.adapters.postgres.statements import statements
from rs_order.domain.files import identity
from rs_order.domain.ids import DatasetTaskId, OrderId, SubOrderId
from rs_order.domain.order import Order
from rs_order.domain.partition import OrderedFile
from rs_order.domain.process import Process
from rs_order.domain.states import FileState, SubOrderState
from rs_order.domain.sub_order import SubOrder
from rs_order.ports.store import (
    AddedFiles,
    CompletionCursor,
    DatasetSelection,
    NewSubOrder,
)

SQL = statements("completions")
SUB_ORDER_SQL = statements("sub_orders")


class PostgresCompletions:
    """Implements :class:`rs_order.ports.store.Completions`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def cursor(self, order_id: OrderId) -> CompletionCursor | None:
        row = await self._connection.fetchrow(SQL["cursor"], order_id)
        return _cursor_of(row) if row else None

    async def advance(self, order_id: OrderId, cursor: CompletionCursor) -> None:
        await self._connection.execute(
            SQL["advance"],
            order_id,
            cursor.selection,
            cursor.page,
            cursor.storage_sub_order,
            cursor.external_sub_order,
            cursor.products,
            cursor.attempts,
            cursor.trouble_since,
            processed_record(cursor.processed),
        )

    async def finish(self, order_ids: Sequence[OrderId]) -> None:
        await self._connection.execute(SQL["finish"], order_ids)

    async def selection(self, order_id: OrderId, index: int) -> DatasetSelection | None:
        row = await self._connection.fetchrow(SQL["selection"], order_id, index)
        if row is None:
            return None
        searches = await self._connection.fetch(SQL["searches"], row["id"])
        return dataset_selection_of(row, searches)

    async def dataset_task(
        self, order_id: OrderId, selection: DatasetSelection, process: Process | None = None
    ) -> DatasetTaskId:
        files, size = _totals(selection, process)
        choice = selection.process
        task: int = await self._connection.fetchval(
            SQL["dataset_task"],
            order_id,
            selection.urn,
            selection.label,
            selection.products,
            kinds_column(selection.file_filter),
            pattern_column(selection.file_filter),
            files,
            size,
            choice.process_id if choice else None,
            dict(choice.parameters) if choice else None,
            process_record(process) if process else None,
        )
        return DatasetTaskId(task)

    async def open_sub_orders(
        self, order: Order, sub_orders: Sequence[NewSubOrder]
    ) -> list[SubOrder]:
        ids = await reserve_ids(self._connection, "sub_order", len(sub_orders))
        await self._connection.execute(
            SUB_ORDER_SQL["open"],
            ids,
            order.id,
            order.owner,
            [new.dataset_task_id for new in sub_orders],
            [new.kind for new in sub_orders],
            [new.asks_storage for new in sub_orders],
        )
        return [
            SubOrder(SubOrderId(id_), order.id, order.owner, new.kind, SubOrderState.BUILDING)
            for id_, new in zip(ids, sub_orders, strict=True)
        ]

    async def add_files(
        self,
        order: Order,
        task: DatasetTaskId,
        files: Sequence[tuple[SubOrderId, OrderedFile]],
        *,
        counted: bool = True,
    ) -> list[AddedFiles]:
        if not files:
            return []
        columns = zip(*(_file_columns(sub_order, file) for sub_order, file in files), strict=True)
        rows = await self._connection.fetch(
            SQL["add_files"], order.id, task, *(list(column) for column in columns)
        )
        if counted:
            await self._connection.execute(
                SQL["count_files"],
                task,
                sum(row["files"] for row in rows),
                sum(row["bytes"] for row in rows),
            )
        return [
            AddedFiles(
                SubOrderId(row["sub_order_id"]), FileState(row["state"]), row["files"], row["bytes"]
            )
            for row in rows
        ]

    async def has_dataset_task(self, order_id: OrderId) -> bool:
        return bool(await self._connection.fetchval(SQL["has_dataset_task"], order_id))


def _cursor_of(row: Row) -> CompletionCursor:
    def sub_order(column: str) -> SubOrderId | None:
        return SubOrderId(row[column]) if row[column] is not None else None

    return CompletionCursor(
        selection=row["selection"],
        page=row["page"],
        storage_sub_order=sub_order("storage_sub_order_id"),
        external_sub_order=sub_order("external_sub_order_id"),
        products=row["products"],
        attempts=row["attempts"],
        trouble_since=row["trouble_since"],
        processed=processed_from(row["processed"]),
    )


def _totals(selection: DatasetSelection, process: Process | None) -> tuple[int, int]:
    """What a dataset task counts from the start: files that go in, bytes that come out (5.2)."""
    if process is None:
        return 0, 0
    taken = [totals for name, totals in selection.types.items() if name.value in process.data_types]
    return (
        sum(totals.files for totals in taken),
        process.forecast.of(sum(totals.bytes for totals in taken)),
    )


def _file_columns(sub_order: SubOrderId, ordered: OrderedFile) -> tuple[object, ...]:
    """One value per array of ``add_files``, in the order of its parameters."""
    product, file = ordered.product, ordered.file
    return (
        sub_order,
        identity(product.urn, file),
        product.urn,
        product.provider_id,
        product.version,
        file.data_type,
        file.name,
        file.url,
        file.external,
        file.online,
        file.size,
        file.checksum,
        file.checksum_algorithm,
        file.mime_type,
        ordered.state,
        "no-checksum" if ordered.reason else None,
        ordered.reason,
        ordered.output_key,
    )
