"""The query side: what is read to be shown, in plain shapes and a bounded number of statements."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from rs_order.domain.file_filter import FileFilter
from rs_order.domain.ids import DatasetTaskId, OrderId, Tenant
from rs_order.domain.process import ProcessChoice
from rs_order.domain.states import OrderStatus


@dataclass(frozen=True, slots=True)
class DatasetTaskView:
    """What an order takes of one dataset."""

    id: DatasetTaskId
    label: str
    products: int
    files: int
    bytes: int
    file_filter: FileFilter | None
    process: ProcessChoice | None


@dataclass(frozen=True, slots=True)
class OrderView:
    """An order with its dataset tasks, sorted by label (rest.md 5.5)."""

    id: OrderId
    owner: str
    label: str
    created_at: datetime
    expires_at: datetime | None
    status: OrderStatus
    status_at: datetime
    percent: int
    errors: int
    available_files: int
    """0 for an order that is gone: its files are."""
    waiting_for_user: bool
    dataset_tasks: tuple[DatasetTaskView, ...]

    @property
    def has_process(self) -> bool:
        return any(task.process is not None for task in self.dataset_tasks)


class OrderViews(Protocol):
    """Orders to be shown. All calls raise StoreUnavailable."""

    async def order(self, tenant: Tenant, order_id: OrderId) -> OrderView | None: ...

    async def orders(self, tenant: Tenant, ids: Sequence[OrderId]) -> list[OrderView]:
        """Those of the orders that there are, in the order of the ids."""
        ...
