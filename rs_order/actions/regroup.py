"""Moves a slice of an order's files in error to new sub-orders, with every counter that follows."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from rs_order.domain.file_batches import FileBatch
from rs_order.domain.ids import DatasetTaskId, SubOrderId
from rs_order.domain.moves import Reason
from rs_order.domain.order import Order
from rs_order.domain.retry_batches import FileInError, RetryBatches
from rs_order.domain.states import SubOrderKind
from rs_order.domain.sub_order import SubOrder
from rs_order.ports import Clock
from rs_order.store.completions import NewSubOrder
from rs_order.store.cursors import RetryCursor
from rs_order.store.unit_of_work import UnitOfWork


@dataclass(slots=True)
class _Filled:
    """A batch with the sub-order it becomes."""

    batch: FileBatch[FileInError]
    sub_order: SubOrder


class RegroupFiles:
    """Continues the batches that the last slice left open; each stays in one dataset task."""

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
            uow: where this happens.
            order: its counters are moved.
            cursor: where the retry stands.
            files: the next files in error, by dataset task and id.
            last: no more will come; what is open is closed.

        Returns:
            Where the retry stands then.
        """
        left_open = await self._left_open(uow, cursor)
        cuts = list(self._cut(cursor.dataset_task, left_open, files, last=last))
        filled = await _with_sub_orders(uow, order, cuts, left_open)
        await uow.retries.move_files(
            [
                (file.id, one.sub_order.id, file.retried_state)
                for one in filled
                for file in one.batch.added
            ]
        )
        old = await uow.sub_orders.load(sorted({file.sub_order for file in files}))
        by_id = {sub_order.id: sub_order for sub_order in old}
        await self._leave(uow, order, files, by_id)
        await self._settle_in(uow, order, filled, by_id)
        return _next_cursor(cursor, files, cuts, filled)

    @staticmethod
    async def _left_open(uow: UnitOfWork, cursor: RetryCursor) -> list[SubOrder]:
        ids = [id_ for id_ in (cursor.storage_sub_order, cursor.external_sub_order) if id_]
        return await uow.sub_orders.load(ids) if ids else []

    def _cut(
        self,
        task: DatasetTaskId,
        left_open: Sequence[SubOrder],
        files: Sequence[FileInError],
        *,
        last: bool,
    ) -> Iterator[tuple[DatasetTaskId, RetryBatches]]:
        """Yield the batches of each dataset task, beginning with the one where the last slice ended."""
        batches = RetryBatches(
            self._batch_bytes, {sub_order.kind: _continued(sub_order) for sub_order in left_open}
        )
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

    async def _leave(
        self,
        uow: UnitOfWork,
        order: Order,
        files: Sequence[FileInError],
        old: Mapping[SubOrderId, SubOrder],
    ) -> None:
        """Take files out of their old sub-orders; one that loses its last file is no longer counted."""
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

    async def _settle_in(
        self,
        uow: UnitOfWork,
        order: Order,
        filled: Sequence[_Filled],
        old: Mapping[SubOrderId, SubOrder],
    ) -> None:
        """Count files in their new sub-orders; those that are full, or the last, are complete."""
        now = self._clock.now()
        for one in filled:
            for file in one.batch.added:
                one.sub_order.counters.add(file.retried_state, 1, file.size or 0)
                order.counters.add(file.retried_state, 1, file.size or 0)
                # Storage was asked for them before, so that a late answer still counts.
                one.sub_order.asks = max(one.sub_order.asks, old[file.sub_order].asks)
            if one.batch.closed:
                one.sub_order.close(now, reason=Reason.RETRIED)
                order.waiting_sub_orders += one.sub_order.waiting_for_user
        order.sub_orders += sum(one.batch.sub_order is None for one in filled)
        await uow.sub_orders.save([one.sub_order for one in filled], now)


def _continued(sub_order: SubOrder) -> FileBatch[FileInError]:
    return FileBatch(
        kind=sub_order.kind,
        held_files=sub_order.counters.total_files,
        held_bytes=sub_order.counters.total_bytes,
        sub_order=sub_order.id,
    )


async def _with_sub_orders(
    uow: UnitOfWork,
    order: Order,
    cuts: Sequence[tuple[DatasetTaskId, RetryBatches]],
    left_open: Sequence[SubOrder],
) -> list[_Filled]:
    """Each batch with its sub-order: the one it continues, or a new one."""
    continued = {sub_order.id: sub_order for sub_order in left_open}
    touched = [(task, batch) for task, batches in cuts for batch in batches.touched]
    fresh = [NewSubOrder(task, batch.kind) for task, batch in touched if not batch.sub_order]
    made = iter(await uow.completions.open_sub_orders(order, fresh) if fresh else [])
    return [
        _Filled(batch, continued[batch.sub_order] if batch.sub_order else next(made))
        for _, batch in touched
    ]


def _next_cursor(
    cursor: RetryCursor,
    files: Sequence[FileInError],
    cuts: Sequence[tuple[DatasetTaskId, RetryBatches]],
    filled: Sequence[_Filled],
) -> RetryCursor:
    task, batches = cuts[-1]

    def open_sub_order(kind: SubOrderKind) -> SubOrderId | None:
        batch = batches.open_batch(kind)
        return next((one.sub_order.id for one in filled if one.batch is batch), None)

    made = [one.sub_order.id for one in filled]
    return replace(
        cursor,
        dataset_task=task,
        file=files[-1].id if files else cursor.file,
        storage_sub_order=open_sub_order(SubOrderKind.STORAGE),
        external_sub_order=open_sub_order(SubOrderKind.EXTERNAL),
        first_sub_order=cursor.first_sub_order or min(made, default=None),
    )
