"""How files come into an order, page by page."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from rs_order.domain.basket import DatasetSelection
from rs_order.domain.ids import (
    DatasetTaskId,
    OrderId,
    SubOrderId,
)
from rs_order.domain.order import Order
from rs_order.domain.partition import OrderedFile
from rs_order.domain.process import Process
from rs_order.domain.states import FileState, SubOrderKind
from rs_order.domain.sub_order import SubOrder
from rs_order.ports.store.processing import ProcessedCursor


@dataclass(frozen=True, slots=True)
class CompletionCursor:
    """How far the completion of an order has come."""

    selection: int
    page: int
    storage_sub_order: SubOrderId | None
    external_sub_order: SubOrderId | None
    products: int
    attempts: int
    trouble_since: datetime | None
    processed: ProcessedCursor | None = None
    """Set within a selection that goes into a process."""

    def untroubled(self) -> "CompletionCursor":
        """The same place, with nothing attempted there yet."""
        return replace(self, attempts=0, trouble_since=None)


@dataclass(frozen=True, slots=True)
class AddedFiles:
    """Files that came into a sub-order in one state."""

    sub_order_id: SubOrderId
    state: FileState
    files: int
    bytes: int


@dataclass(frozen=True, slots=True)
class NewSubOrder:
    dataset_task_id: DatasetTaskId
    kind: SubOrderKind
    asks_storage: bool = True
    """False: a process of external files only, which takes no slot before it is downloadable."""


class Completions(Protocol):
    """Reading the files of an order from the catalog, page by page."""

    async def cursor(self, order_id: OrderId) -> CompletionCursor | None:
        """None when the order is complete, or gone."""
        ...

    async def advance(self, order_id: OrderId, cursor: CompletionCursor) -> None: ...

    async def finish(self, order_ids: Sequence[OrderId]) -> None:
        """Nothing more is read for these orders."""
        ...

    async def selection(self, order_id: OrderId, index: int) -> DatasetSelection | None:
        """The order's dataset selection of that index; None past the last."""
        ...

    async def dataset_task(
        self, order_id: OrderId, selection: DatasetSelection, process: Process | None = None
    ) -> DatasetTaskId:
        """The dataset task of a selection, made when it isn't there yet.

        With a process it is made with its totals: the files that go in, and the bytes that are
        forecast to come out (domain.md 5.2).
        """
        ...

    async def open_sub_orders(
        self, order: Order, sub_orders: Sequence[NewSubOrder]
    ) -> list[SubOrder]:
        """Sub-orders under construction, in the order asked for."""
        ...

    async def add_files(
        self,
        order: Order,
        task: DatasetTaskId,
        files: Sequence[tuple[SubOrderId, OrderedFile]],
        *,
        counted: bool = True,
    ) -> list[AddedFiles]:
        """Insert the files that the dataset task doesn't hold yet; ``counted``: and count them there."""
        ...

    async def has_dataset_task(self, order_id: OrderId) -> bool: ...
