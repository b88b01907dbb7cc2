"""Puts a page of files in sub-orders, going on with those that the last page left open (domain.md 4.5)."""

from collections.abc import Sequence
from dataclasses import dataclass

from rs_order.completion.read_page import Page
from rs_order.domain.basket import DatasetSelection
from rs_order.domain.file_batches import FileBatch, FileBatches, OrderedFile
from rs_order.domain.files import Product
from rs_order.domain.ids import DatasetTaskId, SubOrderId
from rs_order.domain.moves import Reason
from rs_order.domain.order import Order
from rs_order.domain.process import Process
from rs_order.domain.sub_order import SubOrder
from rs_order.ports import Clock
from rs_order.store.completions import NewSubOrder
from rs_order.store.cursors import CompletionCursor
from rs_order.store.unit_of_work import UnitOfWork


@dataclass(slots=True)
class _Filled:
    """A batch with its sub-order."""

    batch: FileBatch[OrderedFile]
    sub_order: SubOrder

    @property
    def files(self) -> list[tuple[SubOrderId, OrderedFile]]:
        return [(self.sub_order.id, file) for file in self.batch.added]


class FillSubOrders:
    """Puts the files of pages into sub-orders, the same for any size of the pages."""

    def __init__(self, clock: Clock, *, batch_bytes: int) -> None:
        self._clock = clock
        self._batch_bytes = batch_bytes

    async def add_page(
        self,
        uow: UnitOfWork,
        order: Order,
        cursor: CompletionCursor,
        wanted: DatasetSelection,
        page: Page,
    ) -> tuple[CompletionCursor, list[str]]:
        """Add a page to an order whose row is locked; the caller saves the order and the cursor.

        Returns:
            Where the completion stands then, and the names of files larger than a sub-order.
        """
        open_ids = [id_ for id_ in (cursor.storage_sub_order, cursor.external_sub_order) if id_]
        left_open = await uow.sub_orders.load(open_ids) if open_ids else []
        batches = self._batches(wanted, left_open, page)
        filled = await self._store(uow, order, wanted, batches, left_open=left_open)
        return _next_cursor(cursor, page, batches, filled), batches.oversized

    async def attach(
        self,
        uow: UnitOfWork,
        order: Order,
        wanted: DatasetSelection,
        dataset: Product,
        process: Process,
    ) -> list[str]:
        """Add the files attached to a dataset whose products go into a process (domain.md 5.2).

        At most one sub-order of each kind, whatever their size; they are no inputs.

        Returns:
            The names of files larger than a sub-order.
        """
        batches = FileBatches(self._batch_bytes)
        batches.attach(dataset)
        batches.finish()
        await self._store(uow, order, wanted, batches, process=process)
        return batches.oversized

    def _batches(
        self, wanted: DatasetSelection, left_open: Sequence[SubOrder], page: Page
    ) -> FileBatches:
        open_batches = {
            sub_order.kind: FileBatch[OrderedFile](
                kind=sub_order.kind,
                held_files=sub_order.counters.total_files,
                held_bytes=sub_order.counters.total_bytes,
                sub_order=sub_order.id,
            )
            for sub_order in left_open
        }
        batches = FileBatches(self._batch_bytes, wanted.file_filter, open_batches)
        if page.attached:
            batches.attach(page.attached)
        batches.add_products(page.products)
        if page.last:
            batches.finish()
        return batches

    async def _store(
        self,
        uow: UnitOfWork,
        order: Order,
        wanted: DatasetSelection,
        batches: FileBatches,
        *,
        left_open: Sequence[SubOrder] = (),
        process: Process | None = None,
    ) -> list[_Filled]:
        """Write what the page added, and count it in the sub-orders and the order."""
        if not batches.touched:
            return []
        now = self._clock.now()
        task = await uow.completions.dataset_task(order.id, wanted, process)
        filled = await _with_sub_orders(uow, order, task, batches.touched, left_open)
        by_id = {one.sub_order.id: one.sub_order for one in filled}
        added = await uow.completions.add_files(
            order,
            task,
            [file for one in filled for file in one.files],
            counted=process is None,
        )
        for some in added:
            by_id[some.sub_order_id].counters.add(some.state, some.files, some.bytes)
            order.counters.add(some.state, some.files, some.bytes)
        for one in filled:
            if one.batch.closed:
                one.sub_order.close(now, reason=Reason.FILES_READ)
                order.waiting_sub_orders += one.sub_order.waiting_for_user
        order.sub_orders += sum(batch.sub_order is None for batch in batches.touched)
        await uow.sub_orders.save(list(by_id.values()), now)
        return filled


async def _with_sub_orders(
    uow: UnitOfWork,
    order: Order,
    task: DatasetTaskId,
    batches: Sequence[FileBatch[OrderedFile]],
    left_open: Sequence[SubOrder],
) -> list[_Filled]:
    """Each batch with its sub-order: the one it continues, or a new one."""
    continued = {sub_order.id: sub_order for sub_order in left_open}
    fresh = [batch for batch in batches if batch.sub_order is None]
    made = iter(
        await uow.completions.open_sub_orders(
            order, [NewSubOrder(task, batch.kind) for batch in fresh]
        )
    )
    return [
        _Filled(batch, next(made) if batch.sub_order is None else continued[batch.sub_order])
        for batch in batches
    ]


def _next_cursor(
    cursor: CompletionCursor, page: Page, batches: FileBatches, filled: Sequence[_Filled]
) -> CompletionCursor:
    def id_of(batch: FileBatch[OrderedFile] | None) -> SubOrderId | None:
        return next((one.sub_order.id for one in filled if one.batch is batch), None)

    return CompletionCursor(
        selection=cursor.selection + page.last,
        page=0 if page.last else cursor.page + 1,
        storage_sub_order=id_of(batches.storage),
        external_sub_order=id_of(batches.external),
        products=cursor.products + len(page.products),
        attempts=0,
        unavailable_since=None,
    )
