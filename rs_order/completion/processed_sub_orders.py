"""Writes the sub-orders of a processed selection, with their inputs and outputs (domain.md 5)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from rs_order.domain.correlation import BatchCorrelation
from rs_order.domain.file_batches import OrderedFile
from rs_order.domain.files import UNKNOWN_MIME_TYPE, CatalogFile, OtherType, Product
from rs_order.domain.ids import DatasetTaskId, SubOrderId
from rs_order.domain.input_batches import Group, InputBatch, InputProduct, SplitForbidden
from rs_order.domain.moves import Reason
from rs_order.domain.order import Order
from rs_order.domain.outputs import PromisedOutput, promised
from rs_order.domain.process import Process
from rs_order.domain.selection import DatasetSelection
from rs_order.domain.states import FileState, SubOrderKind
from rs_order.domain.sub_order import SubOrder
from rs_order.store.completions import NewFiles, NewSubOrder
from rs_order.store.unit_of_work import UnitOfWork


def split_message(order: Order, process: Process, error: SplitForbidden) -> str:
    """Return the message of an order whose inputs would need a second sub-order (domain.md 5.3, W4)."""
    reached = error.reached

    def text(value: bool) -> str:
        return "true" if value else "false"

    return (
        f"order={order.id} processUuid={process.id} Suborder interrupted because one of the "
        f'following limit was reached : "MAX_EXTERNAL_BUCKET_FILE_COUNT" = {text(reached.max_inputs)}, '
        f'"MAX_STORAGE_BUCKET_SIZE" = {text(reached.max_bytes)}, '
        f'process info "FILES" = {text(reached.files)}, '
        f'process info "FEATURES" = {text(reached.features)}, '
        f'process info "BYTES" (size limit) = {text(reached.process_bytes)}\n'
        ". The order cannot be processed because the parameter forbidSplitInSuborders is active. "
        "Please decrease the number of items ordered or contact the administrator for more "
        "information."
    )


@dataclass(slots=True)
class PlannedSubOrder:
    """The inputs that a page adds to a sub-order."""

    group: Group
    added: Sequence[InputProduct]
    closed: bool
    """True if the sub-order gets no more inputs."""
    continued: SubOrderId | None = None
    """The sub-order, if an earlier page created it."""
    batch: InputBatch | None = None
    """None if each product of a batch has a sub-order of its own."""


@dataclass(frozen=True, slots=True)
class ProcessedSelection:
    """A selection with its process, shared by all its sub-orders."""

    order: Order
    dataset: DatasetSelection
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
    """Write the inputs that a page adds, and count the new sub-orders in the order.

    Outputs are written when a sub-order has all its inputs. New sub-orders are numbered from ``first``.

    Returns:
        The number of new sub-orders.
    """
    named = await _named_sub_orders(uow, selection, plans, first=first)
    await uow.inputs.add(
        selection.order,
        selection.task,
        [(one.sub_order.id, product) for one in named for product in one.plan.added],
    )
    closed = [one for one in named if one.plan.closed]
    await _add_outputs(uow, selection, closed)
    for one in closed:
        one.sub_order.close(now, reason=Reason.FILES_READ)
    await uow.sub_orders.save([one.sub_order for one in closed], now)
    fresh = sum(plan.continued is None for plan in plans)
    selection.order.sub_orders += fresh
    return fresh


@dataclass(frozen=True, slots=True)
class _NamedSubOrder:
    """A planned sub-order with its row and the correlation id of its batch in rs-processing."""

    plan: PlannedSubOrder
    sub_order: SubOrder
    correlation_id: str


async def _named_sub_orders(
    uow: UnitOfWork, selection: ProcessedSelection, plans: Sequence[PlannedSubOrder], *, first: int
) -> list[_NamedSubOrder]:
    """Return each plan with the sub-order that it continues, or with a new one."""
    fresh = [plan for plan in plans if plan.continued is None]
    opened = await uow.completions.open_sub_orders(
        [
            NewSubOrder(
                selection.order,
                selection.task,
                SubOrderKind.PROCESSING,
                asks_storage=plan.group is Group.STORED,
            )
            for plan in fresh
        ],
    )
    names = {
        sub_order.id: _correlation_id(selection, number)
        for number, sub_order in enumerate(opened, start=first)
    }
    await uow.executions.plan(selection.order.id, names)
    for plan, sub_order in zip(fresh, opened, strict=True):
        if plan.batch:
            plan.batch.sub_order = sub_order.id
    new = iter(opened)
    named = []
    for plan in plans:
        if plan.continued is None:
            sub_order = next(new)
            named.append(_NamedSubOrder(plan, sub_order, names[sub_order.id]))
        else:
            named.append(await _load(uow, plan, plan.continued))
    return named


def _correlation_id(selection: ProcessedSelection, number: int) -> str:
    return str(BatchCorrelation(selection.order.id, selection.dataset.id or 0, number))


async def _load(uow: UnitOfWork, plan: PlannedSubOrder, sub_order_id: SubOrderId) -> _NamedSubOrder:
    """Load a sub-order that the last page left open. A page has at most two.

    Raises:
        LookupError: the sub-order has no batch.
    """
    (sub_order,) = await uow.sub_orders.load([sub_order_id])
    work = await uow.executions.work(sub_order_id)
    if work is None:
        raise LookupError(f"sub-order {sub_order_id} has no batch")
    return _NamedSubOrder(plan, sub_order, work.correlation_id)


async def _add_outputs(
    uow: UnitOfWork, selection: ProcessedSelection, closed: Sequence[_NamedSubOrder]
) -> None:
    """Add the outputs that the process promises for sub-orders with all their inputs."""
    files: list[NewFiles] = []
    for one in closed:
        products = (
            one.plan.added
            if one.plan.continued is None
            else await uow.inputs.products(one.sub_order.id)
        )
        outputs = [
            _ordered(output)
            for output in promised(
                selection.process, one.correlation_id, selection.dataset.urn, products
            )
        ]
        files.append(NewFiles(selection.order.id, selection.task, one.sub_order.id, outputs))
    added = await uow.completions.add_files(files)
    by_id = {one.sub_order.id: one.sub_order for one in closed}
    for some in added:
        by_id[some.sub_order_id].counters.add(some.state, some.files, some.bytes)
        selection.order.counters.add(some.state, some.files, some.bytes)


def _ordered(output: PromisedOutput) -> OrderedFile:
    """Return the pending file that stands for an output until the process delivers it (domain.md 5.5)."""
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
