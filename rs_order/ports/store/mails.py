"""Mails that are to be sent, and what they are about."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from rs_order.domain.ids import MailId, OrderId
from rs_order.domain.states import OrderStatus


class MailKind(StrEnum):
    """Why a mail is sent (domain.md 16.2)."""

    ORDER_CREATED = "ORDER_CREATED"
    """An order that was made on the project's site is complete."""
    REMINDER = "REMINDER"
    """Files of an owner's orders wait for their download."""


@dataclass(frozen=True, slots=True)
class MailToSend:
    """A mail as whoever sends it holds it."""

    id: MailId
    kind: MailKind
    owner: str
    order_id: OrderId | None
    """Of ORDER_CREATED."""
    available_before: datetime | None
    """Of REMINDER: it is about orders whose files have been available for longer."""
    attempts: int
    """This one included."""
    trouble_since: datetime | None
    """First time it couldn't be sent."""
    sent: bool
    """It is out; the orders it told of are still to be marked."""


@dataclass(frozen=True, slots=True)
class CreatedOrder:
    """What the mail about a new order says."""

    id: OrderId
    owner: str
    role: str
    status: OrderStatus
    expires_at: datetime
    front_url: str


@dataclass(frozen=True, slots=True)
class WaitingOrder:
    """An order of which files wait for their download."""

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
    """With those that are not among the first."""


@dataclass(frozen=True, slots=True)
class OwnersPage:
    """Some of the owners of whom files wait."""

    due: tuple[str, ...]
    """Those who have waited long enough to be reminded."""
    last: str | None
    """The last one looked at; None: there was none left."""


class Mails(Protocol):
    """The mails of a tenant. Whoever claimed one is the only one who sends it."""

    async def plan_creation(self, order_id: OrderId, owner: str) -> MailId: ...

    async def owners_to_remind(
        self, *, after: str, available_before: datetime, limit: int
    ) -> OwnersPage:
        """At most ``limit`` owners with waiting orders, by their names."""
        ...

    async def plan_reminders(
        self, owners: Sequence[str], available_before: datetime
    ) -> list[MailId]:
        """One reminder for each owner who has none under way."""
        ...

    async def claim(self, mail_id: MailId, now: datetime, until: datetime) -> MailToSend | None:
        """Take a mail that nobody holds; None when there is none, or not before its time."""
        ...

    async def claimed_until(self, mail_id: MailId) -> datetime | None:
        """When a mail can be taken again; None when there is no such mail, or nobody holds it."""
        ...

    async def created_order(self, order_id: OrderId) -> CreatedOrder | None: ...

    async def waiting_orders(
        self, owner: str, available_before: datetime, limit: int
    ) -> WaitingOrders: ...

    async def postpone(self, mail_id: MailId, until: datetime, trouble_since: datetime) -> None:
        """Nobody takes it before; the first trouble is kept."""
        ...

    async def note_sent(self, mail_id: MailId) -> None:
        """It is out, and anybody may do what is left."""
        ...

    async def mark_reminded(
        self, owner: str, available_before: datetime, at: datetime, limit: int
    ) -> int:
        """Let the wait of orders that were told begin anew; how many, by ascending id."""
        ...

    async def remove(self, mail_id: MailId) -> None: ...
