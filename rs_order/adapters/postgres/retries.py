"""Retries: cursors, the files in error and where they go."""

from collections.abc import Sequence

from rs_order.adapters.postgres.driver import Connection, Row
from rs_order.adapters.postgres.statements import statements
from rs_order.domain.ids import DataFileId, DatasetTaskId, OrderId, SubOrderId
from rs_order.domain.regrouping import FileInError
from rs_order.domain.states import FileState, OrderStatus, SubOrderKind
from rs_order.ports.store import RetryCursor

SQL = statements("retries")


class PostgresRetries:
    """Implements :class:`rs_order.ports.store.Retries`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def begin(self, order_id: OrderId, status_before: OrderStatus) -> RetryCursor:
        (row,) = await self._connection.fetch(SQL["begin"], order_id, status_before)
        return cursor_of(row)

    async def cursor(self, order_id: OrderId) -> RetryCursor | None:
        row = await self._connection.fetchrow(SQL["cursor"], order_id)
        return cursor_of(row) if row else None

    async def advance(self, order_id: OrderId, cursor: RetryCursor) -> None:
        await self._connection.execute(
            SQL["advance"],
            order_id,
            cursor.dataset_task,
            cursor.file,
            cursor.storage_sub_order,
            cursor.external_sub_order,
            cursor.first_sub_order,
        )

    async def finish(self, order_ids: Sequence[OrderId]) -> None:
        await self._connection.execute(SQL["finish"], order_ids)

    async def files_in_error(
        self, order_id: OrderId, cursor: RetryCursor, limit: int
    ) -> list[FileInError]:
        rows = await self._connection.fetch(
            SQL["files_in_error"], order_id, cursor.dataset_task, cursor.file, limit
        )
        return [
            FileInError(
                id=DataFileId(row["id"]),
                dataset_task=DatasetTaskId(row["dataset_task_id"]),
                sub_order=SubOrderId(row["sub_order_id"]),
                kind=SubOrderKind(row["kind"]),
                state=FileState(row["state"]),
                size=row["size"],
            )
            for row in rows
        ]

    async def move_files(self, moves: Sequence[tuple[DataFileId, SubOrderId, FileState]]) -> None:
        await self._connection.execute(
            SQL["move_files"],
            [file for file, _, _ in moves],
            [sub_order for _, sub_order, _ in moves],
            [state for _, _, state in moves],
        )


def cursor_of(row: Row) -> RetryCursor:
    def sub_order(column: str) -> SubOrderId | None:
        return SubOrderId(row[column]) if row[column] is not None else None

    return RetryCursor(
        status_before=OrderStatus(row["status_before"]),
        dataset_task=DatasetTaskId(row["dataset_task_id"]),
        file=DataFileId(row["data_file_id"]),
        storage_sub_order=sub_order("storage_sub_order_id"),
        external_sub_order=sub_order("external_sub_order_id"),
        first_sub_order=sub_order("first_sub_order_id"),
    )
