"""Writes the sub-orders of a processed selection, with their inputs and the outputs they promise."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from rs_order.domain.basket import DatasetSelection
from rs_order.domain.correlation import BatchCorrelation
from rs_order.domain.files import UNKNOWN_MIME_TYPE, CatalogFile, OtherType, Product
from rs_order.domain.ids import DatasetTaskId, SubOrderId
from rs_order.domain.moves import Reason
from rs_order.domain.order import Order
from rs_order.domain.outputs import PromisedOutput, promised
from rs_order.domain.partition import OrderedFile
from rs_order.domain.process import Process
from rs_order.domain.states import FileState, SubOrderKind
from rs_order.domain.sub_order import SubOrder
from rs_order.domain.windows import Group, InputProduct, Window
from rs_order.store.completions import NewSubOrder
from rs_order.store.unit_of_work import UnitOfWork


@dataclass(slots=True)
class Making:
    """A sub-order in the making: products that this page adds, and whether they are the last."""

    group: Group
    added: Sequence[InputProduct]
    closed: bool
    continued: SubOrderId | None = None
    window: Window | None = None
    """The window it is, unless its window has a sub-order for each product."""


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
    makings: Sequence[Making],
    *,
    first: int,
    now: datetime,
) -> int:
    """Write what a page adds, and count it; how many sub-orders are new, numbered from ``first``."""
    filled = await _with_sub_orders(uow, selection, makings, first=first)
    await uow.inputs.add(
        selection.order,
        selection.task,
        [(one.sub_order.id, product) for one in filled for product in one.making.added],
    )
    closed = [one for one in filled if one.making.closed]
    await _promise(uow, selection, closed)
    for one in closed:
        one.sub_order.close(now, reason=Reason.FILES_READ)
    await uow.sub_orders.save([one.sub_order for one in closed], now)
    fresh = sum(making.continued is None for making in makings)
    selection.order.sub_orders += fresh
    return fresh


@dataclass(frozen=True, slots=True)
class _Filled:
    """A sub-order in the making with its row and the name of its batch."""

    making: Making
    sub_order: SubOrder
    batch: str


async def _with_sub_orders(
    uow: UnitOfWork, selection: ProcessedSelection, makings: Sequence[Making], *, first: int
) -> list[_Filled]:
    """Each with its sub-order: the one it continues, or a new one with the next number."""
    fresh = [making for making in makings if making.continued is None]
    opened = await uow.completions.open_sub_orders(
        selection.order,
        [
            NewSubOrder(
                selection.task,
                SubOrderKind.PROCESSING,
                asks_storage=making.group is Group.STORED,
            )
            for making in fresh
        ],
    )
    names = {
        sub_order.id: _batch_name(selection, number)
        for number, sub_order in enumerate(opened, start=first)
    }
    await uow.executions.plan(selection.order.id, names)
    for making, sub_order in zip(fresh, opened, strict=True):
        if making.window:
            making.window.sub_order = sub_order.id
    new = iter(opened)
    filled = []
    for making in makings:
        if making.continued is None:
            sub_order = next(new)
            filled.append(_Filled(making, sub_order, names[sub_order.id]))
        else:
            filled.append(await _continued(uow, making, making.continued))
    return filled


def _batch_name(selection: ProcessedSelection, number: int) -> str:
    return str(BatchCorrelation(selection.order.id, selection.wanted.id or 0, number))


async def _continued(uow: UnitOfWork, making: Making, sub_order_id: SubOrderId) -> _Filled:
    """At most two of a page: the windows that the page before left open."""
    (sub_order,) = await uow.sub_orders.load([sub_order_id])
    work = await uow.executions.work(sub_order_id)
    if work is None:
        raise LookupError(f"sub-order {sub_order_id} has no batch")
    return _Filled(making, sub_order, work.correlation_id)


async def _promise(
    uow: UnitOfWork, selection: ProcessedSelection, closed: Sequence[_Filled]
) -> None:
    """Write the outputs of sub-orders that have all their inputs."""
    files: list[tuple[SubOrderId, OrderedFile]] = []
    for one in closed:
        products = (
            one.making.added
            if one.making.continued is None
            else await uow.inputs.products(one.sub_order.id)
        )
        files += [
            (one.sub_order.id, _ordered(output))
            for output in promised(selection.process, one.batch, selection.wanted.urn, products)
        ]
    added = await uow.completions.add_files(selection.order, selection.task, files, counted=False)
    by_id = {one.sub_order.id: one.sub_order for one in closed}
    for some in added:
        by_id[some.sub_order_id].tally.add(some.state, some.files, some.bytes)
        selection.order.tally.add(some.state, some.files, some.bytes)


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
