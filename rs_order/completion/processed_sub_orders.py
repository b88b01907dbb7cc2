"""Writes the sub-orders of a processed selection, with inputs and promised outputs (domain.md 5)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from rs_order.domain.basket import DatasetSelection
from rs_order.domain.correlation import BatchCorrelation
from rs_order.domain.file_batches import OrderedFile
from rs_order.domain.files import UNKNOWN_MIME_TYPE, CatalogFile, OtherType, Product
from rs_order.domain.ids import DatasetTaskId, SubOrderId
from rs_order.domain.input_batches import Group, InputBatch, InputProduct, SplitForbidden
from rs_order.domain.moves import Reason
from rs_order.domain.order import Order
from rs_order.domain.outputs import PromisedOutput, promised
from rs_order.domain.process import Process
from rs_order.domain.states import FileState, SubOrderKind
from rs_order.domain.sub_order import SubOrder
from rs_order.store.completions import NewSubOrder
from rs_order.store.unit_of_work import UnitOfWork


def split_message(order: Order, process: Process, refusal: SplitForbidden) -> str:
    """The message of an order whose inputs would need a second sub-order (domain.md 5.3, W4)."""
    reached = refusal.reached

    def said(value: bool) -> str:
        return "true" if value else "false"

    return (
        f"order={order.id} processUuid={process.id} Suborder interrupted because one of the "
        f'following limit was reached : "MAX_EXTERNAL_BUCKET_FILE_COUNT" = {said(reached.max_inputs)}, '
        f'"MAX_STORAGE_BUCKET_SIZE" = {said(reached.max_bytes)}, '
        f'process info "FILES" = {said(reached.files)}, '
        f'process info "FEATURES" = {said(reached.features)}, '
        f'process info "BYTES" (size limit) = {said(reached.process_bytes)}\n'
        ". The order cannot be processed because the parameter forbidSplitInSuborders is active. "
        "Please decrease the number of items ordered or contact the administrator for more "
        "information."
    )


@dataclass(slots=True)
class PlannedSubOrder:
    """What a page adds to a sub-order, and whether the sub-order is complete then."""

    group: Group
    added: Sequence[InputProduct]
    closed: bool
    continued: SubOrderId | None = None
    batch: InputBatch | None = None
    """Its batch; None: each product of the batch has a sub-order of its own."""


@dataclass(frozen=True, slots=True)
class ProcessedSelection:
    """What all sub-orders of a selection share."""

    order: Order
    wanted: DatasetSelection
    process: Process
    task: DatasetTaskId


async def write_sub_orders(
    uow: UnitOfWork,
    selection: ProcessedSelection,
    plans: Sequence[PlannedSubOrder],
    *,
    first: int,
    now: datetime,
) -> int:
    """Write what a page adds, and count it; how many sub-orders are new, numbered from ``first``."""
    filled = await _with_sub_orders(uow, selection, plans, first=first)
    await uow.inputs.add(
        selection.order,
        selection.task,
        [(one.sub_order.id, product) for one in filled for product in one.plan.added],
    )
    closed = [one for one in filled if one.plan.closed]
    await _promise(uow, selection, closed)
    for one in closed:
        one.sub_order.close(now, reason=Reason.FILES_READ)
    await uow.sub_orders.save([one.sub_order for one in closed], now)
    fresh = sum(plan.continued is None for plan in plans)
    selection.order.sub_orders += fresh
    return fresh


@dataclass(frozen=True, slots=True)
class _Filled:
    """A planned sub-order with its row and the name of its process batch."""

    plan: PlannedSubOrder
    sub_order: SubOrder
    batch_name: str


async def _with_sub_orders(
    uow: UnitOfWork, selection: ProcessedSelection, plans: Sequence[PlannedSubOrder], *, first: int
) -> list[_Filled]:
    """Each with its sub-order: the one it continues, or a new one with the next number."""
    fresh = [plan for plan in plans if plan.continued is None]
    opened = await uow.completions.open_sub_orders(
        selection.order,
        [
            NewSubOrder(
                selection.task,
                SubOrderKind.PROCESSING,
                asks_storage=plan.group is Group.STORED,
            )
            for plan in fresh
        ],
    )
    names = {
        sub_order.id: _batch_name(selection, number)
        for number, sub_order in enumerate(opened, start=first)
    }
    await uow.executions.plan(selection.order.id, names)
    for plan, sub_order in zip(fresh, opened, strict=True):
        if plan.batch:
            plan.batch.sub_order = sub_order.id
    new = iter(opened)
    filled = []
    for plan in plans:
        if plan.continued is None:
            sub_order = next(new)
            filled.append(_Filled(plan, sub_order, names[sub_order.id]))
        else:
            filled.append(await _continued(uow, plan, plan.continued))
    return filled


def _batch_name(selection: ProcessedSelection, number: int) -> str:
    return str(BatchCorrelation(selection.order.id, selection.wanted.id or 0, number))


async def _continued(uow: UnitOfWork, plan: PlannedSubOrder, sub_order_id: SubOrderId) -> _Filled:
    """At most two of a page: the batches that the page before left open."""
    (sub_order,) = await uow.sub_orders.load([sub_order_id])
    work = await uow.executions.work(sub_order_id)
    if work is None:
        raise LookupError(f"sub-order {sub_order_id} has no batch")
    return _Filled(plan, sub_order, work.correlation_id)


async def _promise(
    uow: UnitOfWork, selection: ProcessedSelection, closed: Sequence[_Filled]
) -> None:
    """Write the outputs of sub-orders that have all their inputs."""
    files: list[tuple[SubOrderId, OrderedFile]] = []
    for one in closed:
        products = (
            one.plan.added
            if one.plan.continued is None
            else await uow.inputs.products(one.sub_order.id)
        )
        files += [
            (one.sub_order.id, _ordered(output))
            for output in promised(
                selection.process, one.batch_name, selection.wanted.urn, products
            )
        ]
    added = await uow.completions.add_files(selection.order, selection.task, files, counted=False)
    by_id = {one.sub_order.id: one.sub_order for one in closed}
    for some in added:
        by_id[some.sub_order_id].counters.add(some.state, some.files, some.bytes)
        selection.order.counters.add(some.state, some.files, some.bytes)


def _ordered(output: PromisedOutput) -> OrderedFile:
    """An output as the order holds it until it is made (domain.md 5.5)."""
    key = str(output.key)
    return OrderedFile(
        product=Product(output.product, output.provider_id, output.version, ()),
        file=CatalogFile(
            data_type=OtherType.OTHER,
            name=output.name,
            url=key,
            external=True,
            size=output.size,
            checksum=None,
            checksum_algorithm=None,
            mime_type=UNKNOWN_MIME_TYPE,
            online=True,
        ),
        state=FileState.PENDING,
        output_key=key,
    )
