"""The reconciler's looks at the tables."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from rs_order.adapters.postgres.driver import Connection
from rs_order.adapters.postgres.retries import cursor_of
from rs_order.adapters.postgres.rows import tally_of
from rs_order.adapters.postgres.statements import statements
from rs_order.domain.ids import DatasetTaskId, MailId, OrderId, RequestId, SubOrderId, Tenant
from rs_order.domain.states import SubOrderState
from rs_order.domain.tally import Tally
from rs_order.ports.store import (
    CheckedOrder,
    CheckedSubOrder,
    MendedTask,
    OverdueSubOrder,
    RetryCursor,
    StandingOwner,
    Totals,
)

SQL = statements("reconciliation")


class PostgresReconciliation:
    """Implements :class:`rs_order.ports.store.Reconciliation`."""

    def __init__(self, connection: Connection, tenant: Tenant) -> None:
        self._connection = connection
        self._tenant = tenant

    async def check_orders(
        self, after: OrderId, limit: int, gone_before: datetime
    ) -> list[CheckedOrder]:
        rows = await self._connection.fetch(SQL["check_orders"], after, limit, gone_before)
        return [
            CheckedOrder(OrderId(row["id"]), row["miscounted"], row["left_behind"]) for row in rows
        ]

    async def check_sub_orders(
        self, after: SubOrderId, limit: int, files: int
    ) -> list[CheckedSubOrder]:
        rows = await self._connection.fetch(SQL["check_sub_orders"], after, limit, files)
        return [
            CheckedSubOrder(SubOrderId(row["id"]), OrderId(row["order_id"]), row["miscounted"])
            for row in rows
        ]

    async def check_removed(self, after: OrderId, limit: int) -> list[tuple[OrderId, bool]]:
        rows = await self._connection.fetch(SQL["check_removed"], after, limit)
        return [(OrderId(row["order_id"]), row["removed"]) for row in rows]

    async def count_files(self, sub_orders: Sequence[SubOrderId]) -> Mapping[SubOrderId, Tally]:
        rows = await self._connection.fetch(SQL["count_files"], sub_orders)
        return {SubOrderId(row["id"]): tally_of(row) for row in rows}

    async def add_up(self, order_id: OrderId) -> Totals:
        (row,) = await self._connection.fetch(SQL["add_up"], order_id)
        return Totals(tally_of(row), row["sub_orders"], row["waiting"])

    async def mend_tasks(self, order_id: OrderId) -> list[MendedTask]:
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
        rows = await self._connection.fetch(SQL["free_places"], self._tenant)
        return [SubOrderId(row["sub_order_id"]) for row in rows]

    async def overdue_rounds(self, before: datetime) -> list[tuple[str, int]]:
        rows = await self._connection.fetch(SQL["overdue_rounds"], before)
        return [(row["name"], row["round"]) for row in rows]

    async def standing_completions(
        self, before: datetime, after: OrderId, limit: int
    ) -> list[tuple[OrderId, int, int]]:
        rows = await self._connection.fetch(SQL["standing_completions"], before, after, limit)
        return [(OrderId(row["order_id"]), row["selection"], row["page"]) for row in rows]

    async def standing_retries(
        self, before: datetime, after: OrderId, limit: int
    ) -> list[tuple[OrderId, RetryCursor]]:
        rows = await self._connection.fetch(SQL["standing_retries"], before, after, limit)
        return [(OrderId(row["order_id"]), cursor_of(row)) for row in rows]

    async def standing_owners(self, after: str, limit: int, slots: int) -> list[StandingOwner]:
        rows = await self._connection.fetch(
            SQL["standing_owners"], after, limit, slots, self._tenant
        )
        return [StandingOwner(row["owner"], row["may_start"]) for row in rows]

    async def overdue_sub_orders(
        self, before: datetime, now: datetime, limit: int
    ) -> list[OverdueSubOrder]:
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
        rows = await self._connection.fetch(SQL["overdue_orders"], before, after, limit)
        return [OrderId(row["id"]) for row in rows]

    async def standing_requests(
        self, before: datetime, after: RequestId, limit: int
    ) -> list[RequestId]:
        rows = await self._connection.fetch(SQL["standing_requests"], before, after, limit)
        return [RequestId(row["id"]) for row in rows]

    async def standing_mails(self, before: datetime, after: MailId, limit: int) -> list[MailId]:
        rows = await self._connection.fetch(SQL["standing_mails"], before, after, limit)
        return [MailId(row["id"]) for row in rows]
