"""The relay on a real broker: confirms, order per stream, due times, sharing, lost confirms."""

import asyncio
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
import pytest
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from prometheus_client import REGISTRY

from rs_order.broker import relay as relay_module
from rs_order.broker.errors import NotConfirmed
from rs_order.broker.publications import EVENTS, Publications
from rs_order.broker.publishing import Confirm, Publication, Publisher
from rs_order.broker.queue_names import topology
from rs_order.broker.relay import PUBLISH_SECONDS, SWEEP_SECONDS, Relay
from rs_order.broker.topology import Topology, Vhost, declare
from rs_order.domain.ids import Tenant
from rs_order.ports import MessageKind
from rs_order.store.outbox import OutgoingMessage
from tests.amqp.outboxes import ObservedOutbox
from tests.amqp.support import (
    message_count,
    only,
    raw_channel,
    supervised,
    take,
)
from tests.support.polling import WAIT_SECONDS, eventually
from tests.support.proxy import tcp_proxy
from tests.support.servers import FreshBroker

TOPOLOGY: Topology = only(topology(instance_identifier="test"), "steps")
STEPS = TOPOLOGY.steps.name
MESSAGES = Publications(
    step_queue=STEPS,
    remote_step_queue=TOPOLOGY.remote_steps.name,
    remote_steps=(),
    request_queue=TOPOLOGY.order_requests,
    event_exchange=TOPOLOGY.events.name,
)
PROJECT = Tenant("project1")


def step(number: int, stream: str | None = None, due_at: datetime | None = None) -> OutgoingMessage:
    """Return a step that contains its stream and its number."""
    body = {"stream": stream, "number": number}
    return OutgoingMessage(MessageKind.STEP, PROJECT, body, stream=stream, due_at=due_at)


@pytest.fixture
async def channel(broker: FreshBroker) -> AsyncIterator[AbstractChannel]:
    """A bare channel, beside the relay; the queues exist."""
    async with raw_channel(broker.url, broker.vhost) as opened:
        await declare(opened, TOPOLOGY.multitenant)
        yield opened


@asynccontextmanager
async def relaying(
    broker: FreshBroker,
    outbox: ObservedOutbox,
    url: str | None = None,
    *,
    publisher: Publisher | None = None,
    sweep_seconds: float = SWEEP_SECONDS,
    publish_seconds: float = PUBLISH_SECONDS,
) -> AsyncIterator[Relay]:
    """Run a relay on a connection of its own."""
    publisher = publisher or Publisher()
    publishers = {Vhost.MULTITENANT: publisher}
    async with (
        supervised(url or broker.url, broker.vhost, TOPOLOGY.multitenant, [publisher]),
        running(
            Relay(
                outbox,
                MESSAGES,
                publishers,
                sweep_seconds=sweep_seconds,
                publish_seconds=publish_seconds,
            )
        ) as relay,
    ):
        yield relay


@asynccontextmanager
async def running(relay: Relay) -> AsyncIterator[Relay]:
    task = asyncio.create_task(relay.run())
    try:
        yield relay
        await relay.stop()
        async with asyncio.timeout(WAIT_SECONDS):
            await task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def all_of(channel: AbstractChannel, queue: str) -> list[AbstractIncomingMessage]:
    """Remove and return all messages of a queue."""
    opened = await channel.get_queue(queue, ensure=False)
    taken = []
    while (message := await opened.get(no_ack=True, fail=False)) is not None:
        taken.append(message)
    return taken


def by_stream(messages: Sequence[AbstractIncomingMessage]) -> Mapping[str | None, list[int]]:
    """Return the numbers of each stream in the order of arrival."""
    numbers: dict[str | None, list[int]] = defaultdict(list)
    for message in messages:
        body = orjson.loads(message.body)
        numbers[body["stream"]].append(body["number"])
    return numbers


async def test_a_row_is_deleted_when_the_broker_has_it(
    broker: FreshBroker, channel: AbstractChannel, outbox: ObservedOutbox
) -> None:
    """Committed rows arrive once and are deleted."""
    message = step(1)

    async with relaying(broker, outbox) as relay:
        await outbox.add(message)
        relay.nudge()
        arrived = await take(channel, STEPS)
        await eventually(outbox.is_empty, "the outbox empty")

    assert UUID(arrived.message_id) == message.message_id
    assert await message_count(channel, STEPS) == 0


async def test_a_nudge_publishes_at_once(
    broker: FreshBroker,
    channel: AbstractChannel,
    outbox: ObservedOutbox,
) -> None:
    """Rows committed in this process don't wait for the sweep."""
    async with relaying(broker, outbox, sweep_seconds=3600) as relay:
        for number in range(3):
            await outbox.add(step(number))
            relay.nudge()
            await take(channel, STEPS)

    assert await outbox.is_empty()


async def test_rows_of_another_process_are_found_by_the_sweep(
    broker: FreshBroker, channel: AbstractChannel, outbox: ObservedOutbox
) -> None:
    """Rows committed by another process are found by the sweep."""
    async with relaying(broker, outbox) as relay:
        await outbox.add(step(0))
        relay.nudge()
        await take(channel, STEPS)
        await outbox.add(step(1))
        await take(channel, STEPS)
        await eventually(outbox.is_empty, "the outbox empty")


async def test_a_delayed_row_is_published_when_it_is_due(
    broker: FreshBroker,
    channel: AbstractChannel,
    outbox: ObservedOutbox,
) -> None:
    """A row is published when it is due, without waiting for the sweep (here: an hour)."""
    due_at = datetime.now(UTC) + timedelta(seconds=1)
    await outbox.add(step(1, due_at=due_at))

    async with relaying(broker, outbox, sweep_seconds=3600):
        await take(channel, STEPS)
        arrived_at = datetime.now(UTC)

    assert due_at <= arrived_at < due_at + timedelta(seconds=0.9)


async def test_streams_keep_their_order_under_concurrency(
    broker: FreshBroker, channel: AbstractChannel, outbox: ObservedOutbox
) -> None:
    """Promise 4: many streams at once, each in its own order, and rows without stream between."""
    rows = [step(number, f"order-{order}") for number in range(20) for order in range(20)]
    rows += [step(number) for number in range(100)]

    async with relaying(broker, outbox) as relay:
        await outbox.add(*rows)
        relay.nudge()
        await eventually(outbox.is_empty, "the outbox empty")

    arrived = by_stream(await all_of(channel, STEPS))
    loose = arrived[None]
    assert sorted(loose) == list(range(100))
    assert {stream: numbers for stream, numbers in arrived.items() if stream} == {
        f"order-{order}": list(range(20)) for order in range(20)
    }


class _FlakyPublisher(Publisher):
    """Publishes, but sometimes raises before or after it has published."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._random = random.Random(seed)  # noqa: S311 - a test that can be repeated

    async def send(self, publications: Sequence[Publication]) -> list[Confirm]:
        luck = [self._random.random() for _ in publications]
        kept = [one for one, its in zip(publications, luck, strict=True) if its >= 0.05]
        confirms = iter(await super().send(kept))
        return [
            self._failed("rejected by the test")
            if its < 0.05
            else self._failed("confirm lost by the test", after=next(confirms))
            if its > 0.95
            else next(confirms)
            for its in luck
        ]

    @staticmethod
    def _failed(why: str, after: Confirm | None = None) -> Confirm:
        """Return a confirm that fails, at once or with the end of another one."""
        failed = asyncio.get_running_loop().create_future()
        if after is None:
            failed.set_exception(NotConfirmed(why))
        else:
            after.add_done_callback(lambda _: failed.set_exception(NotConfirmed(why)))
        return failed


@pytest.mark.parametrize("seed", [1, 2])
async def test_streams_keep_their_order_under_failures(
    broker: FreshBroker,
    channel: AbstractChannel,
    outbox: ObservedOutbox,
    seed: int,
) -> None:
    """A failed row holds back the later rows of its stream; duplicates have the same message_id."""
    publisher = _FlakyPublisher(seed)
    await outbox.add(*(step(n, f"order-{order}") for n in range(10) for order in range(10)))

    async with relaying(broker, outbox, publisher=publisher, sweep_seconds=0.05):
        await eventually(outbox.is_empty, "the outbox empty")

    arrived = await all_of(channel, STEPS)
    firsts = {message.message_id: message for message in arrived}
    assert len(arrived) > len(firsts) == 100
    for numbers in by_stream(arrived).values():
        assert numbers == sorted(numbers)
        assert sorted(set(numbers)) == list(range(10))


async def test_steps_have_a_queue_when_the_relay_begins(
    broker: FreshBroker, outbox: ObservedOutbox
) -> None:
    """On an empty broker no attempt fails, although no consumer has declared a queue (issue 11, F30)."""
    failed = REGISTRY.get_sample_value("rs_order_relay_failed_total", {"kind": "STEP"}) or 0
    await outbox.add(*(step(number) for number in range(3)))
    publishers = {vhost: Publisher() for vhost in Vhost}
    relay = Relay(outbox, MESSAGES, publishers)

    async with AsyncExitStack() as stack:
        await stack.enter_async_context(running(relay))
        for vhost, name in zip(Vhost, (broker.vhost, broker.instance_vhost), strict=True):
            elements = TOPOLOGY.elements(vhost).for_publishing
            session = supervised(broker.url, name, elements, [publishers[vhost]])
            await stack.enter_async_context(session)
        await eventually(outbox.is_empty, "the outbox empty")
        opened = await stack.enter_async_context(raw_channel(broker.url, broker.vhost))
        assert len(await all_of(opened, STEPS)) == 3

    now = REGISTRY.get_sample_value("rs_order_relay_failed_total", {"kind": "STEP"}) or 0
    assert now == failed


async def test_a_full_queue_of_a_peer_holds_back_nothing_else(
    broker: FreshBroker,
    channel: AbstractChannel,
    outbox: ObservedOutbox,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In each partition more messages are rejected than a claim takes; those behind leave (issue 11, F3)."""
    monkeypatch.setattr(relay_module, "ROWS_PER_CLAIM", 2)
    full = {"x-max-length": 0, "x-overflow": "reject-publish"}
    await _subscribe(channel, "full", EVENTS[MessageKind.ORDER_RESPONSE], full)
    await _subscribe(channel, "free", EVENTS[MessageKind.NOTIFICATION], {})
    responses = (
        OutgoingMessage(MessageKind.ORDER_RESPONSE, PROJECT, {"number": 0}, f"order-{number}")
        for number in range(100)
    )
    behind = (OutgoingMessage(MessageKind.NOTIFICATION, PROJECT, {}) for _ in range(40))
    await outbox.add(*responses)
    await outbox.add(*behind)

    async with relaying(broker, outbox, sweep_seconds=0.02):
        for _ in range(40):
            await take(channel, "free")

    assert not await outbox.is_empty()
    assert await message_count(channel, "full") == 0


async def test_rows_that_cannot_be_sent_hold_back_no_others(
    broker: FreshBroker, channel: AbstractChannel, outbox: ObservedOutbox
) -> None:
    """This relay has no publisher for the virtual host of some rows of each claim."""
    await _subscribe(channel, "free", EVENTS[MessageKind.NOTIFICATION], {})
    kinds = (MessageKind.INSTANCE_NOTIFICATION, MessageKind.NOTIFICATION)
    await outbox.add(*(OutgoingMessage(kind, PROJECT, {}) for kind in kinds for _ in range(40)))

    async with relaying(broker, outbox, sweep_seconds=0.02):
        arrived = [await take(channel, "free") for _ in range(40)]

    assert len({message.message_id for message in arrived}) == 40
    assert await message_count(channel, "free") == 0


async def _subscribe(
    channel: AbstractChannel, name: str, event: str, arguments: dict[str, Any]
) -> None:
    queue = await channel.declare_queue(name, arguments=arguments)
    exchange = f"regards.broadcast.{event}"
    await channel.declare_exchange(exchange, "fanout", durable=True)
    await queue.bind(exchange)


class _SlowPublisher(Publisher):
    """Publishes, but each row takes longer than a claim may publish."""

    seconds = 0.05

    async def send(self, publications: Sequence[Publication]) -> list[Confirm]:
        passed = asyncio.Event()
        asyncio.get_running_loop().call_later(self.seconds, passed.set)
        await passed.wait()
        return await super().send(publications)


async def test_a_claim_ends_although_its_stream_has_more_rows(
    broker: FreshBroker, channel: AbstractChannel, outbox: ObservedOutbox
) -> None:
    """A claim is a transaction, and the database ends those that last too long; the next claim goes on."""
    await outbox.add(*(step(number, "order-1") for number in range(3)))
    publisher = _SlowPublisher()

    async with relaying(
        broker,
        outbox,
        publisher=publisher,
        sweep_seconds=0.02,
        publish_seconds=publisher.seconds / 2,
    ):
        await eventually(outbox.is_empty, "the outbox empty")

    assert outbox.claims >= 3
    assert by_stream(await all_of(channel, STEPS)) == {"order-1": [0, 1, 2]}


async def test_an_unroutable_step_is_kept_and_stops_only_its_stream(
    broker: FreshBroker, channel: AbstractChannel, outbox: ObservedOutbox
) -> None:
    """A step without a queue isn't lost: it waits until the queue exists again."""
    await channel.queue_delete(STEPS)
    response = OutgoingMessage(MessageKind.ORDER_RESPONSE, PROJECT, {"status": "DONE"}, "order-2")
    await outbox.add(step(1, "order-1"), step(2, "order-1"), response)
    subscriber = await channel.declare_queue("client", auto_delete=True)
    exchange = "regards.broadcast.fr.cnes.regards.modules.order.amqp.output.OrderResponseDtoEvent"
    await channel.declare_exchange(exchange, "fanout", durable=True)
    await subscriber.bind(exchange)
    publisher = Publisher()

    async with AsyncExitStack() as stack:
        nothing = TOPOLOGY.instance
        await stack.enter_async_context(supervised(broker.url, broker.vhost, nothing, [publisher]))
        relay = Relay(outbox, MESSAGES, {Vhost.MULTITENANT: publisher})
        await stack.enter_async_context(running(relay))
        await take(channel, "client")
        assert not await outbox.is_empty()
        await declare(channel, TOPOLOGY.multitenant)
        await eventually(outbox.is_empty, "the outbox empty")

    assert by_stream(await all_of(channel, STEPS)) == {"order-1": [1, 2]}


async def test_a_lost_confirm_repeats_the_message_with_the_same_id(
    broker: FreshBroker, channel: AbstractChannel, outbox: ObservedOutbox
) -> None:
    """Promise 3: the connection breaks between publish and confirm; the duplicate can be recognised."""
    message = step(1, "order-1")
    async with tcp_proxy(broker.url) as proxy, relaying(broker, outbox, proxy.url) as relay:
        await outbox.add(step(0, "order-1"))
        relay.nudge()
        await take(channel, STEPS)
        await eventually(outbox.is_empty, "the outbox empty")

        proxy.pause(requests=False, answers=True)
        await outbox.add(message)
        relay.nudge()
        first = await take(channel, STEPS)
        proxy.cut()
        second = await take(channel, STEPS)
        await eventually(outbox.is_empty, "the outbox empty")

    assert first.message_id == second.message_id == str(message.message_id)


async def test_there_is_no_claim_while_the_broker_is_unavailable(
    broker: FreshBroker, channel: AbstractChannel, outbox: ObservedOutbox
) -> None:
    """Without a broker no claim is made, because each claim holds a database connection."""
    publisher = Publisher()
    async with (
        tcp_proxy(broker.url) as proxy,
        relaying(broker, outbox, proxy.url, publisher=publisher) as relay,
    ):
        await outbox.add(step(0))
        relay.nudge()
        await take(channel, STEPS)
        await eventually(outbox.is_empty, "the outbox empty")

        proxy.cut(refuse=True)
        await eventually(lambda: not publisher.is_open, "the loss noticed")
        await outbox.add(step(1))
        relay.nudge()
        await eventually(lambda: outbox.open_claims == 0, "no open claim")
        claims = outbox.claims
        relay.nudge()
        await asyncio.sleep(SWEEP_SECONDS * 1.5)
        assert (outbox.claims, outbox.open_claims) == (claims, 0)

        proxy.accept()
        await take(channel, STEPS)


async def test_two_relays_share_the_partitions(
    broker: FreshBroker, channel: AbstractChannel, outbox: ObservedOutbox
) -> None:
    """Promise 6: no row is published twice, and both relays never drain the same stream."""
    rows = [step(number, f"order-{order}") for number in range(10) for order in range(30)]

    async with relaying(broker, outbox) as one, relaying(broker, outbox) as other:
        await outbox.add(*rows)
        one.nudge()
        other.nudge()
        await eventually(outbox.is_empty, "the outbox empty")

    arrived = by_stream(await all_of(channel, STEPS))
    assert arrived == {f"order-{order}": list(range(10)) for order in range(30)}


async def test_stopping_waits_for_messages_in_flight(
    broker: FreshBroker, channel: AbstractChannel, outbox: ObservedOutbox
) -> None:
    """A stop in the middle leaves no row that is both published and kept."""
    await outbox.add(*(step(number, f"order-{number % 50}") for number in range(500)))

    async with relaying(broker, outbox) as relay:
        relay.nudge()
        await take(channel, STEPS)

    async with relaying(broker, outbox):
        await eventually(outbox.is_empty, "the outbox empty")
    assert await message_count(channel, STEPS) == 499
