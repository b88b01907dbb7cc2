"""A message as the broker delivered it, and the outcomes of its handling."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Self

from aiormq.abc import AbstractChannel, DeliveredMessage

from rs_order import traces
from rs_order.contracts.wire import TENANT_HEADER

DEATH_QUEUE_HEADER = "x-death-queue"
LONGEST_SUMMARY = 300
"""Characters."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One delivery, with everything that is needed to publish the same message again."""

    body: bytes
    headers: Mapping[str, Any]
    queue: str
    """The queue it was consumed from."""
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
    def of(cls, message: DeliveredMessage, queue: str) -> Self:
        properties = message.header.properties
        return cls(
            body=message.body,
            headers=properties.headers or {},
            queue=queue,
            tag=message.delivery_tag or 0,
            redelivered=bool(message.redelivered),
            exchange=message.exchange or "",
            routing_key=message.routing_key or "",
            message_id=properties.message_id,
            correlation_id=properties.correlation_id,
            priority=properties.priority,
            content_type=properties.content_type,
            content_encoding=properties.content_encoding,
            timestamp=properties.timestamp,
            app_id=properties.app_id,
            type=properties.message_type,
            reply_to=properties.reply_to,
        )

    @property
    def properties(self) -> dict[str, Any]:
        """The properties to publish the message again with.

        Left out: ``expiration``, because a dead letter must not expire; ``user_id``, because the broker
        rejects any other than our own; the delivery mode, because dead letters are always persistent.
        """
        return {name: getattr(self, name) for name in _REPUBLISHED_PROPERTIES}

    @property
    def tenant(self) -> str | None:
        """The project that the message belongs to, or None if the header is missing or blank."""
        return self._text(TENANT_HEADER)

    @property
    def death_queue(self) -> str | None:
        """The queue that a replayed dead letter died in, or None for other messages (amqp.md 1.9)."""
        return self._text(DEATH_QUEUE_HEADER)

    @property
    def traceparent(self) -> str | None:
        """The trace that the message belongs to, or None if its sender writes none."""
        return self._text(traces.HEADER)

    def _text(self, header: str) -> str | None:
        value = self.headers.get(header)
        return value if isinstance(value, str) and value.strip() else None


async def consume(channel: AbstractChannel, queue: str, receive: Callable[[Delivery], None]) -> str:
    """Pass the deliveries of a queue on, and return the tag of the consumer.

    It consumes from the channel below aio-pika's, which makes a second task and an object of twenty
    attributes for each message: more than all that is done for an event of storage that nobody waits for.
    """

    async def deliver(message: DeliveredMessage) -> None:
        receive(Delivery.of(message, queue))

    registered = await channel.basic_consume(queue, deliver)
    return str(registered.consumer_tag)


_REPUBLISHED_PROPERTIES = (
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


class DeadLetterReason(StrEnum):
    """The reason why a message can't be handled; the value is the stable code."""

    MISSING_TENANT = "missing-tenant"
    MESSAGE_ORIGIN_MISMATCH = "message-origin-mismatch"
    INVALID_MESSAGE = "invalid-message"
    NOT_CONVERTED_MESSAGE = "not-converted-message"
    UNEXPECTED_VALIDATION_FAILURE = "unexpected-validation-failure"
    UNEXPECTED_BATCH_FAILURE = "unexpected-batch-failure"
    UNKNOWN_TENANT = "unknown-tenant"
    """The tenant is not served here. The message is kept, not dropped as by the reference (decisions.md)."""
    REMOTE_NONSENSE = "remote-nonsense"
    """A service kept sending responses that its contract does not allow."""

    @property
    def label(self) -> str:
        """The text in notifications (amqp.md 1.12); our own reasons follow the style of the others."""
        return _LABELS[self]


_LABELS: Mapping[DeadLetterReason, str] = {
    DeadLetterReason.MISSING_TENANT: "Missing tenant in AMQP message header.",
    DeadLetterReason.MESSAGE_ORIGIN_MISMATCH: "Incompatible message origin.",
    DeadLetterReason.INVALID_MESSAGE: "Invalid AMQP message.",
    DeadLetterReason.NOT_CONVERTED_MESSAGE: "Failed AMQP message conversion.",
    DeadLetterReason.UNEXPECTED_VALIDATION_FAILURE: (
        "Unexpected failure during the message validation."
    ),
    DeadLetterReason.UNEXPECTED_BATCH_FAILURE: "Unexpected AMQP batch processing failure.",
    DeadLetterReason.UNKNOWN_TENANT: "Unknown tenant in AMQP message header.",
    DeadLetterReason.REMOTE_NONSENSE: "Unusable answer of a remote service.",
}


@dataclass(frozen=True, slots=True)
class Done:
    """The message was handled, or needs no handling; its effects are committed."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """The message can't be handled and is kept for an operator."""

    reason: DeadLetterReason
    detail: str
    """The defect of this message, for the operator."""

    @classmethod
    def unforeseen(cls, error: Exception) -> Self:
        """Return the dead letter of a message whose handling raised an unforeseen error."""
        return cls(DeadLetterReason.UNEXPECTED_BATCH_FAILURE, summary(error))


Outcome = Done | DeadLetter


def summary(error: Exception) -> str:
    """Return an error as one line for the operator: its class and its first line, no stack trace."""
    first_line = (str(error).splitlines() or [""])[0]
    return f"{type(error).__name__}: {first_line}"[:LONGEST_SUMMARY]
