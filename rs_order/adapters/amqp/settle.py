"""What becomes of a delivery: one place turns outcomes into acknowledgements and dead letters.

A rejected message is not left to the broker: a classic queue dead-letters without confirms, so
a crash could lose it, and the reason would be lost for sure. We publish it ourselves, wait for
the confirm, and only then acknowledge. A crash in between makes a second letter, never none.
"""

import asyncio
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any
from uuid import uuid4

import structlog
from aio_pika import DeliveryMode, Message
from aio_pika.abc import AbstractChannel
from pamqp import encode
from prometheus_client import Counter

from rs_order.adapters.amqp.delivery import DEATH_QUEUE_HEADER, Delivery
from rs_order.adapters.amqp.publishing import broker_trouble, publish
from rs_order.adapters.amqp.topology import (
    DEAD_LETTER_EXCHANGE,
    SHARED_DEAD_LETTER_QUEUE,
    Queue,
)

LETTER_ID_HEADER = "rs-order.letter-id"
REASON_HEADER = "rs-order.reason"
DEAD_LETTERED_AT_HEADER = "rs-order.dead-lettered-at"
MESSAGE_HEADER = "x-exception-message"
STACKTRACE_HEADER = "x-exception-stacktrace"
ORIGINAL_EXCHANGE_HEADER = "x-original-exchange"
ORIGINAL_KEY_HEADER = "x-original-routingKey"

LONGEST_DETAIL = 2000
"""Characters of an explanation; two headers carry it."""
LARGEST_HEADERS = 64 * 1024
"""Bytes. All headers of a message travel in one frame, 128 KiB by default: a longer one would
close the connection, again at each attempt."""

_log = structlog.get_logger(__name__)
_dead_lettered = Counter(
    "rs_order_dead_lettered", "Messages dead-lettered by us", ["queue", "reason"]
)
_acknowledged = Counter("rs_order_acknowledged", "Deliveries settled", ["queue"])


class DeadLetterReason(StrEnum):
    """Why a message can't be handled; the value is the stable code, ``label`` the words."""

    MISSING_TENANT = "missing-tenant"
    MESSAGE_ORIGIN_MISMATCH = "message-origin-mismatch"
    INVALID_MESSAGE = "invalid-message"
    NOT_CONVERTED_MESSAGE = "not-converted-message"
    UNEXPECTED_VALIDATION_FAILURE = "unexpected-validation-failure"
    UNEXPECTED_BATCH_FAILURE = "unexpected-batch-failure"
    UNKNOWN_TENANT = "unknown-tenant"
    """Not a tenant of ours (decisions.md: kept, not dropped as the reference does)."""
    REMOTE_NONSENSE = "remote-nonsense"
    """A service kept answering what its contract does not allow."""

    @property
    def label(self) -> str:
        """The words of the notification (amqp.md 1.12); ours follow their style."""
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
    """Handled, or rightly dropped: the effect is committed."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Can't be handled now nor later by itself; kept for an operator."""

    reason: DeadLetterReason
    detail: str
    """For the operator: what is wrong with this message."""


Outcome = Done | DeadLetter


async def settle(
    channel: AbstractChannel,
    queue: Queue,
    deliveries: Sequence[Delivery],
    outcomes: Sequence[Outcome],
    *,
    cumulative: bool,
) -> None:
    """Dead-letter what can't be handled, then acknowledge everything.

    The channel is the one the deliveries came on, with confirms. ``cumulative`` acknowledges with
    one frame: right only when nothing that came before the last delivery is still being handled.

    Raises:
        NotConfirmed, BrokerAway: nothing was acknowledged, the broker offers everything again.
    """
    verdicts = zip(deliveries, outcomes, strict=True)
    letters = [(d, outcome) for d, outcome in verdicts if isinstance(outcome, DeadLetter)]
    await _all(_dead_letter(channel, queue, d, letter) for d, letter in letters)
    await _acknowledge(channel, [d.tag for d in deliveries], cumulative=cumulative)
    _acknowledged.labels(queue.name).inc(len(deliveries))


async def _all(acts: Iterable[Awaitable[None]]) -> None:
    """Do them together; raise the first failure, but only when none is under way any more."""
    for result in await asyncio.gather(*acts, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result


async def _acknowledge(channel: AbstractChannel, tags: Sequence[int], *, cumulative: bool) -> None:
    underlay = await channel.get_underlay_channel()
    with broker_trouble("acknowledge"):
        if cumulative:
            await underlay.basic_ack(max(tags), multiple=True)
            return
        for tag in tags:
            await underlay.basic_ack(tag)


async def _dead_letter(
    channel: AbstractChannel, queue: Queue, delivery: Delivery, letter: DeadLetter
) -> None:
    key = queue.dead_letter_key or SHARED_DEAD_LETTER_QUEUE
    message = dead_letter_message(delivery, letter, now=datetime.now(UTC))
    await publish(channel, DEAD_LETTER_EXCHANGE, key, message, mandatory=True)
    _dead_lettered.labels(queue.name, letter.reason.value).inc()
    _log.warning(
        "message.dead_lettered",
        queue=queue.name,
        reason=letter.reason.value,
        detail=letter.detail[:LONGEST_DETAIL],
        tenant=delivery.tenant,
        message_id=delivery.message_id,
        correlation_id=delivery.correlation_id,
        letter_id=message.headers[LETTER_ID_HEADER],
    )


def dead_letter_message(delivery: Delivery, letter: DeadLetter, *, now: datetime) -> Message:
    """The same message with what an operator and a Java peer want to know (amqp.md 1.7)."""
    detail = letter.detail[:LONGEST_DETAIL]
    headers = {
        **_bounded(_without_routing(delivery.headers)),
        DEATH_QUEUE_HEADER: delivery.queue,
        MESSAGE_HEADER: f"{letter.reason.label} {detail}",
        # A stack trace of ours would tell a peer our inside and an operator nothing.
        STACKTRACE_HEADER: detail,
        ORIGINAL_EXCHANGE_HEADER: delivery.exchange,
        ORIGINAL_KEY_HEADER: delivery.routing_key,
        REASON_HEADER: letter.reason.value,
        DEAD_LETTERED_AT_HEADER: now.isoformat(),
        LETTER_ID_HEADER: str(uuid4()),
    }
    return Message(
        delivery.body,
        headers=headers,
        delivery_mode=DeliveryMode.PERSISTENT,
        **delivery.properties,
    )


def _without_routing(headers: Mapping[str, Any]) -> dict[str, Any]:
    """Without the headers by which the broker would deliver a letter to more queues."""
    return {name: value for name, value in headers.items() if name not in ("CC", "BCC")}


def _bounded(headers: dict[str, Any]) -> dict[str, Any]:
    """The headers, without the largest ones as long as they would not fit beside ours."""
    kept = dict(headers)
    while len(encode.field_table(kept)) > LARGEST_HEADERS:
        largest = max(kept, key=lambda name: len(encode.field_table({name: kept[name]})))
        del kept[largest]
    return kept
