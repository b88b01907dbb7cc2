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
from rs_order.broker.errors import AmqpError
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
    """Publish the dead letters, then acknowledge everything.

    Args:
        channel: the channel of the deliveries, with confirms.
        queue: the queue of the deliveries.
        deliveries: what was handled.
        outcomes: one per delivery.
        cumulative: acknowledge with one frame. Allowed only if no earlier delivery of the channel is
            still being handled.

    Raises:
        NotConfirmed, BrokerAway: nothing was acknowledged; the broker redelivers everything.
    """
    pairs = zip(deliveries, outcomes, strict=True)
    dead = [(delivery, outcome) for delivery, outcome in pairs if isinstance(outcome, DeadLetter)]
    rejected = await _together(
        _dead_letter(channel, queue, delivery, outcome) for delivery, outcome in dead
    )
    tags = {delivery.tag for delivery in deliveries}
    tags -= {delivery.tag for (delivery, _), was in zip(dead, rejected, strict=True) if was}
    if tags:
        await _acknowledge(channel, sorted(tags), cumulative=cumulative)
    _acknowledged.labels(queue.name).inc(len(deliveries))


async def _together(calls: Iterable[Awaitable[bool]]) -> list[bool]:
    """Return the results of concurrent calls; raise the first error after all calls have ended."""
    results = []
    for result in await asyncio.gather(*calls, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result
        results.append(result)
    return results


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
) -> bool:
    """Publish a dead letter; return True if the delivery was rejected instead.

    A message that can't be published again would stay in its queue for ever. Rejected, it is
    dead-lettered by the broker, with the broker's reason ``rejected`` and without our headers.
    """
    key = queue.dead_letter_key or SHARED_DEAD_LETTER_QUEUE
    try:
        message = dead_letter_message(delivery, letter, now=datetime.now(UTC))
        await publish(channel, DEAD_LETTER_EXCHANGE, key, message, mandatory=True)
    except AmqpError:
        raise
    except Exception:  # noqa: BLE001 - whatever can't be written again, the queue must go on
        _log.exception("dead-letter-not-publishable", queue=queue.name, reason=letter.reason.value)
        await _reject(channel, delivery)
        return True
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
    return False


async def _reject(channel: AbstractChannel, delivery: Delivery) -> None:
    underlay = await channel.get_underlay_channel()
    with broker_trouble("reject"):
        await underlay.basic_reject(delivery.tag, requeue=False)


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
