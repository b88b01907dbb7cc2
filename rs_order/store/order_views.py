"""Views of orders: read by plain SQL without domain objects; no connection is held between two calls."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import groupby
from typing import Any, Final, cast

from rs_order.domain.files import FileFilter
from rs_order.domain.ids import DatasetTaskId, OrderId, Tenant
from rs_order.domain.process import ProcessChoice
from rs_order.domain.states import FileCounters, OrderStatus
from rs_order.store.lists import Listed, SortBy, sorted_statement
from rs_order.store.pool import Connection, Pool, Row, reading, statements
from rs_order.store.rows import counters_of, optional_filter_of, process_of
from rs_order.store.tenant_reads import read_rows

SQL = statements("order_views")
EXPORTED_AT_A_TIME: Final = 1000
_DEFAULT_ORDER: Final = "order by created_at desc, id desc"


class OrderProperty(StrEnum):
    """The properties that orders can be sorted by, with their names in REST (rest.md 3.4)."""

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


@dataclass(slots=True)  # a frozen one takes three times as long to create
class DatasetTaskView:
    """The part of an order from one dataset."""

    id: DatasetTaskId
    label: str
    products: int
    files: int
    bytes: int
    file_filter: FileFilter | None
    process: ProcessChoice | None


@dataclass(slots=True)  # a frozen one takes three times as long to create
class OrderView:
    """An order with its dataset tasks, sorted by label (rest.md 5.5).

    While its files are read from the catalog, or if it was paused meanwhile, it has no dataset task and all
    counts are zero.
    """

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
    """0 for a deleted or expired order, which has no files any more."""
    waiting_for_user: bool
    dataset_tasks: tuple[DatasetTaskView, ...]
    has_files: bool
    """True if it has a file, in any state."""
    has_process: bool
    """True if it can't be retried only because a process works on one of its datasets."""

    @property
    def can_be_retried(self) -> bool:
        return self.status.can_be_retried and self.has_files and not self.has_process


@dataclass(frozen=True, slots=True)
class OrderSearch:
    """The conditions of a search for orders; None is no condition (rest.md 8.1)."""

    owner: str | None = None
    """A part of the owner's e-mail."""
    statuses: frozenset[OrderStatus] | None = None
    created_from: datetime | None = None
    created_to: datetime | None = None
    """Both inclusive."""
    waiting_for_user: bool | None = None


_COLUMNS: Final = {
    OrderProperty.ID: "id",
    OrderProperty.OWNER: "owner",
    OrderProperty.LABEL: "label",
    OrderProperty.CREATION_DATE: "created_at",
    OrderProperty.EXPIRATION_DATE: "expires_at",
    OrderProperty.PERCENT_COMPLETED: "percent",
    OrderProperty.FILES_IN_ERROR_COUNT: "errors",
    OrderProperty.STATUS: "status",
    OrderProperty.STATUS_DATE: "status_at",
    OrderProperty.AVAILABLE_FILES_COUNT: "available",
    OrderProperty.WAITING_FOR_USER: "waiting",
}
"""Columns of the statement ``found``, which have the values of the order's view."""


class OrderViews:
    """Views of orders. All calls raise StoreUnavailable."""

    def __init__(self, pool: Pool, *, exported_at_a_time: int = EXPORTED_AT_A_TIME) -> None:
        self._pool = pool
        self._exported_at_a_time = exported_at_a_time

    async def owner(self, tenant: Tenant, order_id: OrderId) -> str | None:
        """Return the owner of the order, or None if there is no such order."""
        found = await read_rows(self._pool, tenant, SQL["owner"], order_id)
        return found[0]["owner"] if found else None

    async def order(self, tenant: Tenant, order_id: OrderId) -> OrderView | None:
        found = await self.orders(tenant, [order_id])
        return found[0] if found else None

    async def orders(self, tenant: Tenant, ids: Sequence[OrderId]) -> list[OrderView]:
        """Return the orders in the order of the ids; unknown ids are left out."""
        return _views_of(ids, await read_rows(self._pool, tenant, SQL["orders"], ids))

    async def of_owner(
        self, tenant: Tenant, owner: str, *, limit: int, offset: int
    ) -> Listed[OrderView]:
        """Return the owner's orders, newest first, without the deleted ones."""
        rows = await read_rows(self._pool, tenant, SQL["of_owner"], owner, limit, offset)
        total = rows[0]["total"]
        return Listed(total, [] if rows[0]["id"] is None else _views_in(rows))

    async def search(
        self,
        tenant: Tenant,
        wanted: OrderSearch,
        sort: Sequence[SortBy[OrderProperty]],
        *,
        limit: int,
        offset: int,
    ) -> Listed[OrderView]:
        """Return a page of the orders of all owners that fulfil the conditions."""
        found = sorted_statement(SQL["found"], _DEFAULT_ORDER, _COLUMNS, sort, last="id")
        conditions = _restrictions(wanted)
        (counted,) = await read_rows(self._pool, tenant, SQL["count_found"], *conditions)
        rows = await read_rows(self._pool, tenant, found, *conditions, limit, offset)
        return Listed(counted["count"], _views_in(rows))

    async def export(
        self, tenant: Tenant, wanted: OrderSearch
    ) -> AsyncIterator[Sequence[OrderView]]:
        """Yield all found orders by ascending id, in parts. No connection is held between two parts."""
        after, more = OrderId(0), True
        while more:
            async with reading(self._pool, tenant) as connection:
                ids = await _ids(
                    connection,
                    SQL["found_after"],
                    *_restrictions(wanted),
                    after,
                    self._exported_at_a_time,
                )
                some = await load_views(connection, ids)
            if some:
                yield some
            more = len(ids) == self._exported_at_a_time
            after = ids[-1] if ids else after


async def _ids(connection: Connection, statement: str, *parameters: Any) -> list[OrderId]:
    return [OrderId(row["id"]) for row in await connection.fetch(statement, *parameters)]


def _restrictions(wanted: OrderSearch) -> tuple[Any, ...]:
    """Return the first five parameters of the statements of a search."""
    return (
        wanted.owner,
        sorted(wanted.statuses) if wanted.statuses is not None else None,
        wanted.created_from,
        wanted.created_to,
        wanted.waiting_for_user,
    )


async def load_views(connection: Connection, ids: Sequence[OrderId]) -> list[OrderView]:
    """Return the views of these orders in the order of the ids, with one statement for any number."""
    return _views_of(ids, await connection.fetch(SQL["orders"], ids))


def _views_of(ids: Sequence[OrderId], found: Sequence[Row]) -> list[OrderView]:
    views = {view.id: view for view in _views_in(found)}
    return [views[id_] for id_ in ids if id_ in views]


def _views_in(rows: Sequence[Row]) -> list[OrderView]:
    """Return the orders in rows of which those of one order follow each other."""
    return [_view_of(list(own)) for _, own in groupby(rows, _id_of)]


def _id_of(row: Row) -> int:
    return cast("int", row["id"])


def _view_of(rows: Sequence[Row]) -> OrderView:
    """Return the view of an order, whose rows have its dataset tasks."""
    row = rows[0]
    status = OrderStatus(row["status"])
    known = row["files_known"]
    counters = counters_of(row) if known else FileCounters()
    return OrderView(
        id=OrderId(row["id"]),
        owner=row["owner"],
        label=row["label"],
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        status=status,
        status_at=row["status_at"],
        percent=counters.percent if known else 0,
        errors=counters.errors,
        available_files=0 if status.deleted_or_expired else counters.available,
        waiting_for_user=known and row["waiting_sub_orders"] > 0,
        dataset_tasks=tuple(_task_of(one) for one in rows if one["task_id"] is not None),
        has_files=counters.total_files > 0,
        has_process=row["has_process"],
    )


def _task_of(row: Row) -> DatasetTaskView:
    return DatasetTaskView(
        id=DatasetTaskId(row["task_id"]),
        label=row["dataset_label"],
        products=row["products_count"],
        files=row["files_count"],
        bytes=row["files_bytes"],
        file_filter=optional_filter_of(row),
        process=process_of(row),
    )
