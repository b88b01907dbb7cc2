"""Subscriptions: which events a client wants, and how far it has read them (faces.md 4.2)."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from rs_order.domain.ids import OrderId

MOST_OF_USER: Final = 20
MOST_OF_TENANT: Final = 500


class SubscriptionScope(StrEnum):
    """The orders whose events a subscription has. The names are those on the wire."""

    MINE = "mine"
    """Those of its owner."""
    ORDER = "order"
    """One order."""
    TENANT = "tenant"
    """All orders of the project."""


@dataclass(frozen=True, slots=True)
class Subscription:
    """The events that a client wants, and the position up to which it has handled them."""

    id: UUID
    owner: str
    label: str | None
    scope: SubscriptionScope
    order_id: OrderId | None
    """Of the scope ``order``."""
    types: tuple[str, ...] | None
    """As the client gave them: types, or beginnings with a trailing ``*``. None: all."""
    position: int
    created_at: datetime
