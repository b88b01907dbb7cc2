"""Assigns batches of files to sub-orders, for a completion and for a retry."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic

from rs_order.domain.file_batches import File, FileBatch
from rs_order.domain.ids import DatasetTaskId, SubOrderId
from rs_order.domain.moves import Reason
from rs_order.domain.order import Order
from rs_order.domain.states import SubOrderKind
from rs_order.domain.sub_order import SubOrder
from rs_order.store.completions import NewSubOrder
from rs_order.store.unit_of_work import UnitOfWork


@dataclass(frozen=True, slots=True)
class AssignedBatch(Generic[File]):
    """A batch with the sub-order that holds its files."""

    batch: FileBatch[File]
    sub_order: SubOrder


async def open_sub_orders(uow: UnitOfWork, *ids: SubOrderId | None) -> list[SubOrder]:
    """Load the sub-orders that the last step left open; None stands for no sub-order of a kind."""
    known = [id_ for id_ in ids if id_]
    return await uow.sub_orders.load(known) if known else []


def batches_of(sub_orders: Iterable[SubOrder]) -> dict[SubOrderKind, FileBatch[File]]:
    """Return a batch for each open sub-order, by kind, so that more files can be added to it."""
    return {
        sub_order.kind: FileBatch[File](
            kind=sub_order.kind,
            total_files=sub_order.counters.total_files,
            total_bytes=sub_order.counters.total_bytes,
            sub_order=sub_order.id,
        )
        for sub_order in sub_orders
    }


async def assign_sub_orders(
    uow: UnitOfWork,
    batches: Sequence[tuple[Order, DatasetTaskId, FileBatch[File]]],
    left_open: Iterable[SubOrder],
) -> list[AssignedBatch[File]]:
    """Assign each batch the sub-order that it continues, or a new one of its dataset task."""
    continued = {sub_order.id: sub_order for sub_order in left_open}
    fresh = [
        NewSubOrder(order, task, batch.kind)
        for order, task, batch in batches
        if not batch.sub_order
    ]
    created = iter(await uow.completions.open_sub_orders(fresh) if fresh else [])
    return [
        AssignedBatch(batch, continued[batch.sub_order] if batch.sub_order else next(created))
        for _, _, batch in batches
    ]


def close_batches(
    order: Order, assigned: Iterable[AssignedBatch[File]], *, reason: Reason, at: datetime
) -> None:
    """Close the sub-orders that get no more files, and count the new ones; the caller saves all.

    The counters of the sub-orders already contain the added files.
    """
    for one in assigned:
        order.sub_orders += one.batch.sub_order is None
        if one.batch.closed:
            one.sub_order.close(at, reason=reason)
            order.waiting_sub_orders += one.sub_order.waiting_for_user


def sub_order_of(
    batch: FileBatch[File] | None, assigned: Iterable[AssignedBatch[File]]
) -> SubOrderId | None:
    """Return the id of the sub-order of an open batch, for the cursor; None without a batch."""
    return next((one.sub_order.id for one in assigned if one.batch is batch), None)
