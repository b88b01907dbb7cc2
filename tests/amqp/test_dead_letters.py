"""Dead letters of the service, the broker and a Java service are listed, replayed and discarded."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel

from rs_order.broker.dead_letter_message import LARGEST_HEADERS, dead_letter_message
from rs_order.broker.dead_letter_reader import exclusive_connection
from rs_order.broker.delivery import DeadLetter, DeadLetterReason, Delivery, Outcome
from rs_order.broker.queue_names import topology
from rs_order.broker.stored_dead_letters import REPLAYED_HEADER
from rs_order.broker.topology import (
    DEAD_LETTER_EXCHANGE,
    SHARED_DEAD_LETTER_QUEUE,
    Queue,
    Topology,
    declare,
)
from rs_order.contracts.processing_messages import PROCESS_RIGHTS
from rs_order.core.errors import UnknownDeadLetter
from rs_order.demo.servers.lifecycle import Servers
from rs_order.demo.servers.management_api import Management
from rs_order.domain.dead_letters import DeadLetterFilter
from rs_order.domain.ids import Tenant
from rs_order.store.pool import Pool, open_pool
from tests.amqp.support import (
    RecordingHandler,
    message_count,
    new_consumer,
    only,
    raw_channel,
    supervised,
    take,
)
from tests.support.dead_letters import OPERATOR, DeadLetterHarness, running_dead_letters
from tests.support.polling import eventually
from tests.support.servers import FreshBroker, fresh_broker
from tests.support.stores import MigratedDatabases

TOPOLOGY: Topology = only(
    topology(instance_identifier="test"), "order_requests", "process_rights", "steps"
)
REQUESTS = TOPOLOGY.order_requests
REQUESTS_DEAD_LETTERS = f"{REQUESTS.name}.DLQ"
STEPS = TOPOLOGY.steps
RIGHTS = TOPOLOGY.process_rights


@pytest.fixture(scope="module")
async def broker(servers: Servers, _management: Management) -> AsyncIterator[FreshBroker]:
    """Virtual hosts of this module, with their queues: to make these takes longer than the tests."""
    async with fresh_broker(_management, servers.amqp_url, servers.management_url or "") as fresh:
        async with raw_channel(fresh.url, fresh.instance_vhost) as instance:
            await declare(instance, TOPOLOGY.instance)
        async with raw_channel(fresh.url, fresh.vhost) as opened:
            await declare(opened, TOPOLOGY.multitenant)
        yield fresh


@pytest.fixture(scope="module")
async def pool_url(migrated_databases: MigratedDatabases) -> AsyncIterator[str]:
    async with migrated_databases.url(Tenant("project1")) as url:
        yield url


@pytest.fixture(scope="module")
async def pool(pool_url: str) -> AsyncIterator[Pool]:
    async with await open_pool(pool_url, size=10) as pool:
        yield pool


@pytest.fixture(scope="module")
async def running(broker: FreshBroker, pool: Pool) -> AsyncIterator[DeadLetterHarness]:
    async with running_dead_letters(broker, pool, TOPOLOGY) as harness:
        yield harness


@pytest.fixture
async def channel(broker: FreshBroker) -> AsyncIterator[AbstractChannel]:
    """A bare channel; the queues are empty."""
    async with raw_channel(broker.url, broker.vhost) as opened:
        for queue in TOPOLOGY.multitenant.queues:
            await (await opened.get_queue(queue.name, ensure=False)).purge()
        yield opened


@pytest.fixture
async def dead_letters(
    running: DeadLetterHarness, pool: Pool, channel: AbstractChannel
) -> DeadLetterHarness:
    """Index and watcher of empty queues."""
    async with pool.acquire() as connection:
        await connection.execute("truncate rs_order.dead_letter")
    return running


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
    broker: FreshBroker, channel: AbstractChannel, dead_letters: DeadLetterHarness
) -> None:
    """Reason, tenant, order, origin, age and number of failures are listed, and the dead letter stays."""
    await _dead_letter(broker, channel, REQUESTS, b'{"orderId": 7, "correlationId": "c"}')

    (dead_letter,) = await dead_letters.list()
    again = await dead_letters.services.acts.find(dead_letter.id, OPERATOR)

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


async def test_a_dead_letter_must_match_all_members_of_a_filter(
    channel: AbstractChannel, dead_letters: DeadLetterHarness
) -> None:
    """A dead letter is listed if it matches every member of the filter."""
    body = b'{"step": "grant-requests", "orderId": 7}'
    reason = {"rs-order.reason": "remote-nonsense"}
    died = {"rs-order.dead-lettered-at": "2026-01-02T03:04:05Z"}
    await _write(channel, REQUESTS, body, **reason, **died)

    for wanted, matches in (
        (DeadLetterFilter(tenant="project1"), True),
        (DeadLetterFilter(tenant="project2"), False),
        (DeadLetterFilter(queue=REQUESTS.name), True),
        (DeadLetterFilter(queue=REQUESTS_DEAD_LETTERS), True),
        (DeadLetterFilter(queue="other"), False),
        (DeadLetterFilter(reason="remote-nonsense"), True),
        (DeadLetterFilter(reason="remote-nonsense", tenant="project2"), False),
        (DeadLetterFilter(order_id=7, step="grant-requests"), True),
        (DeadLetterFilter(order_id=8), False),
        (DeadLetterFilter(step="schedule"), False),
        (DeadLetterFilter(died_before=datetime(2026, 1, 3, tzinfo=UTC)), True),
        (DeadLetterFilter(died_before=datetime(2026, 1, 2, tzinfo=UTC)), False),
    ):
        assert bool(await dead_letters.list(wanted)) is matches, wanted


async def _write(channel: AbstractChannel, queue: Queue, body: bytes, **headers: str) -> None:
    """Publish a dead letter as another service would."""
    exchange = await channel.get_exchange(DEAD_LETTER_EXCHANGE, ensure=False)
    written = {"regards.tenant": "project1", "x-death-queue": queue.name, **headers}
    key = queue.dead_letter_key or ""
    await exchange.publish(aio_pika.Message(body, headers=dict(written)), key)


async def test_equal_dead_letters_of_other_services_get_stable_ids(
    channel: AbstractChannel, dead_letters: DeadLetterHarness
) -> None:
    """Dead letters without our id are distinguished by content, and equal ones by a suffix."""
    exchange = await channel.get_exchange(DEAD_LETTER_EXCHANGE, ensure=False)
    for body in (b"same", b"same", b"other"):
        await exchange.publish(aio_pika.Message(body, message_id="m"), REQUESTS_DEAD_LETTERS)

    first = {dead_letter.id for dead_letter in await dead_letters.list()}
    second = {dead_letter.id for dead_letter in await dead_letters.list()}

    assert len(first) == 3
    assert first == second


async def test_a_dead_letter_of_the_broker_has_its_origin(
    channel: AbstractChannel, dead_letters: DeadLetterHarness
) -> None:
    """A message that the broker dead-letters has x-death, which names the queue it goes back to."""
    await channel.default_exchange.publish(
        aio_pika.Message(b'{"orderId": 9}', headers={"regards.tenant": "project1"}), REQUESTS.name
    )
    requests = await channel.get_queue(REQUESTS.name, ensure=False)
    await (await requests.get()).reject(requeue=False)

    async def dead_lettered() -> bool:
        return await message_count(channel, REQUESTS_DEAD_LETTERS) == 1

    await eventually(dead_lettered, "the message among the dead letters")
    (dead_letter,) = await dead_letters.list()
    replay = await dead_letters.replay(dead_letter.id)

    assert (dead_letter.origin, dead_letter.reason, dead_letter.order_id) == (
        REQUESTS.name,
        "rejected",
        9,
    )
    assert replay.done == [dead_letter.id]
    assert (await take(channel, REQUESTS.name)).body == b'{"orderId": 9}'


async def test_a_dead_letter_that_the_java_service_left(
    channel: AbstractChannel, dead_letters: DeadLetterHarness
) -> None:
    """Its consumers reject a message, and the broker moves it to ``regards.DLQ`` (amqp.md 1.10).

    The watcher finds it there, knows where it came from, and an operator replays it.
    """
    body = b'{"processBusinessId": "p-1"}'
    headers: Any = {
        "regards.tenant": "project1",
        "regards.converter": "GSON",
        "regards.type": PROCESS_RIGHTS,
        "x-first-death-exchange": f"regards.broadcast.{PROCESS_RIGHTS}",
        "x-first-death-queue": RIGHTS.name,
        "x-first-death-reason": "rejected",
        "x-death": [
            {
                "queue": RIGHTS.name,
                "reason": "rejected",
                "count": 1,
                "exchange": f"regards.broadcast.{PROCESS_RIGHTS}",
                "routing-keys": [""],
                "time": datetime(2025, 11, 2, 3, 4, 5, tzinfo=UTC),
            }
        ],
    }
    message = aio_pika.Message(body, headers=headers, priority=1, app_id="REGARDS")
    await channel.default_exchange.publish(message, "regards.DLQ")

    (letter,) = await dead_letters.list(DeadLetterFilter(queue="regards.DLQ"))
    replay = await dead_letters.replay(letter.id)
    replayed = await take(channel, RIGHTS.name)

    assert (letter.origin, letter.reason, letter.tenant) == (RIGHTS.name, "rejected", "project1")
    assert letter.died_at == datetime(2025, 11, 2, 3, 4, 5, tzinfo=UTC)
    assert replay.done == [letter.id]
    assert replayed.body == body
    assert replayed.headers["regards.type"] == PROCESS_RIGHTS
    assert (replayed.priority, replayed.app_id) == (1, "REGARDS")
    assert await message_count(channel, "regards.DLQ") == 0


async def test_a_step_that_the_broker_gave_up_is_indexed(
    channel: AbstractChannel, dead_letters: DeadLetterHarness
) -> None:
    """A quorum queue dead-letters after its delivery limit; nobody of ours was there to index it."""
    exchange = await channel.get_exchange(DEAD_LETTER_EXCHANGE, ensure=False)
    death: Any = {
        "queue": STEPS.name,
        "reason": "delivery_limit",
        "count": 1,
        "exchange": "",
        "routing-keys": [STEPS.name],
        "time": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    }
    step = aio_pika.Message(b'{"step": "schedule", "owner": "jo"}', headers={"x-death": [death]})
    await exchange.publish(step, f"{STEPS.name}.DLQ")

    (dead_letter,) = await dead_letters.list(DeadLetterFilter(step="schedule"))

    assert (dead_letter.reason, dead_letter.origin) == ("delivery-limit", STEPS.name)
    assert dead_letter.died_at == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


async def test_a_replayed_dead_letter_returns_to_its_origin(
    broker: FreshBroker, channel: AbstractChannel, dead_letters: DeadLetterHarness
) -> None:
    """The message returns as it was, marked as replayed; the dead letter is deleted."""
    await _dead_letter(broker, channel, REQUESTS, b"{}")
    (dead_letter,) = await dead_letters.list()

    replay = await dead_letters.replay(dead_letter.id)

    message = await take(channel, REQUESTS.name)
    assert (replay.done, replay.rejected) == ([dead_letter.id], {})
    assert dict(message.headers) == {
        "regards.tenant": "project1",
        "regards.type": "some.Event",
        "x-death-queue": REQUESTS.name,
        REPLAYED_HEADER: 1,
    }
    assert (message.message_id, message.correlation_id) == ("the-message", "the-correlation")
    assert message.timestamp == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert await dead_letters.list() == ()
    assert await message_count(channel, REQUESTS_DEAD_LETTERS) == 0


async def test_a_dead_letter_counts_its_failures(
    broker: FreshBroker, channel: AbstractChannel, dead_letters: DeadLetterHarness
) -> None:
    """Each replay that fails adds one."""
    await _dead_letter(broker, channel, REQUESTS, b"{}")
    (first,) = await dead_letters.list(DeadLetterFilter(reason="remote-nonsense"))
    await dead_letters.replay(first.id)
    handler = RecordingHandler(_reject)
    async with supervised(
        broker.url, broker.vhost, TOPOLOGY.multitenant, [new_consumer(REQUESTS, handler)]
    ):
        await handler.called(1)

    (dead_letter,) = await dead_letters.list()

    assert dead_letter.times == 2


async def test_a_dead_letter_that_cannot_be_sent_back_is_kept(
    channel: AbstractChannel, dead_letters: DeadLetterHarness
) -> None:
    """Its origin is unknown or deleted, so an error is reported; the others are replayed."""
    exchange = await channel.get_exchange(DEAD_LETTER_EXCHANGE, ensure=False)
    await exchange.publish(aio_pika.Message(b"lost"), REQUESTS_DEAD_LETTERS)
    await _write(channel, REQUESTS, b"deleted", **{"x-death-queue": "deleted.since"})
    await _write(channel, REQUESTS, b"known")
    found = await dead_letters.list()
    # The first check indexed them; the next one asks for the queues that they came from.
    await dead_letters.check()

    replay = await dead_letters.replay(*(dead_letter.id for dead_letter in found))

    assert len(replay.done) == 1
    assert {text.split(" ", 3)[3].partition(":")[0] for text in replay.rejected.values()} == {
        "came from deleted.since, which does not exist",
        "does not say which queue it came from (neither x-death-queue nor x-death)",
    }
    assert {dead_letter.body for dead_letter in await dead_letters.list()} == {b"lost", b"deleted"}


async def test_an_unknown_id_changes_nothing(
    channel: AbstractChannel, dead_letters: DeadLetterHarness
) -> None:
    """Replay and discard change nothing if one id is unknown."""
    await _write(channel, REQUESTS, b"{}")
    (dead_letter,) = await dead_letters.list()
    acts = dead_letters.services.acts

    with pytest.raises(UnknownDeadLetter, match="nope"):
        await acts.replay([dead_letter.id, "nope"], OPERATOR)
    with pytest.raises(UnknownDeadLetter, match="nope"):
        await acts.discard([dead_letter.id, "nope"], OPERATOR, because="a test")
    with pytest.raises(UnknownDeadLetter, match="nope"):
        await acts.find("nope", OPERATOR)

    assert len(await dead_letters.list()) == 1


async def test_a_discarded_dead_letter_is_deleted(
    channel: AbstractChannel, dead_letters: DeadLetterHarness
) -> None:
    """Only the named dead letter is discarded."""
    await _write(channel, REQUESTS, b"keep")
    await _write(channel, REQUESTS, b"discard")
    unwanted = next(x for x in await dead_letters.list() if x.body == b"discard")

    discarded = await dead_letters.services.acts.discard([unwanted.id], OPERATOR, because="a test")

    assert [dead_letter.id for dead_letter in discarded] == [unwanted.id]
    assert [dead_letter.body for dead_letter in await dead_letters.list()] == [b"keep"]
    assert await message_count(channel, REQUESTS_DEAD_LETTERS) == 1


async def test_a_message_that_died_before_is_another_dead_letter(
    channel: AbstractChannel, dead_letters: DeadLetterHarness
) -> None:
    """A Java service gives no ids. An equal message that comes after a discard is not deleted with it."""
    for _ in range(2):
        await _write(channel, REQUESTS, b"same")
        (dead_letter,) = await dead_letters.list()
        await dead_letters.services.acts.discard([dead_letter.id], OPERATOR, because="a test")
        assert await dead_letters.list() == ()

    await _write(channel, REQUESTS, b"same")

    assert len(await dead_letters.list()) == 1


async def test_a_dead_letter_that_another_tool_removed_is_gone(
    channel: AbstractChannel, dead_letters: DeadLetterHarness
) -> None:
    """It can't be replayed any more; put back, it is open again."""
    await _write(channel, REQUESTS, b"{}", **{"rs-order.letter-id": "one"})
    (dead_letter,) = await dead_letters.list()
    taken = await take(channel, REQUESTS_DEAD_LETTERS)

    assert await dead_letters.list() == ()
    replay = await dead_letters.replay(dead_letter.id)
    assert "something else removed it" in replay.rejected[dead_letter.id]

    again = aio_pika.Message(taken.body, headers=taken.headers)
    await channel.default_exchange.publish(again, REQUESTS_DEAD_LETTERS)
    assert [one.id for one in await dead_letters.list()] == [dead_letter.id]


async def test_one_instance_reads_at_a_time(
    broker: FreshBroker, channel: AbstractChannel, dead_letters: DeadLetterHarness
) -> None:
    """While another instance reads, a check doesn't wait and indexes nothing."""
    await _write(channel, REQUESTS, b"{}")

    async with exclusive_connection(broker.url, broker.vhost) as first:
        assert first is not None
        assert await dead_letters.list() == ()

    assert len(await dead_letters.list()) == 1


async def test_replays_of_several_operators_exclude_each_other(
    channel: AbstractChannel, dead_letters: DeadLetterHarness
) -> None:
    """Each dead letter goes back once, and the operators who come late learn who was first."""
    for number in range(10):
        await _write(channel, REQUESTS, b"%d" % number)
    ids = [dead_letter.id for dead_letter in await dead_letters.list()]

    replays = await asyncio.gather(*(dead_letters.replay(*ids) for _ in range(3)))

    assert sorted(len(replay.done) for replay in replays) == [0, 0, 10]
    late = next(replay for replay in replays if not replay.done)
    assert f"Dead letter {ids[0]} was replayed by jane at " in late.rejected[ids[0]]
    assert await message_count(channel, REQUESTS.name) == 10


_DIES_AFTER_THE_COMMIT = """
import asyncio, os, signal, sys
from rs_order.app.clock import SystemClock
from rs_order.app.dead_letters import dead_letter_services
from rs_order.store.dead_letters import DeadLetterStore
from rs_order.store.pool import open_pool
from tests.amqp.test_dead_letters import TOPOLOGY
from tests.support.dead_letters import OPERATOR

async def replay(url, letter):
    async with await open_pool(url, size=1) as pool:
        store = DeadLetterStore(pool, lambda _: os.kill(os.getpid(), signal.SIGKILL))
        await dead_letter_services(store, SystemClock(), TOPOLOGY).acts.replay([letter], OPERATOR)

asyncio.run(replay(*sys.argv[1:]))
"""
"""Replays a dead letter, and is killed where its relay would be notified of the commit."""


async def test_a_replay_survives_its_process(
    channel: AbstractChannel, dead_letters: DeadLetterHarness, pool_url: str
) -> None:
    """The process is killed between the commit and the publication: another one publishes, once."""
    await _write(channel, REQUESTS, b"{}")
    (dead_letter,) = await dead_letters.list()

    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _DIES_AFTER_THE_COMMIT, pool_url, dead_letter.id
    )
    assert await process.wait() == -signal.SIGKILL
    await take(channel, REQUESTS.name)

    replay = await dead_letters.replay(dead_letter.id)
    assert (replay.done, list(replay.rejected)) == ([], [dead_letter.id])
    assert await message_count(channel, REQUESTS.name) == 0
    assert await message_count(channel, REQUESTS_DEAD_LETTERS) == 0
