"""Cuts a page of products in sub-orders that go into a process (domain.md 5.2 to 5.5)."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from rs_order.completion.fill_sub_orders import FillSubOrders
from rs_order.completion.processed_sub_orders import (
    PlannedSubOrder,
    ProcessedSelection,
    write_sub_orders,
)
from rs_order.completion.read_page import Page
from rs_order.domain.basket import DatasetSelection
from rs_order.domain.files import identity
from rs_order.domain.ids import DatasetTaskId
from rs_order.domain.input_batches import (
    BatchLimits,
    Group,
    InputBatch,
    InputBatches,
    InputProduct,
    group_of,
    inputs_of,
)
from rs_order.domain.order import Order
from rs_order.domain.process import Process, Scope
from rs_order.ports import Clock
from rs_order.store.cursors import BatchCursor, CompletionCursor, ProcessedCursor
from rs_order.store.unit_of_work import UnitOfWork


class FillProcessed:
    """Puts inputs into batches, the same for any size of the pages."""

    def __init__(self, clock: Clock, attaching: FillSubOrders, *, batch_bytes: int) -> None:
        """``attaching``: fills the sub-orders of files attached to the dataset, which no process takes."""
        self._clock = clock
        self._attaching = attaching
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

        Raises:
            SplitForbidden: the inputs don't fit in one sub-order, as their process wants.
        """
        process = page.process
        if process is None:
            raise ValueError("a page of a processed selection comes with its process")
        known = cursor.processed or ProcessedCursor(process)
        oversized: list[str] = []
        if page.attached and page.attached.files:
            oversized = await self._attaching.attach(uow, order, wanted, page.attached, process)
        taken = [(group_of(one), inputs_of(one, process)) for one in page.products]
        taken = [(group, product) for group, product in taken if product.inputs]
        if not taken and not _open(known):
            return _next(cursor, page, known), oversized
        task = await uow.completions.dataset_task(order.id, wanted, process)
        taken = await _new_ones(uow, task, taken)
        cut = self._cut(process, known, taken, last=page.last)
        plans = [one for group, batches in cut.items() for one in _plans(process, group, batches)]
        selection = ProcessedSelection(order, wanted, process, task)
        made = await write_sub_orders(
            uow, selection, plans, first=known.sub_orders + 1, now=self._clock.now()
        )
        following = replace(
            known,
            sub_orders=known.sub_orders + made,
            stored=_batch_cursor(cut[Group.STORED].last),
            external=_batch_cursor(cut[Group.EXTERNAL].last),
        )
        return _next(cursor, page, following), oversized

    def _cut(
        self,
        process: Process,
        known: ProcessedCursor,
        taken: Sequence[tuple[Group, InputProduct]],
        *,
        last: bool,
    ) -> dict[Group, InputBatches]:
        limits = BatchLimits(self._batch_bytes, process.limit_kind, process.limit)
        cut = {}
        for group, before in ((Group.STORED, known.stored), (Group.EXTERNAL, known.external)):
            batches = InputBatches(
                limits, last=_batch_of(before), forbids_split=process.forbids_split
            )
            batches.add([product for of, product in taken if of is group])
            if last:
                batches.finish()
            cut[group] = batches
        return cut


def _plans(process: Process, group: Group, batches: InputBatches) -> Iterator[PlannedSubOrder]:
    """A sub-order per batch; one per product, where nothing has to be asked of storage (5.2)."""
    for batch in batches.touched:
        if group is Group.EXTERNAL and process.scope is Scope.FEATURE:
            for product in batch.added:
                yield PlannedSubOrder(group, [product], closed=True)
        else:
            yield PlannedSubOrder(group, batch.added, batch.closed, batch.sub_order, batch)


async def _new_ones(
    uow: UnitOfWork, task: DatasetTaskId, taken: Sequence[tuple[Group, InputProduct]]
) -> list[tuple[Group, InputProduct]]:
    """Without the inputs that an earlier page brought, should the catalog have shifted its pages (W5)."""
    identities = [identity(product.urn, one.file) for _, product in taken for one in product.inputs]
    seen = await uow.inputs.known(task, identities)
    fresh: list[tuple[Group, InputProduct]] = []
    for group, product in taken:
        inputs = []
        for one in product.inputs:
            known = identity(product.urn, one.file)
            if known not in seen:
                seen.add(known)
                inputs.append(one)
        if inputs:
            fresh.append((group, replace(product, inputs=tuple(inputs))))
    return fresh


def _batch_of(cursor: BatchCursor | None) -> InputBatch | None:
    if cursor is None:
        return None
    return InputBatch(totals=cursor.totals, sub_order=cursor.sub_order, closed=cursor.closed)


def _batch_cursor(batch: InputBatch | None) -> BatchCursor | None:
    if batch is None:
        return None
    return BatchCursor(batch.totals, batch.closed, batch.sub_order)


def _open(known: ProcessedCursor) -> bool:
    """True if a batch waits for more products, or for the end of the selection."""
    return any(batch and not batch.closed for batch in (known.stored, known.external))


def _next(cursor: CompletionCursor, page: Page, processed: ProcessedCursor) -> CompletionCursor:
    """Products of processed selections are not counted (domain.md 4.8)."""
    return CompletionCursor(
        selection=cursor.selection + page.last,
        page=0 if page.last else cursor.page + 1,
        storage_sub_order=None,
        external_sub_order=None,
        products=cursor.products,
        attempts=0,
        unavailable_since=None,
        processed=None if page.last else processed,
    )
