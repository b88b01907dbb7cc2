"""The query side: what is read to be shown, in plain shapes and a bounded number of statements."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Generic, Protocol, TypeVar

from rs_order.domain.file_filter import FileFilter
from rs_order.domain.ids import DataFileId, DatasetTaskId, OrderId, SubOrderId, Tenant
from rs_order.domain.process import ProcessChoice
from rs_order.domain.states import FileState, OrderStatus

Item = TypeVar("Item")
Property = TypeVar("Property", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class Listed(Generic[Item]):
    """A part of a list, and how many there are in all of it."""

    total: int
    items: Sequence[Item]


@dataclass(frozen=True, slots=True)
class SortBy(Generic[Property]):
    """What a list is sorted by, as it is shown."""

    property: Property
    descending: bool = False


class OrderProperty(StrEnum):
    """What orders can be sorted by, in the words of the REST side (rest.md 3.4)."""

    ID = "id"
    OWNER = "owner"
    LABEL = "label"
    CREATION_DATE = "creationDate"
    EXPIRATION_DATE = "expirationDate"
    PERCENT_COMPLETED = "percentCompleted"
    FILES_IN_ERROR_COUNT = "filesInErrorCount"
    STATUS = "status"
    STATUS_DATE = "statusDate"
    AVAILABLE_FILES_COUNT = "availableFilesCount"
    WAITING_FOR_USER = "waitingForUser"


class FileProperty(StrEnum):
    """What files can be sorted by, in the words of the REST side (rest.md 3.4)."""

    ID = "id"
    STATE = "state"
    ORDER_ID = "orderId"
    FILES_TASK_ID = "filesTaskId"
    IP_ID = "ipId"
    PRODUCT_ID = "productId"
    VERSION = "version"
    DATA_TYPE = "dataType"
    REFERENCE = "reference"
    URI = "uri"
    MIME_TYPE = "mimeType"
    ONLINE = "online"
    CHECKSUM = "checksum"
    DIGEST_ALGORITHM = "digestAlgorithm"
    FILESIZE = "filesize"
    FILENAME = "filename"


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


@dataclass(frozen=True, slots=True)
class OrderSearch:
    """Which orders are looked for; what is None restricts nothing (rest.md 8.1)."""

    owner: str | None = None
    """A part of the owner's e-mail."""
    statuses: frozenset[OrderStatus] | None = None
    created_from: datetime | None = None
    created_to: datetime | None = None
    """Both inclusive."""
    waiting_for_user: bool | None = None


class OrderViews(Protocol):
    """Orders to be shown. All calls raise StoreUnavailable."""

    async def owner(self, tenant: Tenant, order_id: OrderId) -> str | None:
        """Whose order it is, None when there is none."""
        ...

    async def order(self, tenant: Tenant, order_id: OrderId) -> OrderView | None: ...

    async def orders(self, tenant: Tenant, ids: Sequence[OrderId]) -> list[OrderView]:
        """Those of the orders that there are, in the order of the ids."""
        ...

    async def of_owner(
        self, tenant: Tenant, owner: str, *, limit: int, offset: int
    ) -> Listed[OrderView]:
        """The owner's orders, newest first; the deleted ones are left out."""
        ...

    async def search(
        self,
        tenant: Tenant,
        wanted: OrderSearch,
        sort: Sequence[SortBy[OrderProperty]],
        *,
        limit: int,
        offset: int,
    ) -> Listed[OrderView]:
        """Orders of all owners."""
        ...

    def export(self, tenant: Tenant, wanted: OrderSearch) -> AsyncIterator[Sequence[OrderView]]:
        """All of them by ascending id, some at a time; nothing is held between two parts."""
        ...


@dataclass(frozen=True, slots=True)
class FileView:
    """A file of an order (rest.md 5.7)."""

    id: DataFileId
    state: FileState
    reason: str | None
    """Why it is in its state, where that needs saying."""
    order_id: OrderId
    sub_order_id: SubOrderId
    product_urn: str
    product_id: str | None
    product_version: int
    data_type: str
    name: str
    url: str
    external: bool
    online: bool
    size: int | None
    checksum: str | None
    checksum_algorithm: str | None
    mime_type: str | None


class FileViews(Protocol):
    """Files to be shown. Totals come from counters. All calls raise StoreUnavailable."""

    async def of_dataset(
        self, tenant: Tenant, order_id: OrderId, task: DatasetTaskId, *, limit: int, offset: int
    ) -> Listed[FileView] | None:
        """Files in any state by ascending id; None when the order has no such dataset task."""
        ...

    async def available(
        self,
        tenant: Tenant,
        order_id: OrderId,
        sub_order_id: SubOrderId | None,
        sort: Sequence[SortBy[FileProperty]],
        *,
        limit: int,
        offset: int,
    ) -> Listed[FileView]:
        """AVAILABLE files of an order, or of one of its sub-orders; of an unknown one there are none."""
        ...
