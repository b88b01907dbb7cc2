"""What becomes of a delivery: one place turns outcomes into acknowledgements and dead letters.

A rejected message is not left to the broker: a classic queue dead-letters without confirms, so
a crash could lose it, and the reason would be lost for sure. We publish it ourselves, wait for
the confirm, and only then acknowledge. A crash in between makes a second letter, never none.
"""

import asyncio
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self
from uuid import uuid4

import structlog
from aio_pika import DeliveryMode, Message
from aio_pika.abc import AbstractChannel
from pamqp import encode
from prometheus_client import Counter

from rs_order.broker.death import (
    LETTER_ID_HEADER,
    LONGEST_DETAIL,
    DeadLetterReason,
    Death,
)
from rs_order.broker.delivery import Delivery
from rs_order.broker.publishing import broker_trouble, publish
from rs_order.broker.topology import (
    DEAD_LETTER_EXCHANGE,
    SHARED_DEAD_LETTER_QUEUE,
    Queue,
)

__all__ = ["DeadLetter", "DeadLetterReason", "Done", "Outcome", "settle"]

LONGEST_SUMMARY = 300
"""Characters."""
LARGEST_HEADERS = 64 * 1024
"""Bytes. All headers of a message travel in one frame, 128 KiB by default: a longer one would
close the connection, again at each attempt."""

_log = structlog.get_logger(__name__)
_dead_lettered = Counter(
    "rs_order_dead_lettered", "Messages dead-lettered by us", ["queue", "reason"]
)
_acknowledged = Counter("rs_order_acknowledged", "Deliveries settled", ["queue"])


@dataclass(frozen=True, slots=True)
class Done:
    """Handled, or rightly dropped: the effect is committed."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Can't be handled now nor later by itself; kept for an operator."""

    reason: DeadLetterReason
    detail: str
    """For the operator: what is wrong with this message."""

    @classmethod
    def unforeseen(cls, error: Exception) -> Self:
        """Return the dead letter of a message whose handling raised an error that nobody foresaw."""
        return cls(DeadLetterReason.UNEXPECTED_BATCH_FAILURE, summary(error))


def summary(error: Exception) -> str:
    """Return what an operator reads of an error: its class and its first line, no stack trace."""
    first_line = (str(error).splitlines() or [""])[0]
    return f"{type(error).__name__}: {first_line}"[:LONGEST_SUMMARY]


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
        "message-dead-lettered",
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
    death = Death(
        queue=delivery.queue,
        exchange=delivery.exchange,
        routing_key=delivery.routing_key,
        reason=letter.reason,
        detail=letter.detail,
        at=now,
        letter_id=str(uuid4()),
    )
    headers = {**_bounded(_without_routing(delivery.headers)), **death.headers}
    return Message(
        delivery.body,
        headers=dict(headers),
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
