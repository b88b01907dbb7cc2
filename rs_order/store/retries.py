"""Retries: the files in error of an order move to new sub-orders, slice by slice."""

from collections.abc import Sequence

from rs_order.domain.file_batches import FileInError
from rs_order.domain.ids import DataFileId, DatasetTaskId, OrderId, SubOrderId
from rs_order.domain.states import FileState, OrderStatus, SubOrderKind
from rs_order.store.cursors import RetryCursor, retry_cursor_of
from rs_order.store.pool import Connection, statements

SQL = statements("retries")


class Retries:
    """The orders under retry: how far each has come, and the files that are to move."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def begin(self, order_id: OrderId, status_before: OrderStatus) -> RetryCursor:
        """Start a retry. It has moved no file yet."""
        (row,) = await self._connection.fetch(SQL["begin"], order_id, status_before)
        return retry_cursor_of(row)

    async def cursor(self, order_id: OrderId) -> RetryCursor | None:
        """Return how far the retry has come, or None if there is none."""
        row = await self._connection.fetchrow(SQL["cursor"], order_id)
        return retry_cursor_of(row) if row else None

    async def advance(self, order_id: OrderId, cursor: RetryCursor) -> None:
        await self._connection.execute(
            SQL["advance"],
            order_id,
            cursor.dataset_task,
            cursor.file,
            cursor.storage_sub_order,
            cursor.external_sub_order,
            cursor.first_sub_order,
            cursor.announced_slices,
        )

    async def finish(self, order_ids: Sequence[OrderId]) -> None:
        """End the retry of these orders."""
        await self._connection.execute(SQL["finish"], order_ids)

    async def files_in_error(
        self, order_id: OrderId, cursor: RetryCursor, limit: int
    ) -> list[FileInError]:
        """Return the next files in ERROR, DOWNLOAD_ERROR or PROCESSING_ERROR, by dataset task and id.

        Stored files without a checksum are left out: storage can't be asked for them.
        """
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
        """Move files to other sub-orders and states. Their reasons are deleted."""
        await self._connection.execute(
            SQL["move_files"],
            [file for file, _, _ in moves],
            [sub_order for _, sub_order, _ in moves],
            [state for _, _, state in moves],
        )
