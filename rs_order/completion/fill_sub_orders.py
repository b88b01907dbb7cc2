"""Puts pages of files into sub-orders, beginning with those that the last page left open (domain.md 4.5)."""

from collections.abc import AsyncGenerator, Collection, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

from rs_order.completion.read_page import OrderPage, Page
from rs_order.concurrency import each_while_next, in_slices
from rs_order.core.assigned_batches import (
    AssignedBatch,
    assign_sub_orders,
    batches_of,
    close_batches,
    open_sub_orders,
    sub_order_of,
)
from rs_order.domain.file_batches import FileBatch, FileBatches, OrderedFile
from rs_order.domain.files import Product
from rs_order.domain.ids import DatasetTaskId
from rs_order.domain.moves import Reason
from rs_order.domain.order import Order
from rs_order.domain.process import Process
from rs_order.domain.selection import DatasetSelection
from rs_order.domain.states import SubOrderKind
from rs_order.domain.sub_order import SubOrder
from rs_order.ports import PRODUCTS_AT_A_TIME, Clock
from rs_order.store.completions import AddedFiles, NewDatasetTask, NewFiles
from rs_order.store.cursors import CompletionCursor
from rs_order.store.unit_of_work import UnitOfWork

FILES_AT_A_TIME: Final = 2000
"""Files, or a few more, that are written while the next ones are read."""

_NO_TASK: Final = DatasetTaskId(0)
_Batch = FileBatch[OrderedFile]
_Assigned = AssignedBatch[OrderedFile]


@dataclass(slots=True, eq=False)
class _Filling:
    """An order that gets the files of a page."""

    order: Order
    selection: DatasetSelection
    batches: FileBatches
    assigned: dict[_Batch, _Assigned] = field(default_factory=dict)
    """The batches that have a sub-order, oldest first."""
    process: Process | None = None
    """The process of the selection. Files attached to its dataset are no inputs of it."""
    again: bool = False
    """True if the order may have many of the files already."""
    task: DatasetTaskId = _NO_TASK
    """Known when its first files are written."""
    added: list[AddedFiles] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Files:
    """Files that are written next."""

    filling: _Filling
    batch: _Batch
    files: Sequence[OrderedFile]


class FillSubOrders:
    """Puts the files of pages into sub-orders. The result doesn't depend on the size of the pages."""

    def __init__(self, clock: Clock, *, batch_bytes: int) -> None:
        """``batch_bytes``: the size at which a storage sub-order is full."""
        self._clock = clock
        self._batch_bytes = batch_bytes

    async def add_pages(
        self, uow: UnitOfWork, pages: Sequence[OrderPage]
    ) -> list[tuple[CompletionCursor, list[str]]]:
        """Add pages to different orders, whose rows are locked; the caller saves orders and cursors.

        While the database stores files, the next ones are read from their page.

        Returns:
            For each page the cursor of the next one, and the names of files larger than a sub-order.
        """
        cursors = [one.cursor for one in pages]
        left_open = await open_sub_orders(
            uow, *(id_ for at in cursors for id_ in (at.storage_sub_order, at.external_sub_order))
        )
        filling = [self._begin(one, left_open) for one in pages]
        async with aclosing(_files_of(pages, filling)) as files:
            await each_while_next(files, partial(_write, uow))
        await uow.completions.count_files({one.task: one.added for one in filling if one.added})
        await self._close(uow, filling)
        return [
            (
                _following(one.cursor, one.page, each.batches, each.assigned.values()),
                each.batches.oversized,
            )
            for one, each in zip(pages, filling, strict=True)
        ]

    async def attach(
        self,
        uow: UnitOfWork,
        order: Order,
        selection: DatasetSelection,
        dataset: Product,
        process: Process,
    ) -> list[str]:
        """Add the files attached to a dataset whose products go into a process (domain.md 5.2).

        They are no inputs of the process. They need at most one sub-order of each kind, whatever their size.

        Returns:
            The names of files larger than a sub-order.
        """
        filling = _Filling(order, selection, FileBatches(self._batch_bytes), process=process)
        filling.batches.attach(dataset)
        filling.batches.finish()
        await _write(uow, _taken([filling]))
        await self._close(uow, [filling])
        return filling.batches.oversized

    def _begin(self, one: OrderPage, left_open: Iterable[SubOrder]) -> _Filling:
        """Return an order with the batches that the last page left open."""
        mine = {each.id: each for each in left_open if each.order_id == one.order.id}
        batches: dict[SubOrderKind, _Batch] = batches_of(mine.values())
        return _Filling(
            one.order,
            one.selection,
            FileBatches(self._batch_bytes, one.selection.file_filter, batches),
            {
                batch: AssignedBatch(batch, mine[batch.sub_order])
                for batch in batches.values()
                if batch.sub_order
            },
            again=one.cursor.reading.number > 1,
        )

    async def _close(self, uow: UnitOfWork, filling: Iterable[_Filling]) -> None:
        """Close the sub-orders that get no more files, and save all."""
        now = self._clock.now()
        for one in filling:
            close_batches(one.order, one.assigned.values(), reason=Reason.FILES_READ, at=now)
        await uow.sub_orders.save(
            [each.sub_order for one in filling for each in one.assigned.values()], now
        )


async def _files_of(
    pages: Iterable[OrderPage], filling: Sequence[_Filling]
) -> AsyncGenerator[Sequence[_Files], None]:
    """Put the files of pages into batches, and yield some thousand at a time."""
    waiting = 0
    for page, one in zip((each.page for each in pages), filling, strict=True):
        if page.attached:
            one.batches.attach(page.attached)
        async for products in in_slices(page.products, PRODUCTS_AT_A_TIME):
            waiting += one.batches.add_products(products)
            if waiting >= FILES_AT_A_TIME:
                yield _taken(filling)
                waiting = 0
        if page.last:
            one.batches.finish()
    if rest := _taken(filling):
        yield rest


def _taken(filling: Iterable[_Filling]) -> list[_Files]:
    """Take the files out of the batches."""
    return [_Files(one, *taken) for one in filling for taken in one.batches.take()]


async def _write(uow: UnitOfWork, some: Sequence[_Files]) -> None:
    """Write files into their sub-orders, and count them in these and in the orders."""
    await _create_tasks(uow, {one.filling: None for one in some if one.filling.task is _NO_TASK})
    await _assign(uow, [one for one in some if one.batch not in one.filling.assigned])
    by_sub_order = {one.filling.assigned[one.batch].sub_order.id: one for one in some}
    added = await uow.completions.add_files(
        [
            NewFiles(one.filling.order.id, one.filling.task, sub_order_id, one.files)
            for sub_order_id, one in by_sub_order.items()
        ],
        again=any(one.filling.again for one in some),
    )
    for each in added:
        one = by_sub_order[each.sub_order_id]
        one.filling.order.counters.add(each.state, each.files, each.bytes)
        sub_order = one.filling.assigned[one.batch].sub_order
        sub_order.counters.add(each.state, each.files, each.bytes)
        one.filling.added.append(each)


async def _create_tasks(uow: UnitOfWork, filling: Collection[_Filling]) -> None:
    """Create the dataset tasks of the selections, unless they exist."""
    if not filling:
        return
    tasks = await uow.completions.dataset_tasks(
        [NewDatasetTask(one.order.id, one.selection, one.process) for one in filling]
    )
    for one, task in zip(filling, tasks, strict=True):
        one.task = task


async def _assign(uow: UnitOfWork, some: Sequence[_Files]) -> None:
    """Create sub-orders for new batches."""
    assigned = await assign_sub_orders(
        uow, [(one.filling.order, one.filling.task, one.batch) for one in some], []
    )
    for one, each in zip(some, assigned, strict=True):
        one.filling.assigned[one.batch] = each


def _following(
    cursor: CompletionCursor, page: Page, batches: FileBatches, assigned: Iterable[_Assigned]
) -> CompletionCursor:
    """Return the cursor of the next page, with the sub-orders that this one leaves open."""
    return replace(
        cursor.next_page(last=page.last),
        storage_sub_order=sub_order_of(batches.storage, assigned),
        external_sub_order=sub_order_of(batches.external, assigned),
        products=cursor.products + len(page.products),
    )
