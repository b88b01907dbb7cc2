"""The reconciler's looks at the tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from rs_order.domain.counters import FileCounters
from rs_order.domain.ids import DatasetTaskId, MailId, OrderId, RequestId, SubOrderId, Tenant
from rs_order.domain.states import SubOrderState
from rs_order.store.cursors import RetryCursor, retry_cursor_of
from rs_order.store.pool import Connection
from rs_order.store.rows import counters_of
from rs_order.store.statements import statements

SQL = statements("reconciliation")


@dataclass(frozen=True, slots=True)
class CheckedOrder:
    """An order as a walk found it."""

    id: OrderId
    miscounted: bool
    """Its counters differ from its sub-orders', or it should have ended."""
    left_behind: bool
    """It is gone, or took back what it had read, and still has files or sub-orders."""


@dataclass(frozen=True, slots=True)
class CheckedSubOrder:
    id: SubOrderId
    order_id: OrderId
    miscounted: bool
    """Its counters differ from its files."""


@dataclass(frozen=True, slots=True)
class Totals:
    """What the sub-orders of an order come to."""

    counters: FileCounters
    sub_orders: int
    waiting: int


@dataclass(frozen=True, slots=True)
class MendedTask:
    """A dataset task whose numbers were wrong."""

    id: DatasetTaskId
    files_before: int
    bytes_before: int
    files: int
    bytes: int


@dataclass(frozen=True, slots=True)
class StandingOwner:
    """An owner of ready sub-orders."""

    name: str
    may_start: bool
    """There is room for one of them, and the owner waits for nobody."""


@dataclass(frozen=True, slots=True)
class OverdueSubOrder:
    """A sub-order that a step should have minded by now."""

    id: SubOrderId
    order_id: OrderId
    state: SubOrderState
    asks: int
    executions_asked: bool
    """rs-processing was asked for its executions."""


class Reconciliation:
    """Each look is one statement: it sees one state, so what differs in it is wrong whoever is at work.

    Pages go by what they are sorted by: give the last one's to get the next; an empty page is the end.
    """

    def __init__(self, connection: Connection, tenant: Tenant) -> None:
        self._connection = connection
        self._tenant = tenant

    async def check_orders(
        self, after: OrderId, limit: int, gone_before: datetime
    ) -> list[CheckedOrder]:
        """Orders by id. Those that went later than ``gone_before`` may still have files."""
        rows = await self._connection.fetch(SQL["check_orders"], after, limit, gone_before)
        return [
            CheckedOrder(OrderId(row["id"]), row["miscounted"], row["left_behind"]) for row in rows
        ]

    async def check_sub_orders(
        self, after: SubOrderId, limit: int, files: int
    ) -> list[CheckedSubOrder]:
        """Sub-orders by id; no more once they have so many ``files``."""
        rows = await self._connection.fetch(SQL["check_sub_orders"], after, limit, files)
        return [
            CheckedSubOrder(SubOrderId(row["id"]), OrderId(row["order_id"]), row["miscounted"])
            for row in rows
        ]

    async def check_removed(self, after: OrderId, limit: int) -> list[tuple[OrderId, bool]]:
        """Orders that have files or sub-orders, by id, and whether they were removed."""
        rows = await self._connection.fetch(SQL["check_removed"], after, limit)
        return [(OrderId(row["order_id"]), row["removed"]) for row in rows]

    async def count_files(
        self, sub_orders: Sequence[SubOrderId]
    ) -> Mapping[SubOrderId, FileCounters]:
        """The true counters of sub-orders whose order is locked."""
        rows = await self._connection.fetch(SQL["count_files"], sub_orders)
        return {SubOrderId(row["id"]): counters_of(row) for row in rows}

    async def add_up(self, order_id: OrderId) -> Totals:
        (row,) = await self._connection.fetch(SQL["add_up"], order_id)
        return Totals(counters_of(row), row["sub_orders"], row["waiting"])

    async def mend_tasks(self, order_id: OrderId) -> list[MendedTask]:
        """Set the numbers of an order's dataset tasks right; those of processed ones stay as promised."""
        rows = await self._connection.fetch(SQL["mend_tasks"], order_id)
        return [
            MendedTask(
                DatasetTaskId(row["id"]),
                row["files_before"],
                row["bytes_before"],
                row["files"],
                row["bytes"],
            )
            for row in rows
        ]

    async def free_places(self) -> list[SubOrderId]:
        """Take places of the service from sub-orders that don't run."""
        rows = await self._connection.fetch(SQL["free_places"], self._tenant)
        return [SubOrderId(row["sub_order_id"]) for row in rows]

    async def overdue_rounds(self, before: datetime) -> list[tuple[str, int]]:
        """Periodic rounds of which the next one should have begun: names, and the rounds done."""
        rows = await self._connection.fetch(SQL["overdue_rounds"], before)
        return [(row["name"], row["round"]) for row in rows]

    async def standing_completions(
        self, before: datetime, after: OrderId, limit: int
    ) -> list[tuple[OrderId, int, int]]:
        """Orders that became PENDING before, with the selection and page where they stand."""
        rows = await self._connection.fetch(SQL["standing_completions"], before, after, limit)
        return [(OrderId(row["order_id"]), row["selection"], row["page"]) for row in rows]

    async def standing_retries(
        self, before: datetime, after: OrderId, limit: int
    ) -> list[tuple[OrderId, RetryCursor]]:
        rows = await self._connection.fetch(SQL["standing_retries"], before, after, limit)
        return [(OrderId(row["order_id"]), retry_cursor_of(row)) for row in rows]

    async def standing_owners(self, after: str, limit: int, slots: int) -> list[StandingOwner]:
        """Owners of ready sub-orders; ``slots``: the most each may hold, 0: no limit."""
        rows = await self._connection.fetch(
            SQL["standing_owners"], after, limit, slots, self._tenant
        )
        return [StandingOwner(row["owner"], row["may_start"]) for row in rows]

    async def overdue_sub_orders(
        self, before: datetime, now: datetime, limit: int
    ) -> list[OverdueSubOrder]:
        """Running and processed sub-orders whose step was due before; it counts as due ``now`` then."""
        rows = await self._connection.fetch(SQL["overdue_sub_orders"], before, now, limit)
        return [
            OverdueSubOrder(
                SubOrderId(row["id"]),
                OrderId(row["order_id"]),
                SubOrderState(row["state"]),
                row["asks"],
                row["executions_asked"],
            )
            for row in rows
        ]

    async def overdue_orders(self, before: datetime, after: OrderId, limit: int) -> list[OrderId]:
        """Orders that should have expired before."""
        rows = await self._connection.fetch(SQL["overdue_orders"], before, after, limit)
        return [OrderId(row["id"]) for row in rows]

    async def standing_requests(
        self, before: datetime, after: RequestId, limit: int
    ) -> list[RequestId]:
        """Requests that were received before and have no answer."""
        rows = await self._connection.fetch(SQL["standing_requests"], before, after, limit)
        return [RequestId(row["id"]) for row in rows]

    async def standing_mails(self, before: datetime, after: MailId, limit: int) -> list[MailId]:
        """Mails that nobody has sent, and nobody has held since then."""
        rows = await self._connection.fetch(SQL["standing_mails"], before, after, limit)
        return [MailId(row["id"]) for row in rows]
