"""The store as the use cases see it: one unit of work per message, everything in sets.

    StoreError
    ├── StoreUnavailable   the database can't be reached
    └── StoreConflict      another unit of work was faster

Lock order, for whoever writes: first the owner's advisory lock (scheduling only), then rows of orders by
ascending id, then everything below them, then the limits of the service. Counters of sub-orders and
orders are only changed while the order's row is locked.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from rs_order.domain.file_filter import FileFilter
from rs_order.domain.files import DataType
from rs_order.domain.ids import (
    Checksum,
    DataFileId,
    DatasetTaskId,
    OrderId,
    RequestId,
    SubOrderId,
    Tenant,
    Urn,
)
from rs_order.domain.order import Order
from rs_order.domain.partition import OrderedFile
from rs_order.domain.selection import SelectionRequest, TypeTotals
from rs_order.domain.settings import TenantSettings
from rs_order.domain.states import FileState, SubOrderKind
from rs_order.domain.sub_order import SubOrder
from rs_order.domain.tally import FileMove
from rs_order.ports.outbox import OutgoingMessage


class StoreError(Exception):
    """The store did not carry a unit of work through; nothing of it stays."""

    code = "store-error"


class StoreUnavailable(StoreError):
    """The database can't be reached or is going down; the same work can be offered again later."""

    code = "store-unavailable"


class StoreConflict(StoreError):
    """Another unit of work was faster; the same work can be done again from its start at once."""

    code = "store-conflict"


class RequestState(StrEnum):
    """What became of an order request."""

    RECEIVED = "RECEIVED"
    """Recorded; not answered yet."""
    GRANTED = "GRANTED"
    DENIED = "DENIED"
    FAILED = "FAILED"
    """Answered FAILED without ever becoming an order."""


@dataclass(frozen=True, slots=True)
class NewRequest:
    """An order request as it arrived, with the fingerprint that makes its repetition known."""

    correlation_id: str
    fingerprint: bytes
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class RecordedRequest:
    """An order request as the inbox holds it."""

    id: RequestId
    correlation_id: str
    fingerprint: bytes
    body: dict[str, Any]
    state: RequestState
    order_id: OrderId | None
    attempts: int
    trouble_since: datetime | None
    new: bool = False
    """This very call recorded it."""


class Requests(Protocol):
    """The inbox of order requests of a tenant."""

    async def record(self, requests: Sequence[NewRequest], at: datetime) -> list[RecordedRequest]:
        """Record what is new; the answer has one entry per distinct request."""
        ...

    async def received(self, ids: Sequence[RequestId]) -> list[RecordedRequest]:
        """Those of the requests that still wait for an answer."""
        ...

    async def lock_received(self, ids: Sequence[RequestId]) -> set[RequestId]:
        """The same, locked until the unit of work ends."""
        ...

    async def decide(
        self, state: RequestState, decisions: Mapping[RequestId, OrderId | None]
    ) -> None: ...

    async def note_trouble(self, ids: Sequence[RequestId], since: datetime) -> None:
        """One more attempt met a remote service in trouble; the first time is kept."""
        ...

    async def reopen(self, ids: Sequence[RequestId]) -> list[RequestId]:
        """Make requests that FAILED without an order wait again; those that were, by id."""
        ...

    async def forget(self, before: datetime, limit: int) -> int:
        """Forget answered requests older than the retention; how many went."""
        ...


@dataclass(frozen=True, slots=True)
class DatedSelection:
    """A search in a basket, with what it found when it was added."""

    request: SelectionRequest
    products: int
    types: Mapping[DataType, TypeTotals]


@dataclass(frozen=True, slots=True)
class DatasetSelection:
    """A dataset in a basket: the searches that touch it and what they find together."""

    urn: Urn
    label: str
    products: int
    files: int
    bytes: int
    types: Mapping[DataType, TypeTotals]
    file_filter: FileFilter
    searches: tuple[DatedSelection, ...]


@dataclass(frozen=True, slots=True)
class NewOrder:
    """An order to be created, with the basket it consumes."""

    owner: str
    role: str
    label: str
    correlation_id: str
    request_id: RequestId | None
    sub_order_hours: int
    created_at: datetime
    selections: tuple[DatasetSelection, ...]


class Orders(Protocol):
    async def labels_taken(self, wanted: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
        """Which (owner, label) pairs are in use, by orders of any status; of these, numbered forms too."""
        ...

    async def create(self, orders: Sequence[NewOrder]) -> list[OrderId]:
        """Orders in status PENDING with their baskets and a completion that has not begun."""
        ...

    async def lock(self, ids: Sequence[OrderId]) -> list[Order]:
        """Lock and load, by ascending id; unknown ids are left out."""
        ...

    async def lock_awaiting(self, checksums: Sequence[Checksum]) -> list[Order]:
        """Lock and load the orders that a word of storage about these checksums can change."""
        ...

    async def save(self, orders: Sequence[Order], at: datetime) -> None:
        """Write orders back, their moves into the history."""
        ...


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

    async def dataset_task(self, order_id: OrderId, selection: DatasetSelection) -> DatasetTaskId:
        """The dataset task of a selection, made when it isn't there yet."""
        ...

    async def open_sub_orders(
        self, order: Order, sub_orders: Sequence[NewSubOrder]
    ) -> list[SubOrder]:
        """Sub-orders under construction, in the order asked for."""
        ...

    async def add_files(
        self, order: Order, task: DatasetTaskId, files: Sequence[tuple[SubOrderId, OrderedFile]]
    ) -> list[AddedFiles]:
        """Insert the files that the dataset task doesn't hold yet, and count them there."""
        ...

    async def has_dataset_task(self, order_id: OrderId) -> bool: ...


@dataclass(frozen=True, slots=True)
class SubOrderCount:
    """How many sub-orders an order has, and how many of them need storage."""

    total: int
    storage: int


@dataclass(frozen=True, slots=True)
class ReadySubOrder:
    id: SubOrderId
    order_id: OrderId
    rank: datetime


class SubOrders(Protocol):
    async def load(self, ids: Sequence[SubOrderId]) -> list[SubOrder]:
        """Sub-orders by ascending id, in orders that the caller has locked."""
        ...

    async def waiting_of_order(self, order_id: OrderId) -> list[SubOrder]:
        """Those whose files wait for the user's download, by ascending id."""
        ...

    async def count_of_order(self, order_id: OrderId) -> SubOrderCount: ...

    async def save(self, sub_orders: Sequence[SubOrder], *, reason: str, at: datetime) -> None:
        """Write sub-orders back; changes of state go to the history."""
        ...

    async def lock_owner(self, owner: str) -> None:
        """Only one scheduling round of an owner at a time, until the unit of work ends."""
        ...

    async def slots_taken(self, owner: str) -> int:
        """Sub-orders that count against the owner's limit (domain.md 6.1)."""
        ...

    async def owners_ready(self) -> list[str]:
        """Owners who have a ready sub-order."""
        ...

    async def next_ready(self, owner: str, limit: int | None) -> list[ReadySubOrder]:
        """The owner's next sub-orders of running orders by rank; ``limit`` None: all of them."""
        ...

    async def release(self, order_ids: Sequence[OrderId]) -> list[SubOrderId]:
        """Delete the sub-orders of gone orders that run or wait, so that they take no slot."""
        ...

    async def delete_slice(self, order_id: OrderId, limit: int) -> int:
        """Delete up to ``limit`` sub-orders of an order; how many went."""
        ...


class Files(Protocol):
    async def pending_checksums(self, sub_order: SubOrderId) -> list[Checksum]:
        """Distinct checksums of the files that storage still has to settle."""
        ...

    async def settle_by_checksum(
        self,
        orders: Sequence[OrderId],
        available: Sequence[Checksum],
        unavailable: Mapping[Checksum, str],
    ) -> list[FileMove]:
        """Apply what storage said to the files that were asked of it; what is unavailable wins."""
        ...

    async def give_up(self, sub_order: SubOrderId, reason: str) -> list[FileMove]:
        """Files of a sub-order that storage never answered for become ERROR, open to a late answer."""
        ...

    async def record_downloads(
        self, order_id: OrderId, downloaded: Sequence[DataFileId], failed: Mapping[DataFileId, str]
    ) -> list[FileMove]: ...

    async def note_quota(
        self, order_id: OrderId, reasons: Mapping[DataFileId, str]
    ) -> list[SubOrderId]:
        """Keep the reason on files that stay AVAILABLE; the sub-orders they belong to."""
        ...

    async def delete_slice(self, order_id: OrderId, limit: int) -> int:
        """Delete up to ``limit`` files of an order; how many went."""
        ...


class Messages(Protocol):
    """What a unit of work sends: rows of the outbox, and responses that are kept to be repeated."""

    async def send(self, messages: Sequence[OutgoingMessage]) -> None: ...

    async def respond(
        self,
        responses: Sequence[tuple[OutgoingMessage, OrderId | None, RequestId | None]],
    ) -> None:
        """Send order responses and remember them with their message ids."""
        ...

    async def repeat(self, requests: Sequence[RequestId]) -> int:
        """Send again, in order, every response that these requests got so far; how many.

        The caller holds the rows of their orders.
        """
        ...

    async def forget_responses(self, before: datetime, limit: int) -> int:
        """Forget responses older than the retention; how many went."""
        ...


class Limits(Protocol):
    """What the limit of the service needs to know of all tenants."""

    async def lock(self) -> None: ...

    async def running(self) -> int:
        """Sub-orders asked of storage and not settled, in all tenants."""
        ...

    async def started(self, owner: str, sub_orders: Sequence[SubOrderId]) -> None: ...

    async def ended(self, sub_orders: Sequence[SubOrderId]) -> None: ...

    async def wait(self, owner: str, rank: datetime) -> None:
        """The owner has a sub-order ready, but the service is at its limit."""
        ...

    async def next_users(self, limit: int) -> list[tuple[Tenant, str]]:
        """Take the users whose turn it is: fewest running sub-orders first, then by rank."""
        ...


class Rounds(Protocol):
    async def begin(self, name: str, number: int) -> bool:
        """Whether this round is the next one; it is then counted as done when the unit commits."""
        ...


class UnitOfWork(Protocol):
    """One short transaction in one tenant's schema; nothing stays unless it ends normally."""

    @property
    def tenant(self) -> Tenant: ...

    @property
    def requests(self) -> Requests: ...

    @property
    def orders(self) -> Orders: ...

    @property
    def completions(self) -> Completions: ...

    @property
    def sub_orders(self) -> SubOrders: ...

    @property
    def files(self) -> Files: ...

    @property
    def messages(self) -> Messages: ...

    @property
    def limits(self) -> Limits: ...

    @property
    def rounds(self) -> Rounds: ...

    async def settings(self) -> TenantSettings: ...


class Store(Protocol):
    """Opens units of work; on commit it tells the relay that there may be something to send."""

    def unit_of_work(self, tenant: Tenant) -> AbstractAsyncContextManager[UnitOfWork]:
        """Everything that happens inside commits together, or, on an exception, not at all.

        Raises:
            StoreUnavailable: nothing happened, or nothing is known to have happened.
            StoreConflict: nothing happened; begin again.
        """
        ...

    async def send(self, messages: Sequence[OutgoingMessage]) -> None:
        """Send messages that belong to no change of a tenant's data."""
        ...


class Tenants(Protocol):
    """The tenants this deployment serves; they come and go while it runs."""

    def serves(self, tenant: str) -> bool: ...

    def names(self) -> Sequence[Tenant]: ...

    async def load(self) -> None:
        """Look again which tenants there are; others may have added some."""
        ...

    async def add(self, name: str, host: str | None = None) -> Tenant:
        """Provision a tenant; usable at once. Adding it again changes its host only."""
        ...

    async def host(self, tenant: Tenant) -> str | None:
        """The last known public address of the project."""
        ...

    async def keep_host(self, tenant: Tenant, host: str) -> None: ...
