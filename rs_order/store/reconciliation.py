"""Checks of the reconciler: wrong counters, and work whose step was lost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from rs_order.domain.ids import DatasetTaskId, MailId, OrderId, RequestId, SubOrderId, Tenant
from rs_order.domain.states import FileCounters, SubOrderState
from rs_order.store.cursors import RetryCursor, retry_cursor_of
from rs_order.store.pool import Connection, statements
from rs_order.store.rows import counters_of

SQL = statements("reconciliation")


@dataclass(frozen=True, slots=True)
class CheckedOrder:
    """The result of the check of an order."""

    id: OrderId
    miscounted: bool
    """Its counters differ from those of its sub-orders, or it should be final."""
    left_behind: bool
    """It is deleted or expired, or its completion failed, but it still has files or sub-orders."""


@dataclass(frozen=True, slots=True)
class CheckedSubOrder:
    id: SubOrderId
    order_id: OrderId
    miscounted: bool
    """Its counters differ from its files."""


@dataclass(frozen=True, slots=True)
class Totals:
    """The sums over the sub-orders of an order."""

    counters: FileCounters
    sub_orders: int
    waiting: int


@dataclass(frozen=True, slots=True)
class RepairedTask:
    """A dataset task whose totals were wrong."""

    id: DatasetTaskId
    files_before: int
    bytes_before: int
    files: int
    bytes: int


@dataclass(frozen=True, slots=True)
class WrongClaim:
    """A claim on the capacity that was counted wrongly."""

    owner: str
    """Or what else it is of: the tenant, the service."""
    stored: Sequence[int] | None
    """Sub-orders, files, bytes, the same of what is promised, and owners who wait; None: no row."""
    counted: Sequence[int] | None


@dataclass(frozen=True, slots=True)
class StalledOwner:
    """An owner of ready sub-orders."""

    name: str
    next: SubOrderId | None
    """The next one that could start; None if the owner has no free slot, or waits for capacity."""


@dataclass(frozen=True, slots=True)
class OverdueSubOrder:
    """A sub-order whose next step is overdue."""

    id: SubOrderId
    order_id: OrderId
    state: SubOrderState
    asks: int


class Reconciliation:
    """Finds wrong counters and stalled work. A check is one statement, so that it sees one state.

    The key of the last item of a page selects the next page; an empty page is the end.
    """

    def __init__(self, connection: Connection, tenant: Tenant) -> None:
        self._connection = connection
        self._tenant = tenant

    async def check_orders(
        self, after: OrderId, limit: int, inactive_before: datetime
    ) -> list[CheckedOrder]:
        """Check orders by id. Files of orders deleted or expired after ``inactive_before`` are no mistake."""
        rows = await self._connection.fetch(SQL["check_orders"], after, limit, inactive_before)
        return [
            CheckedOrder(OrderId(row["id"]), row["miscounted"], row["left_behind"]) for row in rows
        ]

    async def check_sub_orders(
        self, after: SubOrderId, limit: int, files: int
    ) -> list[CheckedSubOrder]:
        """Check sub-orders by id. The page ends when its sub-orders have so many ``files``."""
        rows = await self._connection.fetch(SQL["check_sub_orders"], after, limit, files)
        return [
            CheckedSubOrder(SubOrderId(row["id"]), OrderId(row["order_id"]), row["miscounted"])
            for row in rows
        ]

    async def check_removed(self, after: OrderId, limit: int) -> list[tuple[OrderId, bool]]:
        """Return the orders that have files or sub-orders, by id, and whether each was removed."""
        rows = await self._connection.fetch(SQL["check_removed"], after, limit)
        return [(OrderId(row["order_id"]), row["removed"]) for row in rows]

    async def count_files(
        self, sub_orders: Sequence[SubOrderId]
    ) -> Mapping[SubOrderId, FileCounters]:
        """Return the true counters of sub-orders whose order is locked."""
        rows = await self._connection.fetch(SQL["count_files"], sub_orders)
        return {SubOrderId(row["id"]): counters_of(row) for row in rows}

    async def add_up(self, order_id: OrderId) -> Totals:
        (row,) = await self._connection.fetch(SQL["add_up"], order_id)
        return Totals(counters_of(row), row["sub_orders"], row["waiting"])

    async def repair_tasks(self, order_id: OrderId) -> list[RepairedTask]:
        """Correct the totals of an order's dataset tasks. Those with a process keep their forecast."""
        rows = await self._connection.fetch(SQL["repair_tasks"], order_id)
        return [
            RepairedTask(
                DatasetTaskId(row["id"]),
                row["files_before"],
                row["bytes_before"],
                row["files"],
                row["bytes"],
            )
            for row in rows
        ]

    async def release_capacity(self) -> list[SubOrderId]:
        """Release the capacity of sub-orders that don't run. Return them."""
        rows = await self._connection.fetch(SQL["release_capacity"], self._tenant)
        return [SubOrderId(row["sub_order_id"]) for row in rows]

    async def wrong_claims(self) -> list[WrongClaim]:
        """Return the claims on the capacity, of the tenant and of the service, that are counted wrongly."""
        rows = await self._connection.fetch(SQL["wrong_claims"], self._tenant)
        return [WrongClaim(row["owner"], row["stored"], row["counted"]) for row in rows]

    async def overdue_runs(self, before: datetime) -> list[tuple[str, int]]:
        """Return the names of periodic work whose next run is overdue, with the number of the last run."""
        rows = await self._connection.fetch(SQL["overdue_runs"], before)
        return [(row["name"], row["run"]) for row in rows]

    async def stalled_completions(
        self, before: datetime, after: OrderId, limit: int
    ) -> list[tuple[OrderId, int, int]]:
        """Return orders that became PENDING before, with the selection and page of their cursors."""
        rows = await self._connection.fetch(SQL["stalled_completions"], before, after, limit)
        return [(OrderId(row["order_id"]), row["selection"], row["page"]) for row in rows]

    async def stalled_retries(
        self, before: datetime, after: OrderId, limit: int
    ) -> list[tuple[OrderId, RetryCursor]]:
        rows = await self._connection.fetch(SQL["stalled_retries"], before, after, limit)
        return [(OrderId(row["order_id"]), retry_cursor_of(row)) for row in rows]

    async def stalled_owners(self, after: str, limit: int, slots: int) -> list[StalledOwner]:
        """Return owners of ready sub-orders. ``slots`` is the limit of each owner, 0: no limit."""
        rows = await self._connection.fetch(
            SQL["stalled_owners"], after, limit, slots, self._tenant
        )
        return [StalledOwner(row["owner"], row["next"]) for row in rows]

    async def overdue_sub_orders(
        self, before: datetime, after: SubOrderId, limit: int, *, to_process: bool
    ) -> list[OverdueSubOrder]:
        """Return sub-orders whose step was due before.

        ``to_process``: those whose executions have to be requested from rs-processing, or else the others.
        """
        rows = await self._connection.fetch(
            SQL["overdue_sub_orders"], before, after, limit, to_process
        )
        return [
            OverdueSubOrder(
                SubOrderId(row["id"]),
                OrderId(row["order_id"]),
                SubOrderState(row["state"]),
                row["asks"],
            )
            for row in rows
        ]

    async def overdue_orders(self, before: datetime, after: OrderId, limit: int) -> list[OrderId]:
        """Return orders that should have expired before."""
        rows = await self._connection.fetch(SQL["overdue_orders"], before, after, limit)
        return [OrderId(row["id"]) for row in rows]

    async def overdue_holds(self, before: datetime, after: int, limit: int) -> list[int]:
        """Return holds that should have ended before."""
        rows = await self._connection.fetch(
            SQL["overdue_holds"], before, after, limit, self._tenant
        )
        return [row["id"] for row in rows]

    async def stalled_requests(
        self, before: datetime, after: RequestId, limit: int
    ) -> list[RequestId]:
        """Return requests that were received before and have no answer."""
        rows = await self._connection.fetch(SQL["stalled_requests"], before, after, limit)
        return [RequestId(row["id"]) for row in rows]

    async def stalled_mails(self, before: datetime, after: MailId, limit: int) -> list[MailId]:
        """Return mails that weren't sent, and weren't claimed since then."""
        rows = await self._connection.fetch(SQL["stalled_mails"], before, after, limit)
        return [MailId(row["id"]) for row in rows]
