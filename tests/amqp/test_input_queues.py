"""The input queues move between both modes under traffic, and lose and double nothing (decision 0037)."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace

import aio_pika
import pytest
from aio_pika.abc import AbstractConnection

from rs_order.broker import input_queues
from rs_order.broker.connection import Session
from rs_order.broker.errors import BrokerUnavailable
from rs_order.broker.input_queues import InputMover, InputQueueSession, QueueMode, QuorumConsumer
from rs_order.broker.queue_control import QueueControl
from rs_order.broker.queue_names import INPUT_DELIVERY_LIMIT, topology
from rs_order.broker.topology import Elements, Vhost, declare
from rs_order.demo.servers.management_api import Management
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

FULL = topology(instance_identifier="test")
PAIR = FULL.inputs.queues[0]
LETTERS = FULL.inputs.dead_letters
TOPOLOGY = replace(
    only(FULL, "order_requests"),
    inputs=replace(
        FULL.inputs,
        queues=(PAIR,),
        dead_letters=Elements(LETTERS.exchanges, LETTERS.queues[:1], LETTERS.bindings[:1]),
    ),
)
COMPATIBLE, QUORUM = QueueMode.COMPATIBLE, QueueMode.QUORUM
CHANGES = {QUORUM: 5, COMPATIBLE: 4}
"""Calls of ``declare`` and ``_unbind`` in a move."""
ROUTING_SECONDS = 0.01


def mover() -> InputMover:
    return InputMover(TOPOLOGY.inputs, routing_seconds=ROUTING_SECONDS)


@asynccontextmanager
async def declared(broker: FreshBroker) -> AsyncIterator[AbstractConnection]:
    """A connection; the queues are declared as at the start of an instance."""
    connection = await aio_pika.connect(f"{broker.url}/{broker.vhost}")
    async with connection:
        await declare(await connection.channel(), TOPOLOGY.multitenant_without_inputs)
        yield connection


@dataclass
class Traffic:
    """Publishes numbered messages without a pause, as peers do: not mandatory."""

    published: int = 0
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    @asynccontextmanager
    async def running(self, broker: FreshBroker) -> AsyncIterator[None]:
        connection = await aio_pika.connect(f"{broker.url}/{broker.vhost}")
        async with connection:
            channel = await connection.channel()
            exchange = await channel.get_exchange(PAIR.exchange.name)
            ends = asyncio.Event()
            task = asyncio.create_task(self._publish(exchange, ends))
            yield
            ends.set()
            await task

    async def _publish(self, exchange: aio_pika.abc.AbstractExchange, ends: asyncio.Event) -> None:
        while not ends.is_set():
            message = aio_pika.Message(str(self.published).encode())
            self.published += 1
            await exchange.publish(message, "", mandatory=False)

    def assert_each_once(self, *bodies: bytes) -> None:
        counts = Counter(map(int, bodies))
        assert {number: n for number, n in counts.items() if n != 1} == {}
        assert set(range(self.published)) - set(counts) == set()


async def taken(broker: FreshBroker, *queues: str) -> list[bytes]:
    """Take everything out of queues."""
    bodies: list[bytes] = []

    async def take_body(message: aio_pika.abc.AbstractIncomingMessage) -> None:
        bodies.append(message.body)

    async with raw_channel(broker.url, broker.vhost) as channel:
        waiting = sum([await message_count(channel, name) for name in queues])
        for name in queues:
            await (await channel.get_queue(name)).consume(take_body, no_ack=True)
        await eventually(lambda: len(bodies) == waiting, "all that waits in the queues")
    return bodies


class _Interruption:
    """Ends a move before one of its changes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._left: int | None = None
        for name in ("declare", "_unbind"):
            monkeypatch.setattr(input_queues, name, self._counted(getattr(input_queues, name)))

    def before(self, change: int | None) -> None:
        self._left = change

    def _counted(self, change: Callable[..., object]) -> Callable[..., object]:
        def counted(*arguments: object) -> object:
            if self._left == 0:
                self._left = None
                raise BrokerUnavailable("interrupted")
            if self._left is not None:
                self._left -= 1
            return change(*arguments)

        return counted


async def test_an_event_is_in_one_queue_whatever_moves_and_wherever_a_move_is_interrupted(
    broker: FreshBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A move ends before each of its changes once, and the next one is in either direction."""
    traffic, interruption = Traffic(), _Interruption(monkeypatch)
    async with declared(broker) as connection:
        await mover().apply(connection, COMPATIBLE)
        async with traffic.running(broker):
            for direction in (QUORUM, COMPATIBLE):
                for change in range(CHANGES[direction]):
                    for following in (direction, COMPATIBLE if direction is QUORUM else QUORUM):
                        interruption.before(change)
                        await _interrupted(broker, direction)
                        interruption.before(None)
                        await mover().apply(connection, following)
                        assert await mover().mode(connection) is following
        await mover().apply(connection, COMPATIBLE)

    bodies = await taken(broker, PAIR.compatible.name, PAIR.quorum.name)
    traffic.assert_each_once(*bodies)


async def _interrupted(broker: FreshBroker, mode: QueueMode) -> None:
    """Begin a move; its process dies, and with it its connection."""
    connection = await aio_pika.connect(f"{broker.url}/{broker.vhost}")
    async with connection:
        with pytest.raises(BrokerUnavailable, match="interrupted"):
            await mover().move(connection, mode)


@asynccontextmanager
async def instance(
    broker: FreshBroker, mode: QueueMode, handler: RecordingHandler
) -> AsyncIterator[None]:
    """Run what an instance of the service runs on its queues, until it is stopped in order."""
    inputs = InputQueueSession(mover(), mode, check_seconds=0.05)
    compatible = new_consumer(PAIR.compatible, handler, size=10)
    quorum = new_consumer(PAIR.quorum, handler, size=10)
    sessions: list[Session] = [inputs, compatible, QuorumConsumer(inputs, quorum)]
    elements = TOPOLOGY.multitenant_without_inputs
    async with supervised(
        broker.url, broker.vhost, elements, sessions, prepare=inputs.prepare
    ) as connection:
        await eventually(lambda: connection.connected and compatible.registered, "the instance")
        yield


async def test_a_rolling_change_under_traffic_handles_each_message_once(
    broker: FreshBroker,
) -> None:
    """Instances of both modes run side by side, and all of them empty both queues, there and back."""
    traffic, handler = Traffic(), RecordingHandler()
    async with AsyncExitStack() as last:
        first = AsyncExitStack()
        await first.enter_async_context(instance(broker, COMPATIBLE, handler))
        await last.enter_async_context(traffic.running(broker))
        for mode in (QUORUM, COMPATIBLE):
            second = AsyncExitStack()
            await second.enter_async_context(instance(broker, mode, handler))
            await first.aclose()
            first = AsyncExitStack()
            await first.enter_async_context(instance(broker, mode, handler))
            await second.aclose()
        await last.aclose()
        await eventually(
            lambda: len(set(handler.bodies)) == traffic.published, "every message", seconds=30
        )
        await first.aclose()

    deliveries = [delivery for batch in handler.batches for delivery in batch]
    traffic.assert_each_once(*{delivery.body for delivery in deliveries})
    repeated = Counter(delivery.body for delivery in deliveries)
    for delivery in deliveries:
        repeated[delivery.body] -= delivery.redelivered
    assert (
        max(repeated.values()) == 1
    )  # a repetition is one of the broker, which the inbox recognises
    assert {delivery.queue for delivery in deliveries} == {PAIR.compatible.name, PAIR.quorum.name}


async def test_an_instance_of_the_other_mode_consumes_the_quorum_queues_of_others(
    broker: FreshBroker,
) -> None:
    """It finds them by itself. Nobody else consumes them here: the instance that made them is gone."""
    handler = RecordingHandler()
    async with instance(broker, COMPATIBLE, handler), declared(broker) as connection:
        await mover().apply(connection, QUORUM)
        async with raw_channel(broker.url, broker.vhost) as channel:
            exchange = await channel.get_exchange(PAIR.exchange.name)
            await exchange.publish(aio_pika.Message(b"new"), "")
        await handler.received(1)

    assert handler.batches[0][0].queue == PAIR.quorum.name


async def test_a_reconnection_keeps_the_mode_that_the_queues_have(broker: FreshBroker) -> None:
    """Only the start of a process applies its setting, so the last start decides."""
    async with declared(broker) as connection:
        session = InputQueueSession(mover(), COMPATIBLE)
        await session.prepare(connection)
        assert not session.quorum_queues_exist
        await InputQueueSession(mover(), QUORUM).prepare(connection)
        await session.prepare(connection)

        assert session.quorum_queues_exist
        assert await mover().mode(connection) is QUORUM


async def test_moves_of_two_processes_follow_each_other(broker: FreshBroker) -> None:
    """The broker gives the lock to one connection. In the end one of the two modes applies, wholly."""
    traffic = Traffic()
    async with declared(broker) as one, declared(broker) as other:
        await mover().apply(one, COMPATIBLE)
        async with traffic.running(broker):
            await asyncio.gather(mover().move(one, QUORUM), mover().move(other, COMPATIBLE))
        assert await mover().mode(one) is not None

    bodies = await taken(broker, PAIR.compatible.name, PAIR.quorum.name)
    traffic.assert_each_once(*bodies)


async def test_the_default_mode_leaves_nothing_of_the_other_on_the_broker(
    broker: FreshBroker,
) -> None:
    """Queues and bindings are those of the topology, which test_topology.py compares with amqp.md."""
    async with declared(broker) as connection, Management(broker.management_url) as management:
        await InputQueueSession(mover(), COMPATIBLE).prepare(connection)
        async with raw_channel(broker.url, broker.vhost) as channel:
            exchange = await channel.get_exchange(PAIR.exchange.name)
            await exchange.publish(aio_pika.Message(b"1"), "")
            names = set(await management.queue_names(broker.vhost))
            waiting = await message_count(channel, PAIR.compatible.name)

    assert names == {queue.name for queue in TOPOLOGY.multitenant.queues}
    assert waiting == 1


async def test_a_binding_of_a_java_service_is_repaired(broker: FreshBroker) -> None:
    """A Java service that starts binds its queues again, and each event would be in both queues."""
    async with declared(broker) as connection, raw_channel(broker.url, broker.vhost) as channel:
        await mover().apply(connection, QUORUM)
        java = await channel.get_queue(PAIR.compatible.name)
        await java.bind(PAIR.exchange.name, "")
        await mover().move(connection, QUORUM)
        await (await channel.get_exchange(PAIR.exchange.name)).publish(aio_pika.Message(b"1"), "")

        assert (await take(channel, PAIR.quorum.name)).body == b"1"
        assert await message_count(channel, PAIR.compatible.name) == 0


async def test_a_transfer_keeps_the_message(broker: FreshBroker) -> None:
    """Body, headers and properties are those of the sender; what the broker adds is left out."""
    headers = {"regards.tenant": "project1", "x-death-queue": PAIR.quorum.name}
    sent = aio_pika.Message(
        b"1", headers=dict(headers), priority=1, message_id="m", content_type="application/json"
    )
    async with declared(broker) as connection, raw_channel(broker.url, broker.vhost) as channel:
        await mover().apply(connection, QUORUM)
        await send(channel, PAIR.quorum, b"0")
        await channel.default_exchange.publish(sent, PAIR.quorum.name)
        returned = await channel.get_queue(PAIR.quorum.name)
        await (await returned.get()).reject(requeue=True)  # the broker counts this delivery
        await mover().apply(connection, COMPATIBLE)
        moved = await QueueControl(connection, TOPOLOGY.inputs).transfer(COMPATIBLE)
        messages = [await take(channel, PAIR.compatible.name) for _ in range(2)]

    found = next(message for message in messages if message.body == b"1")
    assert moved == 2
    assert dict(found.headers) == headers
    assert (found.priority, found.message_id, found.content_type) == (1, "m", "application/json")
    assert found.delivery_mode == aio_pika.DeliveryMode.PERSISTENT


def test_quorum_queues() -> None:
    """One for each shared queue of peers' events, with a dead-letter queue as durable as itself."""
    queues = {one.quorum.name: dict(one.quorum.arguments) for one in FULL.inputs.queues}

    assert queues == {
        f"rs-order.quorum.{handler}": {
            "x-queue-type": "quorum",
            "x-delivery-limit": INPUT_DELIVERY_LIMIT,
            "x-dead-letter-exchange": "regards.DLX",
            "x-dead-letter-routing-key": f"rs-order.quorum.{handler}.DLQ",
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",
        }
        for handler in (
            queue.name.removeprefix("regards.broadcast.rs-order.")
            for queue in FULL.multitenant.queues
            if queue.name.startswith("regards.broadcast.rs-order.fr")
            and not queue.name.endswith(".DLQ")
        )
    }
    assert len(queues) == 6
    assert {f"{name}.DLQ" for name in queues} <= FULL.all_dead_letter_queues
    assert not {f"{name}.DLQ" for name in queues} & set(FULL.dead_letter_queues(Vhost.MULTITENANT))
