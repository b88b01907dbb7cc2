"""Puts a page of files in sub-orders, going on with those that the last page left open (domain.md 4.5)."""

from collections.abc import Sequence
from dataclasses import dataclass

from rs_order.application.read_page import Page
from rs_order.domain.basket import DatasetSelection
from rs_order.domain.files import Product
from rs_order.domain.ids import DatasetTaskId, SubOrderId
from rs_order.domain.moves import Reason
from rs_order.domain.order import Order
from rs_order.domain.partition import Bucket, OrderedFile, Partition
from rs_order.domain.process import Process
from rs_order.domain.sub_order import SubOrder
from rs_order.ports.clock import Clock
from rs_order.store.completions import NewSubOrder
from rs_order.store.cursors import CompletionCursor
from rs_order.store.unit_of_work import UnitOfWork


@dataclass(slots=True)
class _Filled:
    """A bucket of the partition with its sub-order."""

    bucket: Bucket[OrderedFile]
    sub_order: SubOrder

    @property
    def files(self) -> list[tuple[SubOrderId, OrderedFile]]:
        return [(self.sub_order.id, file) for file in self.bucket.added]


class FillSubOrders:
    """Cuts pages in sub-orders of a size; the same cut whatever the size of the pages."""

    def __init__(self, clock: Clock, *, bucket_bytes: int) -> None:
        self._clock = clock
        self._bucket_bytes = bucket_bytes

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
        partition = self._partition(wanted, left_open, page)
        filled = await self._store(uow, order, wanted, partition, left_open=left_open)
        return _next_cursor(cursor, page, partition, filled), partition.oversized

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
        partition = Partition(self._bucket_bytes)
        partition.attach(dataset)
        partition.finish()
        await self._store(uow, order, wanted, partition, process=process)
        return partition.oversized

    def _partition(
        self, wanted: DatasetSelection, left_open: Sequence[SubOrder], page: Page
    ) -> Partition:
        buckets = {
            sub_order.kind: Bucket[OrderedFile](
                kind=sub_order.kind,
                held_files=sub_order.tally.total_files,
                held_bytes=sub_order.tally.total_bytes,
                sub_order=sub_order.id,
            )
            for sub_order in left_open
        }
        partition = Partition(self._bucket_bytes, wanted.file_filter, buckets)
        if page.attached:
            partition.attach(page.attached)
        partition.add_products(page.products)
        if page.last:
            partition.finish()
        return partition

    async def _store(
        self,
        uow: UnitOfWork,
        order: Order,
        wanted: DatasetSelection,
        partition: Partition,
        *,
        left_open: Sequence[SubOrder] = (),
        process: Process | None = None,
    ) -> list[_Filled]:
        """Write what the page added, and count it in the sub-orders and the order."""
        if not partition.buckets:
            return []
        now = self._clock.now()
        task = await uow.completions.dataset_task(order.id, wanted, process)
        filled = await _with_sub_orders(uow, order, task, partition.buckets, left_open)
        by_id = {one.sub_order.id: one.sub_order for one in filled}
        added = await uow.completions.add_files(
            order,
            task,
            [file for one in filled for file in one.files],
            counted=process is None,
        )
        for some in added:
            by_id[some.sub_order_id].tally.add(some.state, some.files, some.bytes)
            order.tally.add(some.state, some.files, some.bytes)
        for one in filled:
            if one.bucket.closed:
                one.sub_order.close(now, reason=Reason.FILES_READ)
                order.waiting_sub_orders += one.sub_order.waiting_for_user
        order.sub_orders += sum(bucket.sub_order is None for bucket in partition.buckets)
        await uow.sub_orders.save(list(by_id.values()), now)
        return filled


async def _with_sub_orders(
    uow: UnitOfWork,
    order: Order,
    task: DatasetTaskId,
    buckets: Sequence[Bucket[OrderedFile]],
    left_open: Sequence[SubOrder],
) -> list[_Filled]:
    """Each bucket with its sub-order: the one it continues, or a new one."""
    continued = {sub_order.id: sub_order for sub_order in left_open}
    fresh = [bucket for bucket in buckets if bucket.sub_order is None]
    made = iter(
        await uow.completions.open_sub_orders(
            order, [NewSubOrder(task, bucket.kind) for bucket in fresh]
        )
    )
    return [
        _Filled(bucket, next(made) if bucket.sub_order is None else continued[bucket.sub_order])
        for bucket in buckets
    ]


def _next_cursor(
    cursor: CompletionCursor, page: Page, partition: Partition, filled: Sequence[_Filled]
) -> CompletionCursor:
    def id_of(bucket: Bucket[OrderedFile] | None) -> SubOrderId | None:
        return next((one.sub_order.id for one in filled if one.bucket is bucket), None)

    return CompletionCursor(
        selection=cursor.selection + page.last,
        page=0 if page.last else cursor.page + 1,
        storage_sub_order=id_of(partition.storage),
        external_sub_order=id_of(partition.external),
        products=cursor.products + len(page.products),
        attempts=0,
        trouble_since=None,
    )
