"""Subscriptions: which events a client wants, and how far it has read them (faces.md 4.2)."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from rs_order.domain.ids import OrderId
from rs_order.domain.webhooks import Disabled, WebhookMode, WebhookState

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
class Webhook:
    """Where the events of a subscription are sent, and how that goes."""

    url: str
    mode: WebhookMode
    thresholds: tuple[int, ...] | None
    """Of ``order.progress``. None: all."""
    state: WebhookState
    disabled_because: Disabled | None
    allowed_rate: int | None
    """Requests in a minute, as the receiver asked; None: any."""
    last_success: datetime | None
    last_failure: "FailedAttempt | None"
    backlog: int
    """Events that wait."""
    dead: int
    """Events whose attempts all failed."""


@dataclass(frozen=True, slots=True)
class FailedAttempt:
    """An attempt that failed."""

    at: datetime
    status: int | None
    """None: there was no response."""
    answer: str
    """The beginning of the response, or why there is none."""


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
    """Up to which its client has handled the events. Of a webhook: up to which all are delivered or dead."""
    created_at: datetime
    webhook: Webhook | None = None
    """None: its client pulls."""
