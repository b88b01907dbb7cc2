"""Divides the products of a page into sub-orders that go into a process (domain.md 5.2 to 5.5)."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from rs_order.completion.fill_sub_orders import FillSubOrders
from rs_order.completion.processed_sub_orders import (
    PlannedSubOrder,
    ProcessedSelection,
    write_sub_orders,
)
from rs_order.completion.read_page import Page
from rs_order.concurrency import in_slices
from rs_order.domain.files import Product, identity
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
from rs_order.domain.selection import DatasetSelection
from rs_order.ports import PRODUCTS_AT_A_TIME, Clock
from rs_order.store.completions import NewDatasetTask
from rs_order.store.cursors import BatchCursor, CompletionCursor, ProcessedCursor
from rs_order.store.unit_of_work import UnitOfWork


class FillProcessed:
    """Puts inputs into batches. The result doesn't depend on the size of the pages."""

    def __init__(self, clock: Clock, fill_sub_orders: FillSubOrders, *, batch_bytes: int) -> None:
        """``fill_sub_orders``: takes the files attached to the dataset, which are no inputs."""
        self._clock = clock
        self._fill_sub_orders = fill_sub_orders
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

        Raises:
            SplitForbidden: the process forbids a second sub-order, but the inputs need one.
        """
        process = page.process
        if process is None:
            raise ValueError("a page of a processed selection has a process")
        oversized: list[str] = []
        if page.attached and page.attached.files:
            oversized = await self._fill_sub_orders.attach(
                uow, order, selection, page.attached, process
            )
        processed = cursor.processed or ProcessedCursor(process)
        inputs = await _inputs(page.products, process)
        if inputs or _has_open_batch(processed):
            processed = await self._add_inputs(
                uow, order, selection, processed, inputs, last=page.last
            )
        # Products of processed selections are not counted (domain.md 4.8).
        following = cursor.next_page(last=page.last)
        return replace(following, processed=None if page.last else processed), oversized

    async def _add_inputs(
        self,
        uow: UnitOfWork,
        order: Order,
        selection: DatasetSelection,
        processed: ProcessedCursor,
        inputs: Sequence[tuple[Group, InputProduct]],
        *,
        last: bool,
    ) -> ProcessedCursor:
        """Write the inputs of a page into sub-orders. Return the position after them."""
        process = processed.process
        wanted = NewDatasetTask(order.id, selection, process)
        (task,) = await uow.completions.dataset_tasks([wanted])
        batches = self._divide(processed, await _new_inputs(uow, task, inputs), last=last)
        plans = [plan for group in batches for plan in _plans(process, group, batches[group])]
        created = await write_sub_orders(
            uow,
            ProcessedSelection(order, selection, process, task),
            plans,
            first=processed.sub_orders + 1,
            now=self._clock.now(),
        )
        return replace(
            processed,
            sub_orders=processed.sub_orders + created,
            stored=_batch_cursor(batches[Group.STORED].last),
            external=_batch_cursor(batches[Group.EXTERNAL].last),
        )

    def _divide(
        self,
        processed: ProcessedCursor,
        inputs: Sequence[tuple[Group, InputProduct]],
        *,
        last: bool,
    ) -> dict[Group, InputBatches]:
        """Put the inputs of each group into batches, beginning with the group's last batch."""
        process = processed.process
        limits = BatchLimits(self._batch_bytes, process.limit_kind, process.limit)
        divided = {}
        for group, before in (
            (Group.STORED, processed.stored),
            (Group.EXTERNAL, processed.external),
        ):
            batches = InputBatches(
                limits, last=_batch_of(before), forbids_split=process.forbids_split
            )
            batches.add([product for of, product in inputs if of is group])
            if last:
                batches.finish()
            divided[group] = batches
        return divided


async def _inputs(
    products: Sequence[Product], process: Process
) -> list[tuple[Group, InputProduct]]:
    """Return the products that have an input of the process, each with its group."""
    found: list[tuple[Group, InputProduct]] = []
    async for some in in_slices(products, PRODUCTS_AT_A_TIME):
        for product in some:
            inputs = inputs_of(product, process)
            if inputs.inputs:
                found.append((group_of(product), inputs))
    return found


def _plans(process: Process, group: Group, batches: InputBatches) -> Iterator[PlannedSubOrder]:
    """Yield a sub-order per batch, or one per product if nothing is requested from storage (5.2)."""
    for batch in batches.touched:
        if group is Group.EXTERNAL and process.scope is Scope.FEATURE:
            for product in batch.added:
                yield PlannedSubOrder(group, [product], closed=True)
        else:
            yield PlannedSubOrder(group, batch.added, batch.closed, batch.sub_order, batch)


async def _new_inputs(
    uow: UnitOfWork, task: DatasetTaskId, found: Sequence[tuple[Group, InputProduct]]
) -> list[tuple[Group, InputProduct]]:
    """Leave out the inputs of earlier pages, which come again if the catalog shifts its pages (W5)."""
    identities = [identity(product.urn, one.file) for _, product in found for one in product.inputs]
    seen = await uow.inputs.known(task, identities)
    fresh: list[tuple[Group, InputProduct]] = []
    for group, product in found:
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


def _has_open_batch(processed: ProcessedCursor) -> bool:
    """True if a batch takes more products, or is closed by the end of the selection."""
    return any(batch and not batch.closed for batch in (processed.stored, processed.external))
