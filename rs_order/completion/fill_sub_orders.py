"""Puts a page of files into sub-orders, beginning with those that the last page left open (domain.md 4.5)."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from rs_order.completion.read_page import Page
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
from rs_order.domain.moves import Reason
from rs_order.domain.order import Order
from rs_order.domain.process import Process
from rs_order.domain.selection import DatasetSelection
from rs_order.domain.sub_order import SubOrder
from rs_order.ports import Clock
from rs_order.store.cursors import CompletionCursor
from rs_order.store.unit_of_work import UnitOfWork

PRODUCTS_AT_A_TIME: Final = 1000
"""Products put into batches before other tasks run. A product has few files as a rule."""


class FillSubOrders:
    """Puts the files of pages into sub-orders. The result doesn't depend on the size of the pages."""

    def __init__(self, clock: Clock, *, batch_bytes: int) -> None:
        """``batch_bytes``: the size at which a storage sub-order is full."""
        self._clock = clock
        self._batch_bytes = batch_bytes

    async def add_page(
        self,
        uow: UnitOfWork,
        order: Order,
        cursor: CompletionCursor,
        selection: DatasetSelection,
        page: Page,
    ) -> tuple[CompletionCursor, list[str]]:
        """Add a page to an order whose row is locked; the caller saves the order and the cursor.

        Returns:
            The cursor of the next page, and the names of files larger than a sub-order.
        """
        left_open = await open_sub_orders(uow, cursor.storage_sub_order, cursor.external_sub_order)
        batches = await self._batches(selection, left_open, page)
        assigned = await self._store(uow, order, selection, batches, left_open=left_open)
        following = replace(
            cursor.next_page(last=page.last),
            storage_sub_order=sub_order_of(batches.storage, assigned),
            external_sub_order=sub_order_of(batches.external, assigned),
            products=cursor.products + len(page.products),
        )
        return following, batches.oversized

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
        await self._store(uow, order, selection, batches, process=process)
        return batches.oversized

    async def _batches(
        self, selection: DatasetSelection, left_open: Sequence[SubOrder], page: Page
    ) -> FileBatches:
        batches = FileBatches(self._batch_bytes, selection.file_filter, batches_of(left_open))
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
        order: Order,
        selection: DatasetSelection,
        batches: FileBatches,
        *,
        left_open: Sequence[SubOrder] = (),
        process: Process | None = None,
    ) -> list[AssignedBatch[OrderedFile]]:
        """Write the files that the page added, and count them in the sub-orders and the order."""
        if not batches.touched:
            return []
        now = self._clock.now()
        task = await uow.completions.dataset_task(order.id, selection, process)
        assigned = await assign_sub_orders(
            uow, order, [(task, batch) for batch in batches.touched], left_open
        )
        by_id = {one.sub_order.id: one.sub_order for one in assigned}
        added = await uow.completions.add_files(
            order,
            task,
            ((one.sub_order.id, file) for one in assigned for file in one.batch.added),
            counted=process is None,
        )
        for some in added:
            by_id[some.sub_order_id].counters.add(some.state, some.files, some.bytes)
            order.counters.add(some.state, some.files, some.bytes)
        close_batches(order, assigned, reason=Reason.FILES_READ, at=now)
        await uow.sub_orders.save(list(by_id.values()), now)
        return assigned
