"""Batches, back-pressure, isolation and acknowledgement on a real broker."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from aio_pika.abc import AbstractChannel

from rs_order.broker.batch_consumer import BatchConsumer, BatchTimes
from rs_order.broker.delivery import DeadLetter, DeadLetterReason, Delivery, Done, Outcome
from rs_order.broker.queue_names import topology
from rs_order.broker.topology import Topology, declare
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
from tests.support.polling import WAIT_SECONDS, eventually
from tests.support.servers import FreshBroker

TOPOLOGY: Topology = only(topology(instance_identifier="test"), "order_requests", "steps")
QUEUE = TOPOLOGY.order_requests


@pytest.fixture
async def channel(broker: FreshBroker) -> AsyncIterator[AbstractChannel]:
    """A bare channel; the topology exists."""
    async with raw_channel(broker.url, broker.vhost) as opened:
        await declare(opened, TOPOLOGY.multitenant)
        yield opened


def _bad(delivery: Delivery) -> Outcome:
    if delivery.body != b"bad":
        return Done()
    return DeadLetter(DeadLetterReason.NOT_CONVERTED_MESSAGE, "not JSON: 'bad'")


async def test_waiting_messages_are_handled_in_one_batch_in_order(
    broker: FreshBroker, channel: AbstractChannel
) -> None:
    """Messages that wait in the queue are offered together, up to the size, in the order of arrival."""
    bodies = [b"%d" % number for number in range(25)]
    await send(channel, QUEUE, *bodies)
    handler = RecordingHandler()

    consumer = new_consumer(QUEUE, handler, size=10, times=BatchTimes(idle=1, longest=WAIT_SECONDS))
    async with supervised(broker.url, broker.vhost, TOPOLOGY.multitenant, [consumer]):
        await handler.received(25)

    assert handler.bodies == bodies
    assert [len(batch) for batch in handler.batches] == [10, 10, 5]
    assert await message_count(channel, QUEUE.name) == 0


async def test_batches_are_large_while_the_event_loop_is_busy(
    broker: FreshBroker, channel: AbstractChannel
) -> None:
    """A batch gets all messages that have arrived, even if other tasks keep the event loop busy."""
    await send(channel, QUEUE, *(b"%d" % number for number in range(300)))
    handler = RecordingHandler()

    consumer = new_consumer(QUEUE, handler, size=300)
    busy = asyncio.create_task(_hold_the_loop_again_and_again())
    async with supervised(broker.url, broker.vhost, TOPOLOGY.multitenant, [consumer]):
        await handler.received(300)
        busy.cancel()

    assert len(handler.batches) <= 3  # seven with the library's own buffer of ten frames


async def _hold_the_loop_again_and_again() -> None:
    while True:
        ends = time.perf_counter() + 0.02
        while time.perf_counter() < ends:
            pass
        await asyncio.sleep(0)


async def test_a_message_after_quiet_is_handled_at_once_and_a_trickle_in_batches(
    broker: FreshBroker, channel: AbstractChannel
) -> None:
    """The first batch closes as soon as nothing more arrives, the next one keeps its distance to it."""
    times = BatchTimes(apart=WAIT_SECONDS, longest=WAIT_SECONDS)
    handler = RecordingHandler()

    consumer = new_consumer(QUEUE, handler, size=2, times=times)
    async with supervised(broker.url, broker.vhost, TOPOLOGY.multitenant, [consumer]):
        await send(channel, QUEUE, b"1")
        await handler.received(1)
        await send(channel, QUEUE, b"2")
        await asyncio.sleep(10 * times.idle)  # nothing may happen meanwhile
        await send(channel, QUEUE, b"3")
        await handler.received(3)

    assert [len(batch) for batch in handler.batches] == [1, 2]


async def test_a_batch_gathers_for_as_long_as_the_one_before_took(
    broker: FreshBroker, channel: AbstractChannel
) -> None:
    """On a busy machine, what trickles in meanwhile is handled together."""
    times = BatchTimes(idle=0.001, apart=0, longest=0.001, busy=WAIT_SECONDS)
    handler = RecordingHandler()
    handler.gate.clear()

    consumer = new_consumer(QUEUE, handler, size=2, times=times)
    async with supervised(broker.url, broker.vhost, TOPOLOGY.multitenant, [consumer]):
        await send(channel, QUEUE, b"1")
        await handler.called(1)
        await asyncio.sleep(1)  # the handling takes so long
        handler.gate.set()
        await send(channel, QUEUE, b"2")
        await asyncio.sleep(10 * times.idle)  # nothing may happen meanwhile
        await send(channel, QUEUE, b"3")
        await handler.received(3)

    assert [len(batch) for batch in handler.batches] == [1, 2]


async def test_w44_a_slow_handler_has_one_batch_at_a_time(
    broker: FreshBroker, channel: AbstractChannel
) -> None:
    """Back-pressure: the broker keeps the messages beyond one batch, and the handler runs once at a time."""
    await send(channel, QUEUE, *(b"%d" % number for number in range(12)))
    handler = RecordingHandler()
    handler.gate.clear()

    consumer = new_consumer(QUEUE, handler, size=5)
    async with supervised(broker.url, broker.vhost, TOPOLOGY.multitenant, [consumer]):
        await handler.called(1)
        waiting = await message_count(channel, QUEUE.name)
        batches = len(handler.batches)
        handler.gate.set()
        await handler.received(12)

    assert (waiting, batches) == (7, 1)


async def test_messages_arrive_ahead_of_their_batch(
    broker: FreshBroker, channel: AbstractChannel
) -> None:
    """While a batch is handled, the broker delivers the allowed number of further messages, and no more."""
    bodies = [b"%d" % number for number in range(12)]
    await send(channel, QUEUE, *bodies)
    handler = RecordingHandler()
    handler.gate.clear()

    async def all_but_two_have_arrived() -> bool:
        return await message_count(channel, QUEUE.name) == 2

    consumer = new_consumer(QUEUE, handler, size=5, ahead=5)
    async with supervised(broker.url, broker.vhost, TOPOLOGY.multitenant, [consumer]):
        await eventually(all_but_two_have_arrived, "a further batch delivered")
        await handler.called(1)
        batches = len(handler.batches)
        handler.gate.set()
        await handler.received(12)

    assert batches == 1
    assert handler.bodies == bodies
    assert await message_count(channel, QUEUE.name) == 0


async def test_nothing_is_acknowledged_before_the_handler_returns(
    broker: FreshBroker, channel: AbstractChannel
) -> None:
    """A consumer that fails in its handler loses nothing: the broker redelivers everything."""
    await send(channel, QUEUE, b"one", b"two")
    handler = RecordingHandler()
    handler.gate.clear()
    dying = asyncio.create_task(_run_on_own_connection(new_consumer(QUEUE, handler), broker))
    await handler.received(2)
    dying.cancel()
    await asyncio.gather(dying, return_exceptions=True)

    async def both_are_back() -> bool:
        return await message_count(channel, QUEUE.name) == 2

    await eventually(both_are_back, "both messages back in the queue")


async def _run_on_own_connection(consumer: BatchConsumer, broker: FreshBroker) -> None:
    async with supervised(broker.url, broker.vhost, TOPOLOGY.multitenant, [consumer]):
        await asyncio.Event().wait()


async def test_a_bad_message_is_isolated(broker: FreshBroker, channel: AbstractChannel) -> None:
    """Each bad message becomes a dead letter; the others of its batch are handled."""
    await send(channel, QUEUE, b"good", b"bad", b"fine")
    handler = RecordingHandler(_bad)

    consumer = new_consumer(QUEUE, handler)
    async with supervised(broker.url, broker.vhost, TOPOLOGY.multitenant, [consumer]):
        dead_letter = await take(channel, f"{QUEUE.name}.DLQ")

    assert len(handler.batches) == 1
    assert dead_letter.body == b"bad"
    assert await message_count(channel, QUEUE.name) == 0
    assert await message_count(channel, f"{QUEUE.name}.DLQ") == 0


async def test_a_handler_that_raises_gets_the_same_messages_again(
    broker: FreshBroker, channel: AbstractChannel
) -> None:
    """Nothing is acknowledged or dead-lettered while the handler raises because it can't handle anything."""
    await send(channel, QUEUE, b"one", b"two")
    handler = RecordingHandler()
    handler.failures = [ConnectionError("the database is down"), RuntimeError("still down")]

    consumer = new_consumer(QUEUE, handler)
    async with supervised(broker.url, broker.vhost, TOPOLOGY.multitenant, [consumer]):
        await handler.called(3)

    assert handler.bodies == [b"one", b"two"] * 3
    assert not any(delivery.redelivered for batch in handler.batches for delivery in batch)
    assert await message_count(channel, QUEUE.name) == 0
    assert await message_count(channel, f"{QUEUE.name}.DLQ") == 0


async def test_a_handler_with_too_few_outcomes_acknowledges_nothing(
    broker: FreshBroker, channel: AbstractChannel
) -> None:
    """A missing outcome is a defect; the message is not acknowledged."""
    await send(channel, QUEUE, b"one")
    calls: list[int] = []

    async def forgetful(deliveries: object) -> list[Outcome]:
        calls.append(1)
        return []

    consumer = new_consumer(QUEUE, forgetful)
    async with supervised(broker.url, broker.vhost, TOPOLOGY.multitenant, [consumer]):
        await eventually(lambda: len(calls) >= 2, "a second attempt")

    assert await message_count(channel, QUEUE.name) == 1


async def test_stopping_finishes_the_batch_and_returns_the_rest(
    broker: FreshBroker, channel: AbstractChannel
) -> None:
    """On stop the batch begun is handled and acknowledged; messages that only waited go back."""
    await send(channel, TOPOLOGY.steps, b"1", b"2", b"3", b"4")
    handler = RecordingHandler()
    handler.gate.clear()
    consumer = new_consumer(TOPOLOGY.steps, handler, size=2, concurrency=1)
    async with supervised(broker.url, broker.vhost, TOPOLOGY.multitenant, [consumer]):
        await handler.received(2)
        stopping = asyncio.create_task(consumer.stop())
        await eventually(lambda: not consumer.registered, "the consumer cancelled")
        assert not stopping.done()
        handler.gate.set()
        await stopping

    async def rest_is_back() -> bool:
        return await message_count(channel, TOPOLOGY.steps.name) == 2

    assert handler.bodies == [b"1", b"2"]
    await eventually(rest_is_back, "two steps back in the queue")


async def test_stopping_while_the_handler_cannot_work_acknowledges_nothing(
    broker: FreshBroker, channel: AbstractChannel
) -> None:
    """A stop during the pause between attempts ends it at once; the messages go back."""
    await send(channel, QUEUE, b"one")
    handler = RecordingHandler()
    handler.failures = [ConnectionError("down")] * 100

    consumer = new_consumer(QUEUE, handler)
    async with supervised(broker.url, broker.vhost, TOPOLOGY.multitenant, [consumer]):
        await handler.called(2)

    async def is_back() -> bool:
        return await message_count(channel, QUEUE.name) == 1

    await eventually(is_back, "the message back in the queue")


async def test_steps_are_handled_concurrently_and_acknowledged_one_by_one(
    broker: FreshBroker, channel: AbstractChannel
) -> None:
    """A slow step doesn't hold up the others, and their acknowledgements don't include it."""
    await send(channel, TOPOLOGY.steps, b"slow", b"a", b"b", b"c")
    slow_gate = asyncio.Event()
    done: list[bytes] = []

    async def handle(deliveries: list[Delivery]) -> list[Outcome]:
        if deliveries[0].body == b"slow":
            await slow_gate.wait()
        done.append(deliveries[0].body)
        return [Done() for _ in deliveries]

    consumer = new_consumer(TOPOLOGY.steps, handle, size=1, concurrency=2)  # type: ignore[arg-type]
    task = asyncio.create_task(_run_on_own_connection(consumer, broker))
    await eventually(lambda: len(done) == 3, "three quick steps done")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    async def slow_is_back() -> bool:
        return await message_count(channel, TOPOLOGY.steps.name) == 1

    await eventually(slow_is_back, "the slow step back in the queue")
    assert (await take(channel, TOPOLOGY.steps.name)).body == b"slow"


async def test_w44_no_more_steps_run_at_once_than_allowed(
    broker: FreshBroker, channel: AbstractChannel
) -> None:
    """The broker keeps the other steps, and each step that ends lets the next one start."""
    await send(channel, TOPOLOGY.steps, *(b"%d" % number for number in range(12)))
    permits = asyncio.Semaphore(0)
    running_steps = most = ended = 0

    async def handle(deliveries: list[Delivery]) -> list[Outcome]:
        nonlocal running_steps, most, ended
        running_steps += 1
        most = max(most, running_steps)
        await permits.acquire()
        running_steps -= 1
        ended += 1
        return [Done() for _ in deliveries]

    consumer = new_consumer(TOPOLOGY.steps, handle, size=1, concurrency=3)  # type: ignore[arg-type]
    async with supervised(broker.url, broker.vhost, TOPOLOGY.multitenant, [consumer]):
        await eventually(lambda: running_steps == 3, "as many steps run as allowed")
        waiting = await message_count(channel, TOPOLOGY.steps.name)
        for _ in range(12):
            permits.release()
        await eventually(lambda: ended == 12, "all steps done")

    assert (waiting, most) == (9, 3)


async def test_a_paused_consumer_gives_back_what_it_handles(
    broker: FreshBroker, channel: AbstractChannel
) -> None:
    """Another consumer gets the messages at once, and the paused one consumes again (issue 11, F1)."""
    await send(channel, QUEUE, b"1", b"2")
    stuck = RecordingHandler()
    stuck.gate.clear()
    consumer = new_consumer(QUEUE, stuck)
    async with supervised(broker.url, broker.vhost, TOPOLOGY.multitenant, [consumer]) as connection:
        await stuck.received(2)
        consumer.pause()

        assert [(await take(channel, QUEUE.name)).body for _ in range(2)] == [b"1", b"2"]
        assert not consumer.registered
        assert connection.connected

        stuck.gate.set()
        consumer.resume()
        await send(channel, QUEUE, b"3")
        await stuck.received(3)

    assert stuck.bodies == [b"1", b"2", b"3"]


async def test_a_paused_consumer_can_stop(broker: FreshBroker) -> None:
    """The process ends although its database never came back."""
    consumer = new_consumer(QUEUE, RecordingHandler())
    consumer.pause()
    async with supervised(broker.url, broker.vhost, TOPOLOGY.multitenant, [consumer]) as connection:
        await eventually(lambda: connection.connected, "the connection open")

    assert not consumer.registered
