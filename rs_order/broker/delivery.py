"""A message as the broker handed it over."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from aio_pika.abc import AbstractIncomingMessage

TENANT_HEADER = "regards.tenant"
DEATH_QUEUE_HEADER = "x-death-queue"


@dataclass(frozen=True, slots=True)
class Delivery:
    """One delivery, with all that a faithful publication of the same message needs."""

    body: bytes
    headers: Mapping[str, Any]
    queue: str
    """Where it was consumed."""
    tag: int = 0
    """The broker's number of this delivery on its channel."""
    redelivered: bool = False
    exchange: str = ""
    routing_key: str = ""
    message_id: str | None = None
    correlation_id: str | None = None
    priority: int | None = None
    content_type: str | None = None
    content_encoding: str | None = None
    timestamp: datetime | None = None
    app_id: str | None = None
    type: str | None = None
    reply_to: str | None = None

    @classmethod
    def of(cls, message: AbstractIncomingMessage, queue: str) -> Self:
        return cls(
            body=message.body,
            headers=dict(message.headers),
            queue=queue,
            tag=message.delivery_tag or 0,
            redelivered=bool(message.redelivered),
            exchange=message.exchange or "",
            routing_key=message.routing_key or "",
            **{name: getattr(message, name) for name in _KEPT_PROPERTIES},
        )

    @property
    def properties(self) -> dict[str, Any]:
        """What goes on when the message is published again.

        Left behind on purpose: ``expiration`` (a dead letter must not run out), ``user_id`` (the
        broker refuses anybody's but our own) and the delivery mode (from here on it is kept).
        """
        return {name: getattr(self, name) for name in _KEPT_PROPERTIES}

    @property
    def tenant(self) -> str | None:
        """The project the message belongs to, None when the header is missing or blank."""
        return self._text(TENANT_HEADER)

    @property
    def death_queue(self) -> str | None:
        """The queue it died in before, when it is a dead letter on its way back (amqp.md 1.9)."""
        return self._text(DEATH_QUEUE_HEADER)

    def _text(self, header: str) -> str | None:
        value = self.headers.get(header)
        return value if isinstance(value, str) and value.strip() else None


_KEPT_PROPERTIES = (
    "message_id",
    "correlation_id",
    "priority",
    "content_type",
    "content_encoding",
    "timestamp",
    "app_id",
    "type",
    "reply_to",
)
