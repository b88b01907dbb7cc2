"""Mails to be sent, and the orders that they are about."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from rs_order.domain.ids import MailId, OrderId
from rs_order.domain.states import OrderStatus
from rs_order.domain.webhooks import Disabled
from rs_order.store.pool import Connection, statements
from rs_order.store.rows import affected

SQL = statements("mails")


class MailKind(StrEnum):
    """The kinds of mails (domain.md 16.2)."""

    ORDER_CREATED = "ORDER_CREATED"
    """An order that was placed on the project's site is complete."""
    REMINDER = "REMINDER"
    """Files of an owner's orders wait for their download."""
    WEBHOOK_DISABLED = "WEBHOOK_DISABLED"
    """A webhook gets nothing any more, because its receiver failed. The reference has no such mail."""


@dataclass(frozen=True, slots=True)
class MailToSend:
    """A mail that its sender has claimed."""

    id: MailId
    kind: MailKind
    owner: str
    order_id: OrderId | None
    """Of ORDER_CREATED."""
    available_before: datetime | None
    """Of REMINDER: it is about orders whose files became available before."""
    subscription_id: UUID | None
    """Of WEBHOOK_DISABLED."""
    attempts: int
    """Including the present one."""
    unavailable_since: datetime | None
    """First time it couldn't be sent."""
    sent: bool
    """True if it was sent, and its orders are still to be marked."""


@dataclass(frozen=True, slots=True)
class CreatedOrder:
    """Contents of the mail about a new order."""

    id: OrderId
    owner: str
    role: str
    status: OrderStatus
    expires_at: datetime
    front_url: str


@dataclass(frozen=True, slots=True)
class WaitingOrder:
    """An order whose files wait for their download."""

    label: str
    created_at: datetime
    expires_at: datetime | None
    available_files: int
    available_at: datetime


@dataclass(frozen=True, slots=True)
class WaitingOrders:
    """An owner's waiting orders, by their creation."""

    first: tuple[WaitingOrder, ...]
    total: int
    """Including those that aren't among the first."""


@dataclass(frozen=True, slots=True)
class DisabledWebhook:
    """Contents of the mail about a webhook that gets nothing any more."""

    url: str
    label: str | None
    because: Disabled


@dataclass(frozen=True, slots=True)
class OwnersPage:
    """A page of the owners whose files wait for their download."""

    due: tuple[str, ...]
    """The owners who have waited long enough to be reminded."""
    last: str | None
    """The last owner of the page; None: there was none left."""


class Mails:
    """The mails of a tenant. Only the sender that claimed a mail sends it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def plan_creation(self, order_id: OrderId, owner: str) -> MailId:
        return MailId(await self._connection.fetchval(SQL["plan_creation"], order_id, owner))

    async def plan_webhook_disabled(self, owner: str, subscription_id: UUID) -> MailId:
        return MailId(
            await self._connection.fetchval(SQL["plan_webhook_disabled"], owner, subscription_id)
        )

    async def disabled_webhook(self, subscription_id: UUID) -> DisabledWebhook | None:
        """Return the contents of the mail about a webhook; None: it gets events again, or was removed."""
        row = await self._connection.fetchrow(SQL["disabled_webhook"], subscription_id)
        if row is None:
            return None
        return DisabledWebhook(row["url"], row["label"], Disabled(row["disabled_because"]))

    async def owners_to_remind(
        self, *, after: str, available_before: datetime, limit: int
    ) -> OwnersPage:
        """Return at most ``limit`` owners with waiting orders, by name."""
        rows = await self._connection.fetch(SQL["owners_to_remind"], after, available_before, limit)
        return OwnersPage(
            due=tuple(row["owner"] for row in rows if row["due"]),
            last=rows[-1]["owner"] if rows else None,
        )

    async def plan_reminders(
        self, owners: Sequence[str], available_before: datetime
    ) -> list[MailId]:
        """Create a reminder for each owner who has none yet. Return the new ones."""
        if not owners:
            return []
        rows = await self._connection.fetch(SQL["plan_reminders"], owners, available_before)
        return [MailId(row["id"]) for row in rows]

    async def claim(self, mail_id: MailId, now: datetime, until: datetime) -> MailToSend | None:
        """Claim a mail. None if there is none, it is claimed, or its next attempt isn't due."""
        row = await self._connection.fetchrow(SQL["claim"], mail_id, now, until)
        if row is None:
            return None
        return MailToSend(
            id=MailId(row["id"]),
            kind=MailKind(row["kind"]),
            owner=row["owner"],
            order_id=OrderId(row["order_id"]) if row["order_id"] is not None else None,
            available_before=row["available_before"],
            subscription_id=row["subscription_id"],
            attempts=row["attempts"],
            unavailable_since=row["unavailable_since"],
            sent=row["sent"],
        )

    async def claimed_until(self, mail_id: MailId) -> datetime | None:
        """Return when a mail can be claimed again. None if there is no such mail, or it isn't claimed."""
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
        self, owner: str, available_before: datetime, now: datetime, limit: int
    ) -> WaitingOrders:
        rows = await self._connection.fetch(
            SQL["waiting_orders"], owner, available_before, now, limit
        )
        total = len(rows)
        if total == limit:
            total = await self._connection.fetchval(
                SQL["count_waiting_orders"], owner, available_before, now
            )
        return WaitingOrders(tuple(WaitingOrder(**dict(row)) for row in rows), total)

    async def postpone(self, mail_id: MailId, until: datetime, unavailable_since: datetime) -> None:
        """Allow the next attempt at ``until``, and record since when the mail can't be sent."""
        await self._connection.execute(SQL["postpone"], mail_id, until, unavailable_since)

    async def note_sent(self, mail_id: MailId) -> None:
        """Record that the mail was sent, and end the claim."""
        await self._connection.execute(SQL["note_sent"], mail_id)

    async def mark_reminded(
        self, owner: str, available_before: datetime, at: datetime, limit: int
    ) -> int:
        """Restart the waiting time of up to ``limit`` orders in a reminder. Return how many there were."""
        return affected(
            await self._connection.execute(SQL["mark_reminded"], owner, available_before, at, limit)
        )

    async def remove(self, mail_id: MailId) -> None:
        await self._connection.execute(SQL["remove"], mail_id)
