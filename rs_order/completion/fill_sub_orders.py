"""Puts pages of files into sub-orders, beginning with those that the last page left open (domain.md 4.5)."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from rs_order.completion.read_page import OrderPage, Page
from rs_order.core.assigned_batches import (
    AssignedBatch,
    assign_sub_orders,
    batches_of,
    close_batches,
    open_sub_orders,
    sub_order_of,
)
from rs_order.domain.file_batches import FileBatches, OrderedFile
from rs_order.domain.files import Product
from rs_order.domain.ids import OrderId
from rs_order.domain.moves import Reason
from rs_order.domain.order import Order
from rs_order.domain.process import Process
from rs_order.domain.selection import DatasetSelection
from rs_order.domain.sub_order import SubOrder
from rs_order.ports import Clock
from rs_order.store.completions import AddedFiles, NewDatasetTask, NewFile
from rs_order.store.cursors import CompletionCursor
from rs_order.store.unit_of_work import UnitOfWork

PRODUCTS_AT_A_TIME: Final = 1000
"""Products put into batches before other tasks run. A product has few files as a rule."""

_Assigned = AssignedBatch[OrderedFile]


@dataclass(frozen=True, slots=True)
class _Filled:
    """An order with the batches that get the files of its page."""

    order: Order
    selection: DatasetSelection
    batches: FileBatches
    process: Process | None = None
    """The process of the selection. Files attached to its dataset are no inputs of it."""


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

        Returns:
            For each page the cursor of the next one, and the names of files larger than a sub-order.
        """
        cursors = [one.cursor for one in pages]
        left_open = await open_sub_orders(
            uow, *(id_ for at in cursors for id_ in (at.storage_sub_order, at.external_sub_order))
        )
        filled = [
            _Filled(one.order, one.selection, await self._batches(one, left_open)) for one in pages
        ]
        assigned = await self._store(uow, filled, left_open)
        return [
            (
                _following(one.cursor, one.page, batches, assigned.get(one.order.id, [])),
                batches.oversized,
            )
            for one, batches in zip(pages, (each.batches for each in filled), strict=True)
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
        batches = FileBatches(self._batch_bytes)
        batches.attach(dataset)
        batches.finish()
        await self._store(uow, [_Filled(order, selection, batches, process)], [], counted=False)
        return batches.oversized

    async def _batches(self, one: OrderPage, left_open: Iterable[SubOrder]) -> FileBatches:
        mine = [sub_order for sub_order in left_open if sub_order.order_id == one.order.id]
        batches = FileBatches(self._batch_bytes, one.selection.file_filter, batches_of(mine))
        page = one.page
        if page.attached:
            batches.attach(page.attached)
        for first in range(0, len(page.products), PRODUCTS_AT_A_TIME):
            batches.add_products(page.products[first : first + PRODUCTS_AT_A_TIME])
            await asyncio.sleep(0)
        if page.last:
            batches.finish()
        return batches

    async def _store(
        self,
        uow: UnitOfWork,
        filled: Sequence[_Filled],
        left_open: Sequence[SubOrder],
        *,
        counted: bool = True,
    ) -> dict[OrderId, list[_Assigned]]:
        """Write the files that pages added, and count them in the sub-orders and the orders.

        ``counted``: add them to the totals of the dataset tasks.
        """
        touched = [one for one in filled if one.batches.touched]
        if not touched:
            return {}
        created = await uow.completions.dataset_tasks(
            [NewDatasetTask(one.order.id, one.selection, one.process) for one in touched]
        )
        tasks = {one.order.id: task for one, task in zip(touched, created, strict=True)}
        assigned = await assign_sub_orders(
            uow,
            [
                (one.order, tasks[one.order.id], batch)
                for one in touched
                for batch in one.batches.touched
            ],
            left_open,
        )
        new_files = (
            NewFile(one.sub_order.order_id, tasks[one.sub_order.order_id], one.sub_order.id, file)
            for one in assigned
            for file in one.batch.added
        )
        added = await uow.completions.add_files(new_files, counted=counted)
        now = self._clock.now()
        of_order = _counted([one.order for one in touched], assigned, added, now)
        await uow.sub_orders.save([one.sub_order for one in assigned], now)
        return of_order


def _counted(
    orders: Iterable[Order],
    assigned: Sequence[_Assigned],
    added: Iterable[AddedFiles],
    now: datetime,
) -> dict[OrderId, list[_Assigned]]:
    """Count the added files in sub-orders and orders, and close sub-orders. Return these by order."""
    by_id = {order.id: order for order in orders}
    of_order = defaultdict[OrderId, list[_Assigned]](list)
    for one in assigned:
        of_order[one.sub_order.order_id].append(one)
    sub_orders = {one.sub_order.id: one.sub_order for one in assigned}
    for some in added:
        sub_order = sub_orders[some.sub_order_id]
        sub_order.counters.add(some.state, some.files, some.bytes)
        by_id[sub_order.order_id].counters.add(some.state, some.files, some.bytes)
    for order in by_id.values():
        close_batches(order, of_order[order.id], reason=Reason.FILES_READ, at=now)
    return of_order


def _following(
    cursor: CompletionCursor, page: Page, batches: FileBatches, assigned: Sequence[_Assigned]
) -> CompletionCursor:
    """Return the cursor of the next page, with the sub-orders that this one leaves open."""
    return replace(
        cursor.next_page(last=page.last),
        storage_sub_order=sub_order_of(batches.storage, assigned),
        external_sub_order=sub_order_of(batches.external, assigned),
        products=cursor.products + len(page.products),
    )
