"""Defects of a consumer outside the isolated handling don't block its queue, and health reports them."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import timedelta

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel

from rs_order.app.health import consumption
from rs_order.broker import bounded_attempts
from rs_order.broker.batch_consumer import BatchConsumer
from rs_order.broker.connection import BACKOFF
from rs_order.broker.delivery import DeadLetter, DeadLetterReason, Delivery, Done, Outcome
from rs_order.broker.queue_names import topology
from rs_order.broker.topology import Topology, declare
from rs_order.consumers.batches import Batches, Failures, NotifyFailures, Received
from rs_order.contracts.administration import HealthStatus
from rs_order.contracts.order_messages import OrderRequest
from rs_order.domain.ids import Tenant
from rs_order.domain.retry import Backoff
from rs_order.store.errors import StoreUnavailable
from rs_order.tenants.consumer import InstanceTenant
from tests.amqp.support import (
    RecordingHandler,
    message_count,
    new_consumer,
    only,
    raw_channel,
    send,
    supervised,
    take,
)
from tests.support.polling import eventually
from tests.support.servers import FreshBroker

TOPOLOGY: Topology = only(topology(instance_identifier="test"), "order_requests")
QUEUE = TOPOLOGY.order_requests
DEAD_LETTERS = f"{QUEUE.name}.DLQ"


class FailingHandler:
    """Raises for each batch that contains ``defective``, and while the database is unavailable."""

    def __init__(self) -> None:
        self.handled: list[bytes] = []
        self.attempts = 0
        self.unavailable = False
        self.notified: list[tuple[bytes, Outcome]] = []

    async def __call__(self, deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
        self.attempts += 1
        if self.unavailable:
            raise StoreUnavailable("the database is down")
        if any(delivery.body == b"defective" for delivery in deliveries):
            raise KeyError("an unexpected error")
        self.handled += [delivery.body for delivery in deliveries]
        return [Done() for _ in deliveries]

    async def notify(self, deliveries: Sequence[Delivery], outcomes: Sequence[Outcome]) -> None:
        bodies = [delivery.body for delivery in deliveries]
        self.notified += zip(bodies, outcomes, strict=True)

    def consumer(self, backoff: Backoff = BACKOFF) -> BatchConsumer:
        return BatchConsumer(
            QUEUE, self, unavailable=(StoreUnavailable,), notify=self.notify, backoff=backoff
        )


@pytest.fixture
async def channel(broker: FreshBroker) -> AsyncIterator[AbstractChannel]:
    """A bare channel; the topology exists."""
    async with raw_channel(broker.url, broker.vhost) as opened:
        await declare(opened, TOPOLOGY.multitenant)
        yield opened


async def test_a_message_that_fails_its_consumer_becomes_a_dead_letter(
    broker: FreshBroker, channel: AbstractChannel
) -> None:
    """The others are handled, the queue drains, health is DOWN meanwhile, and users are notified."""
    await send(channel, QUEUE, b"one", b"defective", b"two")
    handler = FailingHandler()
    consumer = handler.consumer()

    async with supervised(broker.url, broker.vhost, TOPOLOGY.multitenant, [consumer]):
        await eventually(lambda: consumer.defect, "the defect")
        down = consumption([consumer])
        dead_letter = await take(channel, DEAD_LETTERS)
        await eventually(lambda: consumption([consumer]).status is HealthStatus.UP, "UP again")
        await send(channel, QUEUE, b"three")
        await eventually(lambda: b"three" in handler.handled, "the next message handled")

    assert (down.status, down.details["failing"]) == (HealthStatus.DOWN, {QUEUE.name: "KeyError"})
    assert dead_letter.body == b"defective"
    assert dead_letter.headers["rs-order.reason"] == "unexpected-batch-failure"
    assert "KeyError: 'an unexpected error'" in str(dead_letter.headers["x-exception-message"])
    assert sorted(handler.handled) == [b"one", b"three", b"two"]
    assert [body for body, _ in handler.notified] == [b"defective"]
    assert isinstance(handler.notified[0][1], DeadLetter)
    assert await message_count(channel, QUEUE.name) == 0
    assert await message_count(channel, DEAD_LETTERS) == 0


class RecordedFailures(NotifyFailures):
    """Records the notifications."""

    def __init__(self) -> None:
        self.labels: list[str] = []

    async def notify(self, failures: Sequence[Failures]) -> None:
        self.labels += [label for one in failures for label in one.by_label]


async def test_a_defect_in_the_reading_of_messages(
    broker: FreshBroker, channel: AbstractChannel
) -> None:
    """A message that raises while it is read becomes a dead letter; the others are handled."""
    handled: list[str | None] = []
    failures = RecordedFailures()

    async def handle(_: Tenant, batch: Sequence[Received[OrderRequest]]) -> None:
        handled.extend(received.message.correlation_id for received in batch)

    def check(request: OrderRequest) -> str | None:
        if request.correlation_id == "defective":
            raise IndexError("an unexpected error")
        return None

    batches = Batches(OrderRequest, handle, InstanceTenant(), failures, invalid=check)
    for correlation_id in ("one", "defective", "two"):
        body = f'{{"correlationId": "{correlation_id}"}}'.encode()
        message = aio_pika.Message(body, headers={"regards.tenant": "instance"})
        await channel.default_exchange.publish(message, QUEUE.name)
    consumer = BatchConsumer(QUEUE, batches, unavailable=(StoreUnavailable,), notify=batches.notify)
    async with supervised(broker.url, broker.vhost, TOPOLOGY.multitenant, [consumer]):
        dead_letter = await take(channel, DEAD_LETTERS)
        await eventually(lambda: sorted(map(str, handled)) == ["one", "two"], "both others handled")

    assert b"defective" in dead_letter.body
    assert dead_letter.headers["rs-order.reason"] == "unexpected-batch-failure"
    assert failures.labels == ["Unexpected AMQP batch processing failure."]
    assert await message_count(channel, QUEUE.name) == 0


async def test_a_consumer_waits_for_an_unavailable_database(
    broker: FreshBroker, channel: AbstractChannel
) -> None:
    """However many attempts fail, there is no dead letter, and health reports no defect."""
    await send(channel, QUEUE, b"one", b"two")
    handler = FailingHandler()
    handler.unavailable = True
    consumer = handler.consumer(replace(BACKOFF, limit=timedelta(seconds=0.01)))

    async with supervised(broker.url, broker.vhost, TOPOLOGY.multitenant, [consumer]):
        await eventually(lambda: handler.attempts > 2 * bounded_attempts.ATTEMPTS, "many attempts")
        assert consumption([consumer]).status is HealthStatus.UP
        handler.unavailable = False
        await eventually(lambda: handler.handled == [b"one", b"two"], "both messages handled")

    assert await message_count(channel, QUEUE.name) == 0
    assert await message_count(channel, DEAD_LETTERS) == 0


async def test_a_dead_letter_that_cannot_be_published_is_left_to_the_broker(
    broker: FreshBroker, channel: AbstractChannel
) -> None:
    """The broker dead-letters it, and the other messages are acknowledged."""
    unwritable = DeadLetter(
        DeadLetterReason.UNEXPECTED_BATCH_FAILURE, "half a surrogate pair: \ud800"
    )
    handler = RecordingHandler(lambda one: unwritable if one.body == b"defective" else Done())
    await send(channel, QUEUE, b"one", b"defective")
    async with supervised(
        broker.url, broker.vhost, TOPOLOGY.multitenant, [new_consumer(QUEUE, handler)]
    ) as connection:
        dead_letter = await take(channel, DEAD_LETTERS)
        assert connection.last_loss is None

    assert dead_letter.body == b"defective"
    assert dead_letter.headers["x-first-death-reason"] == "rejected"
    assert await message_count(channel, QUEUE.name) == 0
