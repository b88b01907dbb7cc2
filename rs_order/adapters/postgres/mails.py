"""Mails that are to be sent."""

from collections.abc import Sequence
from datetime import datetime

from rs_order.adapters.postgres.driver import Connection
from rs_order.adapters.postgres.rows import affected
from rs_order.adapters.postgres.statements import statements
from rs_order.domain.ids import MailId, OrderId
from rs_order.domain.states import OrderStatus
from rs_order.ports.store import (
    CreatedOrder,
    MailKind,
    MailToSend,
    OwnersPage,
    WaitingOrder,
    WaitingOrders,
)

SQL = statements("mails")


class PostgresMails:
    """Implements :class:`rs_order.ports.store.Mails`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def plan_creation(self, order_id: OrderId, owner: str) -> MailId:
        return MailId(await self._connection.fetchval(SQL["plan_creation"], order_id, owner))

    async def owners_to_remind(
        self, *, after: str, available_before: datetime, limit: int
    ) -> OwnersPage:
        rows = await self._connection.fetch(SQL["owners_to_remind"], after, available_before, limit)
        return OwnersPage(
            due=tuple(row["owner"] for row in rows if row["due"]),
            last=rows[-1]["owner"] if rows else None,
        )

    async def plan_reminders(
        self, owners: Sequence[str], available_before: datetime
    ) -> list[MailId]:
        if not owners:
            return []
        rows = await self._connection.fetch(SQL["plan_reminders"], owners, available_before)
        return [MailId(row["id"]) for row in rows]

    async def claim(self, mail_id: MailId, now: datetime, until: datetime) -> MailToSend | None:
        row = await self._connection.fetchrow(SQL["claim"], mail_id, now, until)
        if row is None:
            return None
        return MailToSend(
            id=MailId(row["id"]),
            kind=MailKind(row["kind"]),
            owner=row["owner"],
            order_id=OrderId(row["order_id"]) if row["order_id"] is not None else None,
            available_before=row["available_before"],
            attempts=row["attempts"],
            trouble_since=row["trouble_since"],
            sent=row["sent"],
        )

    async def claimed_until(self, mail_id: MailId) -> datetime | None:
        until: datetime | None = await self._connection.fetchval(SQL["claimed_until"], mail_id)
        return until

    async def created_order(self, order_id: OrderId) -> CreatedOrder | None:
        row = await self._connection.fetchrow(SQL["created_order"], order_id)
        if row is None:
            return None
        return CreatedOrder(
            id=OrderId(row["id"]),
            owner=row["owner"],
            role=row["role"],
            status=OrderStatus(row["status"]),
            expires_at=row["expires_at"],
            front_url=row["front_url"],
        )

    async def waiting_orders(
        self, owner: str, available_before: datetime, limit: int
    ) -> WaitingOrders:
        rows = await self._connection.fetch(SQL["waiting_orders"], owner, available_before, limit)
        total = len(rows)
        if total == limit:
            total = await self._connection.fetchval(
                SQL["count_waiting_orders"], owner, available_before
            )
        return WaitingOrders(tuple(WaitingOrder(**dict(row)) for row in rows), total)

    async def postpone(self, mail_id: MailId, until: datetime, trouble_since: datetime) -> None:
        await self._connection.execute(SQL["postpone"], mail_id, until, trouble_since)

    async def note_sent(self, mail_id: MailId) -> None:
        await self._connection.execute(SQL["note_sent"], mail_id)

    async def mark_reminded(
        self, owner: str, available_before: datetime, at: datetime, limit: int
    ) -> int:
        return affected(
            await self._connection.execute(SQL["mark_reminded"], owner, available_before, at, limit)
        )

    async def remove(self, mail_id: MailId) -> None:
        await self._connection.execute(SQL["remove"], mail_id)
