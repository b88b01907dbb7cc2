"""Acknowledges handled deliveries, and publishes the dead letters among them.

Rejected messages are not left to the broker: a classic queue dead-letters without confirms, so a crash
could lose the message, and the reason would always be lost. The service publishes the dead letter, waits
for the confirm, and acknowledges then. A crash in between makes a second dead letter, but loses none.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import structlog
from aio_pika.abc import AbstractChannel
from prometheus_client import Counter

from rs_order.broker.dead_letter_message import LONGEST_DETAIL, dead_letter_message
from rs_order.broker.delivery import DeadLetter, Delivery, Outcome
from rs_order.broker.errors import AmqpError
from rs_order.broker.publishing import broker_errors, publish
from rs_order.broker.topology import DEAD_LETTER_EXCHANGE, SHARED_DEAD_LETTER_QUEUE, Queue
from rs_order.concurrency import together
from rs_order.contracts.wire import LETTER_ID_HEADER

_log = structlog.get_logger(__name__)
_dead_lettered = Counter(
    "rs_order_dead_lettered", "Messages that became dead letters", ["queue", "reason"]
)
_acknowledged = Counter("rs_order_acknowledged", "Deliveries acknowledged", ["queue"])


async def acknowledge(
    channel: AbstractChannel,
    queue: Queue,
    deliveries: Sequence[Delivery],
    outcomes: Sequence[Outcome],
    *,
    cumulative: bool,
) -> Sequence[Delivery]:
    """Publish the dead letters, then acknowledge everything.

    Args:
        channel: the channel of the deliveries, with confirms.
        queue: the queue of the deliveries.
        deliveries: what was handled.
        outcomes: one per delivery.
        cumulative: acknowledge with one frame. Allowed only if no earlier delivery of the channel is
            still being handled.

    Returns:
        The dead letters, as their queue delivers them.

    Raises:
        NotConfirmed, BrokerUnavailable: nothing was acknowledged; the broker redelivers everything.
    """
    pairs = zip(deliveries, outcomes, strict=True)
    dead = [(delivery, outcome) for delivery, outcome in pairs if isinstance(outcome, DeadLetter)]
    published = await together(
        _publish_dead_letter(channel, queue, delivery, outcome) for delivery, outcome in dead
    )
    tags = {delivery.tag for delivery in deliveries}
    tags -= {
        delivery.tag
        for (delivery, _), letter in zip(dead, published, strict=True)
        if letter is None
    }
    if tags:
        await _acknowledge_tags(channel, sorted(tags), cumulative=cumulative)
    _acknowledged.labels(queue.name).inc(len(deliveries))
    return [letter for letter in published if letter is not None]


async def _acknowledge_tags(
    channel: AbstractChannel, tags: Sequence[int], *, cumulative: bool
) -> None:
    underlay = await channel.get_underlay_channel()
    with broker_errors("acknowledge"):
        if cumulative:
            await underlay.basic_ack(max(tags), multiple=True)
            return
        for tag in tags:
            await underlay.basic_ack(tag)


async def _publish_dead_letter(
    channel: AbstractChannel, queue: Queue, delivery: Delivery, dead_letter: DeadLetter
) -> Delivery | None:
    """Publish a dead letter and return it; None if the delivery was rejected instead.

    A message that can't be published again would stay in its queue for ever. Rejected, it is
    dead-lettered by the broker, with the broker's reason ``rejected`` and without our headers.
    """
    key = queue.dead_letter_key or SHARED_DEAD_LETTER_QUEUE
    try:
        message = dead_letter_message(delivery, dead_letter, now=datetime.now(UTC))
        await publish(channel, DEAD_LETTER_EXCHANGE, key, message, mandatory=True)
    except AmqpError:
        raise
    except Exception:  # noqa: BLE001 - whatever can't be written again, the queue must go on
        _log.exception(
            "dead-letter-not-publishable", queue=queue.name, reason=dead_letter.reason.value
        )
        await _reject(channel, delivery)
        return None
    _dead_lettered.labels(queue.name, dead_letter.reason.value).inc()
    _log.warning(
        "message-dead-lettered",
        queue=queue.name,
        reason=dead_letter.reason.value,
        detail=dead_letter.detail[:LONGEST_DETAIL],
        tenant=delivery.tenant,
        message_id=delivery.message_id,
        correlation_id=delivery.correlation_id,
        letter_id=message.headers[LETTER_ID_HEADER],
    )
    return replace(delivery, queue=key, headers=message.headers)


async def _reject(channel: AbstractChannel, delivery: Delivery) -> None:
    underlay = await channel.get_underlay_channel()
    with broker_errors("reject"):
        await underlay.basic_reject(delivery.tag, requeue=False)
