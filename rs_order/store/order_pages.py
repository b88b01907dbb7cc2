"""Orders as the pages of the console show them. No connection is held between two calls."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from rs_order.domain.ids import DataFileId, DatasetTaskId, OrderId, SubOrderId, Tenant
from rs_order.domain.states import FileCounters, FileState, OrderStatus
from rs_order.store.lists import Listed, SortBy, sorted_statement
from rs_order.store.pool import Pool, Row, statements
from rs_order.store.rows import counters_of
from rs_order.store.tenant_reads import read_rows

SQL = statements("order_pages")
IDS_AT_A_TIME: Final = 1000
DELIVERABLE: Final = (FileState.AVAILABLE, FileState.DOWNLOADED, FileState.DOWNLOAD_ERROR)
"""The states of files that are sent to whoever asks for them."""
MOST_COUNTED: Final = 10_000
"""Longer lists aren't counted to their end: a page costs the same for any number of orders."""


@dataclass(frozen=True, slots=True)
class ShownOrder:
    """An order with its counters."""

    id: OrderId
    owner: str
    label: str
    correlation_id: str
    status: OrderStatus
    status_at: datetime
    created_at: datetime
    expires_at: datetime | None
    message: str | None
    sub_orders: int
    waiting_sub_orders: int
    files_known: bool
    """False while its files are read from the catalog. The counters say nothing then."""
    has_process: bool
    counters: FileCounters

    @property
    def files(self) -> FileCounters:
        """The counters; all are zero while the files aren't known."""
        return self.counters if self.files_known else FileCounters()

    @property
    def can_be_retried(self) -> bool:
        return self.status.can_be_retried and self.files.total_files > 0 and not self.has_process

    @property
    def can_be_downloaded(self) -> bool:
        return not self.status.deleted_or_expired and self.files.available > 0

    @property
    def has_deliverable_files(self) -> bool:
        """True if it has files that can be fetched one by one or as an archive, if only once more."""
        return not self.status.deleted_or_expired and any(
            self.files.files[state] for state in DELIVERABLE
        )


@dataclass(frozen=True, slots=True)
class OwnSearch:
    """The conditions of a list of own orders; None is no condition."""

    statuses: Sequence[OrderStatus] | None = None
    text: str | None = None
    """A part of the label; upper and lower case are the same."""


class OrderSort(StrEnum):
    """What a list of orders can be sorted by."""

    CREATED = "created"
    OWNER = "owner"
    STATUS = "status"
    EXPIRES = "expires"


_COLUMNS: Final = {
    OrderSort.CREATED: "orders.created_at",
    OrderSort.OWNER: "orders.owner",
    OrderSort.STATUS: "orders.status",
    OrderSort.EXPIRES: "orders.expires_at",
}
_NEWEST: Final = "order by orders.created_at desc, orders.id desc"


@dataclass(frozen=True, slots=True)
class AllSearch:
    """The conditions of a search for orders of all owners; None is no condition."""

    owner: str | None = None
    """A part of it."""
    statuses: Sequence[OrderStatus] | None = None
    text: str | None = None
    """A part of the label; upper and lower case are the same."""
    correlation_id: str | None = None
    order_id: OrderId | None = None
    created_from: datetime | None = None
    created_before: datetime | None = None

    @property
    def conditions(self) -> tuple[Any, ...]:
        """The first seven parameters of the statements."""
        return (
            self.owner,
            self.statuses,
            self.text,
            self.correlation_id,
            self.order_id,
            self.created_from,
            self.created_before,
        )


@dataclass(frozen=True, slots=True)
class ShownFile:
    id: DataFileId
    state: FileState
    reason: str | None
    reason_code: str | None
    name: str
    size: int | None
    data_type: str
    dataset_task_id: DatasetTaskId
    sub_order_id: SubOrderId
    product_id: str | None


@dataclass(frozen=True, slots=True)
class FileSearch:
    """The conditions of a list of an order's files; None is no condition."""

    states: Sequence[FileState] | None = None
    dataset: DatasetTaskId | None = None
    text: str | None = None
    """A part of the name; upper and lower case are the same."""


@dataclass(frozen=True, slots=True)
class ShownDataset:
    id: DatasetTaskId
    label: str


@dataclass(frozen=True, slots=True)
class Move:
    """An order, or one of its sub-orders, went from one state to another."""

    at: datetime
    sub_order_id: SubOrderId | None
    """None: the order itself."""
    before: str | None
    after: str
    reason: str
    actor: str


class OrderPages:
    """Reads what the console shows of orders, with one statement each. All calls raise StoreUnavailable."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def of_owner(
        self, tenant: Tenant, owner: str, wanted: OwnSearch, *, limit: int, offset: int
    ) -> Listed[ShownOrder]:
        """Return a page of the owner's orders, newest first, without the deleted ones.

        The total is ``MOST_COUNTED`` at most, and 0 behind the last page.
        """
        conditions = (owner, wanted.statuses, wanted.text, limit, offset, MOST_COUNTED)
        rows = await read_rows(self._pool, tenant, SQL["of_owner"], *conditions)
        return Listed(rows[0]["total"] if rows else 0, [_order_of(row) for row in rows])

    async def order(self, tenant: Tenant, order_id: OrderId) -> ShownOrder | None:
        found = await self.orders(tenant, [order_id])
        return found[0] if found else None

    async def orders(self, tenant: Tenant, ids: Sequence[OrderId]) -> list[ShownOrder]:
        """Return orders, the newest first; unknown ids are left out."""
        return [_order_of(row) for row in await read_rows(self._pool, tenant, SQL["orders"], ids)]

    async def search(
        self,
        tenant: Tenant,
        wanted: AllSearch,
        sort: SortBy[OrderSort],
        *,
        limit: int,
        offset: int,
    ) -> Listed[ShownOrder]:
        """Return a page of the orders of all owners that a search finds; the total as of ``of_owner``."""
        statement = sorted_statement(SQL["found"], _NEWEST, _COLUMNS, [sort], last="orders.id")
        conditions = (*wanted.conditions, limit, offset, MOST_COUNTED)
        rows = await read_rows(self._pool, tenant, statement, *conditions)
        return Listed(rows[0]["total"] if rows else 0, [_order_of(row) for row in rows])

    async def found_ids(self, tenant: Tenant, wanted: AllSearch) -> AsyncIterator[list[OrderId]]:
        """Yield the ids of all orders that a search finds, in parts and ascending."""
        after, more = OrderId(0), True
        while more:
            conditions = (*wanted.conditions, after, IDS_AT_A_TIME)
            rows = await read_rows(self._pool, tenant, SQL["found_ids"], *conditions)
            more = len(rows) == IDS_AT_A_TIME
            if rows:
                after = OrderId(rows[-1]["id"])
                yield [OrderId(row["id"]) for row in rows]

    async def by_status(self, tenant: Tenant) -> dict[OrderStatus, int]:
        """Return how many orders have each status, without the deleted ones."""
        rows = await read_rows(self._pool, tenant, SQL["by_status"])
        return {OrderStatus(row["status"]): row["orders"] for row in rows}

    async def datasets(self, tenant: Tenant, order_id: OrderId) -> list[ShownDataset]:
        rows = await read_rows(self._pool, tenant, SQL["datasets"], order_id)
        return [ShownDataset(DatasetTaskId(row["id"]), row["dataset_label"]) for row in rows]

    async def files(
        self, tenant: Tenant, order_id: OrderId, wanted: FileSearch, *, after: int, limit: int
    ) -> list[ShownFile]:
        """Return files by ascending id, those behind ``after``."""
        conditions = (order_id, wanted.states, wanted.dataset, wanted.text, after, limit)
        return [
            _file_of(row) for row in await read_rows(self._pool, tenant, SQL["files"], *conditions)
        ]

    async def moves(self, tenant: Tenant, order_id: OrderId, *, limit: int) -> list[Move]:
        """Return the first moves of an order and its sub-orders, in their order."""
        rows = await read_rows(self._pool, tenant, SQL["moves"], order_id, limit)
        return [
            Move(
                row["at"],
                row["sub_order_id"],
                row["before"],
                row["after"],
                row["reason"],
                row["actor"],
            )
            for row in rows
        ]


def _order_of(row: Row) -> ShownOrder:
    return ShownOrder(
        id=OrderId(row["id"]),
        owner=row["owner"],
        label=row["label"],
        correlation_id=row["correlation_id"],
        status=OrderStatus(row["status"]),
        status_at=row["status_at"],
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        message=row["message"],
        sub_orders=row["sub_orders"],
        waiting_sub_orders=row["waiting_sub_orders"],
        files_known=row["files_known"],
        has_process=row["has_process"],
        counters=counters_of(row),
    )


def _file_of(row: Row) -> ShownFile:
    return ShownFile(
        id=DataFileId(row["id"]),
        state=FileState(row["state"]),
        reason=row["reason"],
        reason_code=row["reason_code"],
        name=row["name"],
        size=row["size"],
        data_type=row["data_type"],
        dataset_task_id=DatasetTaskId(row["dataset_task_id"]),
        sub_order_id=SubOrderId(row["sub_order_id"]),
        product_id=row["product_id"],
    )
