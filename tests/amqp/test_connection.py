"""The supervised connection restores whatever is lost, and reports its true state."""

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import aio_pika
import aiormq
import pytest
from aio_pika import Message
from aio_pika.abc import AbstractChannel
from pamqp import commands, frame
from prometheus_client import REGISTRY

from rs_order.broker.connection import (
    BACKOFF,
    Session,
    SupervisedConnection,
    vhost_url,
)
from rs_order.broker.delivery import Delivery, Done, Outcome
from rs_order.broker.errors import AmqpError
from rs_order.broker.publishing import Publication, Publisher, broker_errors
from rs_order.broker.queue_names import topology
from rs_order.broker.topology import Elements, Queue, Topology, Vhost, declare
from rs_order.demo.servers.database_and_broker import Broker
from tests.amqp.support import (
    RecordingHandler,
    new_consumer,
    only,
    raw_channel,
    send,
    supervised,
    take,
)
from tests.support.polling import WAIT_SECONDS, eventually
from tests.support.proxy import tcp_proxy
from tests.support.servers import FreshBroker

TOPOLOGY: Topology = only(topology(instance_identifier="test"), "order_requests", "steps")
QUEUE = TOPOLOGY.order_requests


@pytest.fixture
async def channel(broker: FreshBroker) -> AsyncIterator[AbstractChannel]:
    """A bare channel, beside the supervised connection; the queues exist."""
    async with raw_channel(broker.url, broker.vhost) as opened:
        await declare(opened, TOPOLOGY.multitenant)
        yield opened


async def test_consumers_are_registered_when_the_broker_has_them(broker: FreshBroker) -> None:
    """The topology comes first, and a stopped connection claims nothing."""
    consumer = new_consumer(QUEUE, RecordingHandler())
    assert not consumer.registered

    async with supervised(broker.url, broker.vhost, TOPOLOGY.multitenant, [consumer]) as running:
        await eventually(lambda: consumer.registered, "the consumer registered")
        assert running.connected
        assert running.last_loss is None

    assert not consumer.registered
    assert not running.connected


async def test_everything_is_restored_after_a_broker_restart(own_broker: Broker) -> None:
    """Consumers, publisher and topology are restored; messages in the queues are delivered."""
    vhost = "regards.multitenant.manager"
    handler = RecordingHandler()
    consumer = new_consumer(QUEUE, handler)
    publisher = Publisher()
    sessions: list[Session] = [consumer, publisher]
    async with supervised(own_broker.url, vhost, TOPOLOGY.multitenant, sessions) as running:
        await eventually(lambda: consumer.registered and publisher.is_open, "all registered")

        await own_broker.stop()
        await eventually(lambda: not running.connected, "the loss noticed")
        assert not consumer.registered
        assert not publisher.is_open
        assert running.last_loss is not None
        await own_broker.start()

        await eventually(lambda: consumer.registered and publisher.is_open, "all registered again")
        async with raw_channel(own_broker.url, vhost) as sending:
            await send(sending, QUEUE, b"after the restart")
        await handler.received(1)


@pytest.mark.parametrize("queue", [TOPOLOGY.order_requests, TOPOLOGY.steps], ids=lambda q: q.name)
async def test_a_deleted_queue_is_declared_and_consumed_again(
    broker: FreshBroker, channel: AbstractChannel, queue: Queue
) -> None:
    """The broker cancels the consumer; aio-pika's robust connection would wait for ever."""
    handler = RecordingHandler()
    consumer = new_consumer(queue, handler)
    async with supervised(broker.url, broker.vhost, TOPOLOGY.multitenant, [consumer]):
        await eventually(lambda: consumer.registered, "the consumer registered")

        await channel.queue_delete(queue.name)
        await eventually(lambda: not consumer.registered, "the loss seen")
        await eventually(lambda: consumer.registered, "the consumer registered again")
        await send(channel, queue, b"after the deletion")
        await handler.received(1)


async def test_a_channel_closed_by_an_error_is_opened_again(
    broker: FreshBroker, channel: AbstractChannel
) -> None:
    """A publication to an exchange that doesn't exist costs the channel, not the service."""
    publisher = Publisher()
    consumer = new_consumer(QUEUE, RecordingHandler())
    sessions: list[Session] = [consumer, publisher]
    async with supervised(broker.url, broker.vhost, TOPOLOGY.multitenant, sessions) as running:
        await eventually(lambda: consumer.registered and publisher.is_open, "all registered")

        missing = Publication(Vhost.MULTITENANT, "does.not.exist", "", True, Message(b""))
        (confirm,) = await publisher.send([missing])
        with pytest.raises(AmqpError, match=r"does\.not\.exist"), broker_errors("publish"):
            await confirm
        await eventually(lambda: running.last_loss is not None, "the loss noticed")

        await eventually(lambda: consumer.registered and publisher.is_open, "all registered again")
        assert running.last_loss is not None


async def test_a_broken_connection_is_opened_again(
    broker: FreshBroker, channel: AbstractChannel
) -> None:
    """The batch under way is abandoned, offered again, and acknowledged once."""
    handler = RecordingHandler()
    handler.gate.clear()
    consumer = new_consumer(QUEUE, handler)
    async with (
        tcp_proxy(broker.url) as proxy,
        supervised(proxy.url, broker.vhost, TOPOLOGY.multitenant, [consumer]),
    ):
        await send(channel, QUEUE, b"message")
        await handler.received(1)
        proxy.cut()
        await handler.received(2)
        handler.gate.set()

    assert handler.bodies == [b"message", b"message"]
    assert handler.batches[1][0].redelivered


async def test_a_broker_that_does_not_answer_is_detected(broker: FreshBroker) -> None:
    """Nothing arrives and nothing is closed: only the heartbeats fail."""
    consumer = new_consumer(QUEUE, RecordingHandler())
    async with tcp_proxy(broker.url) as proxy:
        url = f"{proxy.url}?heartbeat=1"
        async with supervised(url, broker.vhost, TOPOLOGY.multitenant, [consumer]) as running:
            await eventually(lambda: consumer.registered, "the consumer registered")
            proxy.pause()
            await eventually(lambda: not running.connected, "the silence noticed")
            proxy.cut()
            await eventually(lambda: consumer.registered, "the consumer registered again")


async def test_the_messages_of_a_half_open_connection_go_to_others(broker: FreshBroker) -> None:
    """The broker notices the silence by itself, and delivers again (issue 11, section 3)."""
    handler = RecordingHandler()
    handler.gate.clear()
    consumer = new_consumer(QUEUE, handler)
    async with (
        raw_channel(broker.url, broker.vhost) as other,
        tcp_proxy(broker.url) as proxy,
        supervised(f"{proxy.url}?heartbeat=1", broker.vhost, TOPOLOGY.multitenant, [consumer]),
    ):
        await eventually(lambda: consumer.registered, "the consumer registered")
        await send(other, QUEUE, b"message")
        await handler.received(1)
        proxy.pause()

        assert (await take(other, QUEUE.name)).body == b"message"

        proxy.cut(refuse=True)
        handler.gate.set()


class BlockingHandler:
    """Blocks its event loop at the first message, until the test lets it go on."""

    def __init__(self) -> None:
        self.blocked, self.go_on = threading.Event(), threading.Event()
        self.bodies: list[bytes] = []

    async def __call__(self, deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
        self.bodies += [delivery.body for delivery in deliveries]
        self.blocked.set()
        self.go_on.wait(WAIT_SECONDS)
        return [Done() for _ in deliveries]


async def test_the_messages_of_a_blocked_event_loop_go_to_others(broker: FreshBroker) -> None:
    """Nothing reads from its connection or sends heartbeats. It comes back by itself (issue 11)."""
    handler, stop = BlockingHandler(), threading.Event()
    consumer = new_consumer(QUEUE, handler)

    async def instance() -> None:
        url = f"{broker.url}?heartbeat=1"
        async with supervised(url, broker.vhost, TOPOLOGY.multitenant, [consumer]):
            await asyncio.to_thread(stop.wait)

    async with raw_channel(broker.url, broker.vhost) as other:
        await declare(other, TOPOLOGY.multitenant)
        running = asyncio.create_task(asyncio.to_thread(asyncio.run, instance()))
        await send(other, QUEUE, b"one")
        assert await asyncio.to_thread(handler.blocked.wait, WAIT_SECONDS)

        assert (await take(other, QUEUE.name)).body == b"one"

        handler.go_on.set()
        await send(other, QUEUE, b"two")
        await eventually(lambda: b"two" in handler.bodies, "the message after the block")
        stop.set()
        await running

    assert handler.bodies.count(b"one") == 1


async def test_a_silent_connection_is_given_up_within_ten_seconds(broker: FreshBroker) -> None:
    """Consumers and publishers; the broker waits for three heartbeats at most (issue 11, section 3)."""
    url = vhost_url(broker.url, broker.vhost)
    assert 3 * int(url.query["heartbeat"]) <= 10

    connection = await aio_pika.connect(url)
    async with connection:
        underlay = connection.transport.connection if connection.transport else None
        assert isinstance(underlay, aiormq.Connection)
        grace = (underlay.heartbeat_timeout + 1) * underlay.HEARTBEAT_GRACE_MULTIPLIER
        checked_every = max(1, underlay.heartbeat_timeout // 2)
        assert grace + checked_every <= 10


async def test_stopping_while_the_broker_is_unavailable_takes_no_time(broker: FreshBroker) -> None:
    """A pause between attempts doesn't hold up a shutdown."""
    async with tcp_proxy(broker.url) as proxy:
        proxy.cut(refuse=True)
        consumer = new_consumer(QUEUE, RecordingHandler())
        connection = SupervisedConnection(proxy.url, broker.vhost, TOPOLOGY.multitenant, [consumer])
        running = asyncio.create_task(connection.run())
        await eventually(lambda: connection.last_loss is not None, "the first attempt failed")

        async with asyncio.timeout(WAIT_SECONDS / 4):
            await connection.stop()
            await running


async def test_a_topology_conflict_is_reported_and_repaired(
    broker: FreshBroker,
) -> None:
    """Health shows the reason, and the service starts when the conflict is resolved."""
    soon = replace(BACKOFF, limit=BACKOFF.first)
    consumer = new_consumer(QUEUE, RecordingHandler())
    async with raw_channel(broker.url, broker.vhost) as other:
        await other.declare_queue(QUEUE.name, durable=True)
        async with supervised(
            broker.url, broker.vhost, TOPOLOGY.multitenant, [consumer], soon
        ) as run:
            await eventually(lambda: "other attributes" in (run.last_loss or ""), "the conflict")
            assert not run.connected
            await other.queue_delete(QUEUE.name)
            await eventually(lambda: consumer.registered, "the consumer registered")


def test_pauses_grow_to_their_limit_and_have_jitter() -> None:
    """Pauses are between half and all of 0.2 s, 0.4 s … 10 s."""
    for attempt, longest in [(1, 0.2), (2, 0.4), (5, 3.2), (7, 10.0), (1000, 10.0)]:
        pauses = {BACKOFF.pause(attempt).total_seconds() for _ in range(50)}
        assert longest / 2 <= min(pauses) < max(pauses) <= longest <= 10


def test_the_vhost_is_the_path_of_the_url() -> None:
    """Credentials and options stay; the path is replaced."""
    url = vhost_url("amqps://user:p%40ss@host:5671/ignored?heartbeat=3", "regards.x")

    assert url.path == "/regards.x"
    assert (url.user, url.password, url.port, url.scheme) == ("user", "p@ss", 5671, "amqps")
    assert url.query["heartbeat"] == "3"


async def test_an_alarm_of_the_broker_is_shown_until_it_ends(broker: FreshBroker) -> None:
    """RabbitMQ sends these frames to connections that publish while its memory or disk is short."""
    async with tcp_proxy(broker.url) as proxy:
        empty = Elements((), (), ())
        async with supervised(proxy.url, broker.vhost, empty, []) as connection:
            await eventually(lambda: connection.connected, "the connection")
            before = connection.is_blocked, _blocked_metric(broker)
            blocked = commands.Connection.Blocked("low on disk")
            proxy.send_to_clients(frame.marshal(blocked, 0))
            await eventually(lambda: connection.is_blocked, "the alarm")
            during = _blocked_metric(broker)
            proxy.send_to_clients(frame.marshal(commands.Connection.Unblocked(), 0))
            await eventually(lambda: not connection.is_blocked, "the end of the alarm")

    assert before == (False, None)
    assert during == 1
    assert _blocked_metric(broker) == 0


def _blocked_metric(broker: FreshBroker) -> float | None:
    return REGISTRY.get_sample_value("rs_order_broker_blocked", {"vhost": broker.vhost})
