"""Dead letters of the service, the broker and a Java service are listed, replayed and discarded."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel

from rs_order.broker.dead_letter_message import LARGEST_HEADERS, dead_letter_message
from rs_order.broker.dead_letter_session import open_session
from rs_order.broker.dead_letters import DeadLetterFilter, DeadLetters
from rs_order.broker.delivery import DeadLetter, DeadLetterReason, Delivery, Outcome
from rs_order.broker.errors import DeadLettersBusy, MissingOrigin, UnknownDeadLetter, UnknownOrigin
from rs_order.broker.queue_names import topology
from rs_order.broker.stored_dead_letters import REPLAYED_HEADER
from rs_order.broker.topology import (
    DEAD_LETTER_EXCHANGE,
    SHARED_DEAD_LETTER_QUEUE,
    Queue,
    Topology,
    Vhost,
    declare,
)
from tests.amqp.support import (
    RecordingHandler,
    message_count,
    new_consumer,
    only,
    raw_channel,
    supervised,
    take,
)
from tests.support.polling import eventually
from tests.support.servers import FreshBroker

TOPOLOGY: Topology = only(
    topology(instance_identifier="test"), "order_requests", "process_rights", "steps"
)
REQUESTS = TOPOLOGY.order_requests
REQUESTS_DEAD_LETTERS = f"{REQUESTS.name}.DLQ"
STEPS = TOPOLOGY.steps


@pytest.fixture
async def channel(broker: FreshBroker) -> AsyncIterator[AbstractChannel]:
    """A bare channel; the queues exist."""
    async with raw_channel(broker.url, broker.instance_vhost) as instance:
        await declare(instance, TOPOLOGY.instance)
    async with raw_channel(broker.url, broker.vhost) as opened:
        await declare(opened, TOPOLOGY.multitenant)
        yield opened


@pytest.fixture
def dead_letters(broker: FreshBroker) -> DeadLetters:
    return DeadLetters(broker.url, _vhosts(broker), TOPOLOGY)


def _vhosts(broker: FreshBroker) -> dict[Vhost, str]:
    return {Vhost.MULTITENANT: broker.vhost, Vhost.INSTANCE: broker.instance_vhost}


def _reject(delivery: Delivery) -> Outcome:
    return DeadLetter(DeadLetterReason.REMOTE_NONSENSE, f"nonsense about {delivery.body!r}")


async def _dead_letter(
    broker: FreshBroker, channel: AbstractChannel, queue: Queue, body: bytes
) -> None:
    """Make a message a dead letter in a consumer, as in the service."""
    message = aio_pika.Message(
        body,
        headers={"regards.tenant": "project1", "regards.type": "some.Event"},
        message_id="the-message",
        correlation_id="the-correlation",
        priority=3,
        app_id="REGARDS",
        content_type="application/json",
        content_encoding="UTF-8",
        timestamp=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        expiration=60,
    )
    await channel.default_exchange.publish(message, queue.name)
    handler = RecordingHandler(_reject)
    consumer = new_consumer(queue, handler)
    async with supervised(broker.url, broker.vhost, TOPOLOGY.multitenant, [consumer]):
        await handler.called(1)


async def test_a_dead_letter_keeps_its_message_and_has_its_reason(
    broker: FreshBroker, channel: AbstractChannel
) -> None:
    """amqp.md 1.7: body, properties and headers as they were; queue, cause and origin added."""
    await _dead_letter(broker, channel, REQUESTS, b'{"orderId": 7}')

    dead_letter = await take(channel, REQUESTS_DEAD_LETTERS)

    assert dead_letter.body == b'{"orderId": 7}'
    assert (dead_letter.message_id, dead_letter.correlation_id) == (
        "the-message",
        "the-correlation",
    )
    assert (dead_letter.priority, dead_letter.app_id) == (3, "REGARDS")
    assert (dead_letter.content_type, dead_letter.content_encoding) == ("application/json", "UTF-8")
    assert dead_letter.timestamp == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert dead_letter.delivery_mode == aio_pika.DeliveryMode.PERSISTENT
    assert dead_letter.expiration is None
    headers = dict(dead_letter.headers)
    assert headers.pop("rs-order.letter-id")
    assert datetime.fromisoformat(str(headers.pop("rs-order.dead-lettered-at")))
    detail = "nonsense about b'{\"orderId\": 7}'"
    assert headers == {
        "regards.tenant": "project1",
        "regards.type": "some.Event",
        "x-death-queue": REQUESTS.name,
        "x-exception-message": f"Unusable answer of a remote service. {detail}",
        "x-exception-stacktrace": detail,
        "x-original-exchange": "",
        "x-original-routingKey": REQUESTS.name,
        "rs-order.reason": "remote-nonsense",
    }


async def test_single_message_queues_share_one_dead_letter_queue(
    broker: FreshBroker, channel: AbstractChannel
) -> None:
    """amqp.md 1.4: only batch handlers have a dead-letter queue of their own."""
    await _dead_letter(broker, channel, TOPOLOGY.process_rights, b"{}")

    dead_letter = await take(channel, SHARED_DEAD_LETTER_QUEUE)

    assert dead_letter.headers["x-death-queue"] == TOPOLOGY.process_rights.name


def test_long_explanations_and_headers_fit_in_one_frame() -> None:
    """A dead letter whose headers exceed a frame would close the connection at each attempt."""
    delivery = Delivery(b"", {"regards.tenant": "project1", "huge": "x" * 120_000}, "queue")
    dead_letter = DeadLetter(DeadLetterReason.INVALID_MESSAGE, "y" * 100_000)

    message = dead_letter_message(delivery, dead_letter, now=datetime.now(UTC))

    assert sum(len(str(value)) for value in message.headers.values()) < LARGEST_HEADERS
    assert message.headers["regards.tenant"] == "project1"


def test_a_dead_letter_is_not_routed_by_the_headers_of_its_message() -> None:
    """RabbitMQ delivers a published message to the queues named in CC as well."""
    delivery = Delivery(b"", {"CC": ["other"], "BCC": ["another"]}, "queue")

    message = dead_letter_message(
        delivery, DeadLetter(DeadLetterReason.INVALID_MESSAGE, ""), now=datetime.now(UTC)
    )

    assert not {"CC", "BCC"} & set(message.headers)


async def test_a_dead_letter_is_listed_with_its_facts(
    broker: FreshBroker, channel: AbstractChannel, dead_letters: DeadLetters
) -> None:
    """Reason, tenant, order, origin, age and number of failures are listed, and the dead letter stays."""
    await _dead_letter(broker, channel, REQUESTS, b'{"orderId": 7, "correlationId": "c"}')

    found = await dead_letters.list()
    again = await dead_letters.find(found.dead_letters[0].id)

    (dead_letter,) = found.dead_letters
    assert found.complete
    assert (dead_letter.queue, dead_letter.origin) == (REQUESTS_DEAD_LETTERS, REQUESTS.name)
    assert (dead_letter.reason, dead_letter.tenant, dead_letter.order_id) == (
        "remote-nonsense",
        "project1",
        7,
    )
    assert (dead_letter.correlation_id, dead_letter.times) == ("the-correlation", 1)
    assert 0 <= (dead_letter.age_seconds(datetime.now(UTC)) or -1) < 60
    assert again == dead_letter
    assert await message_count(channel, REQUESTS_DEAD_LETTERS) == 1


@pytest.mark.parametrize(
    ("wanted", "matches"),
    [
        (DeadLetterFilter(tenant="project1"), True),
        (DeadLetterFilter(tenant="project2"), False),
        (DeadLetterFilter(queue=REQUESTS.name), True),
        (DeadLetterFilter(queue=REQUESTS_DEAD_LETTERS), True),
        (DeadLetterFilter(queue="other"), False),
        (DeadLetterFilter(reason="remote-nonsense"), True),
        (DeadLetterFilter(reason="remote-nonsense", tenant="project2"), False),
    ],
)
async def test_a_dead_letter_must_match_all_members_of_a_filter(
    broker: FreshBroker,
    channel: AbstractChannel,
    dead_letters: DeadLetters,
    wanted: DeadLetterFilter,
    matches: bool,
) -> None:
    """A dead letter is listed if it matches every member of the filter."""
    await _write(channel, REQUESTS, b"{}", **{"rs-order.reason": "remote-nonsense"})

    assert bool((await dead_letters.list(wanted)).dead_letters) is matches


async def _write(channel: AbstractChannel, queue: Queue, body: bytes, **headers: str) -> None:
    """Publish a dead letter as another service would."""
    exchange = await channel.get_exchange(DEAD_LETTER_EXCHANGE, ensure=False)
    written = {"regards.tenant": "project1", "x-death-queue": queue.name, **headers}
    key = queue.dead_letter_key or ""
    await exchange.publish(aio_pika.Message(body, headers=dict(written)), key)


async def test_equal_dead_letters_of_other_services_get_stable_ids(
    channel: AbstractChannel, dead_letters: DeadLetters
) -> None:
    """Dead letters without our id are distinguished by content, equal ones by number."""
    exchange = await channel.get_exchange(DEAD_LETTER_EXCHANGE, ensure=False)
    for body in (b"same", b"same", b"other"):
        await exchange.publish(aio_pika.Message(body, message_id="m"), REQUESTS_DEAD_LETTERS)

    first = {dead_letter.id for dead_letter in (await dead_letters.list()).dead_letters}
    second = {dead_letter.id for dead_letter in (await dead_letters.list()).dead_letters}

    assert len(first) == 3
    assert first == second


async def test_a_dead_letter_of_the_broker_has_its_origin(
    channel: AbstractChannel, dead_letters: DeadLetters
) -> None:
    """A step that the broker dead-letters has x-death, which names the queue it goes back to."""
    await channel.default_exchange.publish(
        aio_pika.Message(b'{"orderId": 9}', headers={"regards.tenant": "project1"}), STEPS.name
    )
    steps = await channel.get_queue(STEPS.name, ensure=False)
    await (await steps.get()).reject(requeue=False)

    async def dead_lettered() -> bool:
        return await message_count(channel, f"{STEPS.name}.DLQ") == 1

    await eventually(dead_lettered, "the step among the dead letters")
    (dead_letter,) = (await dead_letters.list()).dead_letters
    replay = await dead_letters.replay_each([dead_letter.id])

    assert (dead_letter.origin, dead_letter.reason, dead_letter.order_id) == (
        STEPS.name,
        "rejected",
        9,
    )
    assert replay.replayed == [dead_letter.id]
    assert (await take(channel, STEPS.name)).body == b'{"orderId": 9}'


async def test_a_replayed_dead_letter_returns_to_its_origin(
    broker: FreshBroker, channel: AbstractChannel, dead_letters: DeadLetters
) -> None:
    """The message returns as it was, marked as replayed; the dead letter is deleted."""
    await _dead_letter(broker, channel, REQUESTS, b"{}")
    (dead_letter,) = (await dead_letters.list()).dead_letters

    replay = await dead_letters.replay_each([dead_letter.id])

    message = await take(channel, REQUESTS.name)
    assert (replay.replayed, replay.rejected) == ([dead_letter.id], {})
    assert dict(message.headers) == {
        "regards.tenant": "project1",
        "regards.type": "some.Event",
        "x-death-queue": REQUESTS.name,
        REPLAYED_HEADER: 1,
    }
    assert (message.message_id, message.correlation_id) == ("the-message", "the-correlation")
    assert (await dead_letters.list()).dead_letters == ()


async def test_a_dead_letter_counts_its_failures(
    broker: FreshBroker, channel: AbstractChannel, dead_letters: DeadLetters
) -> None:
    """Each replay that fails adds one."""
    await _dead_letter(broker, channel, REQUESTS, b"{}")
    await dead_letters.replay(DeadLetterFilter(reason="remote-nonsense"))
    handler = RecordingHandler(_reject)
    async with supervised(
        broker.url, broker.vhost, TOPOLOGY.multitenant, [new_consumer(REQUESTS, handler)]
    ):
        await handler.called(1)

    (dead_letter,) = (await dead_letters.list()).dead_letters

    assert dead_letter.times == 2


async def test_a_dead_letter_without_an_origin_is_kept(
    channel: AbstractChannel, dead_letters: DeadLetters
) -> None:
    """Its origin is unknown, so an error is reported; the others are replayed."""
    exchange = await channel.get_exchange(DEAD_LETTER_EXCHANGE, ensure=False)
    await exchange.publish(aio_pika.Message(b"lost"), REQUESTS_DEAD_LETTERS)
    await _write(channel, REQUESTS, b"known")

    replay = await dead_letters.replay(DeadLetterFilter())

    (error,) = replay.rejected.values()
    assert isinstance(error, UnknownOrigin)
    assert len(replay.replayed) == 1
    assert [dead_letter.body for dead_letter in (await dead_letters.list()).dead_letters] == [
        b"lost"
    ]


async def test_a_dead_letter_whose_queue_was_deleted_is_kept(
    channel: AbstractChannel, dead_letters: DeadLetters
) -> None:
    """The broker would drop it, so it isn't sent."""
    await _write(channel, REQUESTS, b"{}", **{"x-death-queue": "deleted.since"})

    replay = await dead_letters.replay(DeadLetterFilter())

    (error,) = replay.rejected.values()
    assert isinstance(error, MissingOrigin)
    assert len((await dead_letters.list()).dead_letters) == 1


async def test_an_unknown_id_changes_nothing(
    channel: AbstractChannel, dead_letters: DeadLetters
) -> None:
    """Replay and discard change nothing if one id is unknown."""
    await _write(channel, REQUESTS, b"{}")
    (dead_letter,) = (await dead_letters.list()).dead_letters

    with pytest.raises(UnknownDeadLetter, match="nope"):
        await dead_letters.replay_each([dead_letter.id, "nope"])
    with pytest.raises(UnknownDeadLetter, match="nope"):
        await dead_letters.discard([dead_letter.id, "nope"], because="a test")
    with pytest.raises(UnknownDeadLetter, match="nope"):
        await dead_letters.find("nope")

    assert len((await dead_letters.list()).dead_letters) == 1


async def test_a_discarded_dead_letter_is_deleted(
    channel: AbstractChannel, dead_letters: DeadLetters
) -> None:
    """Only the named dead letter is discarded."""
    await _write(channel, REQUESTS, b"keep")
    await _write(channel, REQUESTS, b"discard")
    unwanted = next(x for x in (await dead_letters.list()).dead_letters if x.body == b"discard")

    discarded = await dead_letters.discard([unwanted.id], because="a test")

    assert [dead_letter.id for dead_letter in discarded] == [unwanted.id]
    assert [dead_letter.body for dead_letter in (await dead_letters.list()).dead_letters] == [
        b"keep"
    ]


async def test_a_list_stops_at_its_limit_and_is_marked_incomplete(
    channel: AbstractChannel, dead_letters: DeadLetters
) -> None:
    """Memory is bounded, and the list is marked as incomplete."""
    for number in range(5):
        await _write(channel, REQUESTS, b"%d" % number)

    some = await dead_letters.list(limit=3)
    everything = await dead_letters.list(limit=5)

    assert (len(some.dead_letters), some.complete) == (3, False)
    assert (len(everything.dead_letters), everything.complete) == (5, True)


async def test_replay_keeps_to_its_rate(
    channel: AbstractChannel, dead_letters: DeadLetters
) -> None:
    """At ten per second the last of five starts 0.4 s after the first."""
    for number in range(5):
        await _write(channel, REQUESTS, b"%d" % number)

    began = asyncio.get_running_loop().time()
    replay = await dead_letters.replay(DeadLetterFilter(), rate=10)

    assert len(replay.replayed) == 5
    assert asyncio.get_running_loop().time() - began >= 0.4


async def test_replays_of_several_operators_exclude_each_other(
    channel: AbstractChannel, dead_letters: DeadLetters, broker: FreshBroker
) -> None:
    """While one replays, another waits; each dead letter goes back once."""
    for number in range(10):
        await _write(channel, REQUESTS, b"%d" % number)

    replays = await asyncio.gather(*(dead_letters.replay(DeadLetterFilter()) for _ in range(3)))

    assert sorted(len(replay.replayed) for replay in replays) == [0, 0, 10]
    assert await message_count(channel, REQUESTS.name) == 10

    vhosts = _vhosts(broker)
    impatient = DeadLetters(broker.url, vhosts, TOPOLOGY, lock_seconds=0.3)
    async with open_session(broker.url, vhosts, TOPOLOGY):
        with pytest.raises(DeadLettersBusy):
            await impatient.list()
