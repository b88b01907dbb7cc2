"""Moves a slice of an order's files in error to new sub-orders, and updates all counters."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby

from rs_order.core.assigned_batches import (
    AssignedBatch,
    assign_sub_orders,
    batches_of,
    close_batches,
    open_sub_orders,
    sub_order_of,
)
from rs_order.domain.file_batches import FileInError, RetryBatches
from rs_order.domain.ids import DatasetTaskId, SubOrderId
from rs_order.domain.moves import Reason
from rs_order.domain.order import Order
from rs_order.domain.states import SubOrderKind
from rs_order.domain.sub_order import SubOrder
from rs_order.ports import Clock
from rs_order.store.cursors import RetryCursor
from rs_order.store.unit_of_work import UnitOfWork


class RegroupFiles:
    """Puts files in error into batches, each of one dataset task, and begins with the open ones."""

    def __init__(self, clock: Clock, *, batch_bytes: int) -> None:
        self._clock = clock
        self._batch_bytes = batch_bytes

    async def move(
        self,
        uow: UnitOfWork,
        order: Order,
        cursor: RetryCursor,
        files: Sequence[FileInError],
        *,
        last: bool,
    ) -> RetryCursor:
        """Move files of an order whose row is locked; the caller saves the order and the cursor.

        Args:
            uow: the unit of work of the caller.
            order: its counters change.
            cursor: the position before this slice.
            files: the next files in error, by dataset task and id.
            last: no more files follow, so the open batches are closed.

        Returns:
            The position after this slice.
        """
        left_open = await open_sub_orders(uow, cursor.storage_sub_order, cursor.external_sub_order)
        divided = list(self._divide(cursor.dataset_task, left_open, files, last=last))
        touched = [(order, task, batch) for task, batches in divided for batch in batches.touched]
        assigned = await assign_sub_orders(uow, touched, left_open)
        await uow.retries.move_files(
            [
                (file.id, one.sub_order.id, file.retried_state)
                for one in assigned
                for file in one.batch.added
            ]
        )
        old = await uow.sub_orders.load(sorted({file.sub_order for file in files}))
        by_id = {sub_order.id: sub_order for sub_order in old}
        await self._take_out(uow, order, files, by_id)
        await self._put_in(uow, order, assigned, by_id)
        return _next_cursor(cursor, files, divided[-1], assigned)

    def _divide(
        self,
        task: DatasetTaskId,
        left_open: Sequence[SubOrder],
        files: Sequence[FileInError],
        *,
        last: bool,
    ) -> Iterator[tuple[DatasetTaskId, RetryBatches]]:
        """Yield the batches of each dataset task. The first is the task at which the last slice ended."""
        batches = RetryBatches(self._batch_bytes, batches_of(left_open))
        for next_task, of_task in groupby(files, key=lambda file: file.dataset_task):
            if next_task != task:
                batches.finish()
                yield task, batches
                task, batches = next_task, RetryBatches(self._batch_bytes, {})
            for file in of_task:
                batches.add(file)
        if last:
            batches.finish()
        yield task, batches

    async def _take_out(
        self,
        uow: UnitOfWork,
        order: Order,
        files: Sequence[FileInError],
        old: Mapping[SubOrderId, SubOrder],
    ) -> None:
        """Take files out of their old sub-orders, and remove each sub-order that has no file left."""
        for file in files:
            old[file.sub_order].counters.add(file.state, -1, -(file.size or 0))
            order.counters.add(file.state, -1, -(file.size or 0))
        emptied = [sub_order for sub_order in old.values() if not sub_order.counters.total_files]
        kept = [sub_order for sub_order in old.values() if sub_order.counters.total_files]
        for sub_order in kept:
            sub_order.settle(reason=Reason.RETRIED)
        now = self._clock.now()
        await uow.sub_orders.save(kept, now)
        await uow.sub_orders.remove(emptied, reason=Reason.RETRIED, at=now)
        order.sub_orders -= len(emptied)

    async def _put_in(
        self,
        uow: UnitOfWork,
        order: Order,
        assigned: Sequence[AssignedBatch[FileInError]],
        old: Mapping[SubOrderId, SubOrder],
    ) -> None:
        """Count files in their new sub-orders, and close the sub-orders that get no more files."""
        now = self._clock.now()
        for one in assigned:
            for file in one.batch.added:
                one.sub_order.counters.add(file.retried_state, 1, file.size or 0)
                order.counters.add(file.retried_state, 1, file.size or 0)
                # Storage was asked for these files before, so a late answer still counts.
                one.sub_order.asks = max(one.sub_order.asks, old[file.sub_order].asks)
        close_batches(order, assigned, reason=Reason.RETRIED, at=now)
        await uow.sub_orders.save([one.sub_order for one in assigned], now)


def _next_cursor(
    cursor: RetryCursor,
    files: Sequence[FileInError],
    last_task: tuple[DatasetTaskId, RetryBatches],
    assigned: Sequence[AssignedBatch[FileInError]],
) -> RetryCursor:
    task, batches = last_task
    return replace(
        cursor,
        dataset_task=task,
        file=files[-1].id if files else cursor.file,
        storage_sub_order=sub_order_of(batches.open_batch(SubOrderKind.STORAGE), assigned),
        external_sub_order=sub_order_of(batches.open_batch(SubOrderKind.EXTERNAL), assigned),
        first_sub_order=cursor.first_sub_order
        or min((one.sub_order.id for one in assigned), default=None),
    )
