"""``dead-letters`` on a real broker, with letters written as consumers write them."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel

from rs_order.broker.queue_names import topology
from rs_order.broker.topology import DEAD_LETTER_EXCHANGE, Elements, Vhost, declare
from rs_order.demo.servers.lifecycle import Servers
from rs_order.demo.servers.management_api import Management
from tests.cli.commands import on_broker, rs_order
from tests.support.servers import FreshBroker, fresh_broker

NAMES = topology(instance_identifier="test")
REQUESTS = NAMES.order_requests.name
CANCELS = NAMES.order_cancels.name


@pytest.fixture(scope="module")
async def broker(servers: Servers) -> AsyncIterator[FreshBroker]:
    """Virtual hosts of this module: their queues take longer to make than its tests do."""
    url = servers.management_url or ""
    async with (
        Management(url) as management,
        fresh_broker(management, servers.amqp_url, url) as fresh,
    ):
        for vhost, name in (
            (Vhost.INSTANCE, fresh.instance_vhost),
            (Vhost.MULTITENANT, fresh.vhost),
        ):
            async with await aio_pika.connect(f"{fresh.url}/{name}") as connection:
                await declare(await connection.channel(), _dead_letters_of(NAMES.elements(vhost)))
        yield fresh


def _dead_letters_of(elements: Elements) -> Elements:
    """Where letters lie, and the two queues they come from here."""
    bindings = tuple(b for b in elements.bindings if b.exchange == DEAD_LETTER_EXCHANGE)
    wanted = {REQUESTS, CANCELS, *(binding.queue for binding in bindings)}
    return Elements(
        exchanges=tuple(one for one in elements.exchanges if one.name == DEAD_LETTER_EXCHANGE),
        queues=tuple(queue for queue in elements.queues if queue.name in wanted),
        bindings=bindings,
    )


@pytest.fixture
async def channel(broker: FreshBroker) -> AsyncIterator[AbstractChannel]:
    """A channel of a broker without any letter."""
    async with await aio_pika.connect(f"{broker.url}/{broker.vhost}") as connection:
        channel = await connection.channel()
        yield channel
        for name in (REQUESTS, CANCELS, f"{REQUESTS}.DLQ", f"{CANCELS}.DLQ"):
            await (await channel.get_queue(name)).purge()


async def bury(
    channel: AbstractChannel,
    letter_id: str,
    *,
    tenant: str = "project1",
    queue: str = REQUESTS,
    origin: str | None = None,
    reason: str = "unknown-tenant",
) -> None:
    """Put a letter into the dead-letter queue of ``queue``."""
    exchange = await channel.get_exchange(DEAD_LETTER_EXCHANGE)
    message = aio_pika.Message(
        json.dumps({"correlationId": f"c-{letter_id}", "orderId": 12}).encode(),
        headers={
            "regards.tenant": tenant,
            "x-death-queue": origin or queue,
            "x-exception-message": f"about {letter_id}",
            "rs-order.letter-id": letter_id,
            "rs-order.reason": reason,
            "rs-order.dead-lettered-at": datetime.now(UTC).isoformat(),
        },
        delivery_mode=2,
    )
    await exchange.publish(message, f"{queue}.DLQ")


async def waiting(channel: AbstractChannel, queue: str) -> int:
    declared = await channel.declare_queue(queue, passive=True)
    return declared.declaration_result.message_count or 0


async def listed(broker: FreshBroker, *options: str) -> list[str]:
    """The ids that the list shows with these options."""
    ended = await rs_order("dead-letters", "list", "--json", *options, **on_broker(broker))
    assert ended.code == 0, ended.err
    return [letter["id"] for letter in json.loads(ended.out)]


async def test_list_says_what_is_known(broker: FreshBroker, channel: AbstractChannel) -> None:
    """A line for each letter for people, an array for programs."""
    await bury(channel, "one")

    people = await rs_order("dead-letters", "list", **on_broker(broker))
    programs = await rs_order("dead-letters", "list", "--json", **on_broker(broker))

    heading, line = people.out.splitlines()
    assert heading.split()[:3] == ["ID", "REASON", "TENANT"]
    assert line.split()[:4] == ["one", "unknown-tenant", "project1", "12"]
    letter = json.loads(programs.out)[0]
    assert letter.pop("ageSeconds") < 60
    assert letter.pop("diedAt")
    assert letter == {
        "id": "one",
        "vhost": "multitenant",
        "queue": f"{REQUESTS}.DLQ",
        "origin": REQUESTS,
        "reason": "unknown-tenant",
        "detail": "about one",
        "tenant": "project1",
        "orderId": 12,
        "correlationId": "c-one",
        "times": 1,
    }


async def test_list_when_there_is_none(broker: FreshBroker, channel: AbstractChannel) -> None:
    ended = await rs_order("dead-letters", "list", **on_broker(broker))

    assert (ended.code, ended.out) == (0, "No dead letters\n")
    assert await listed(broker) == []


async def test_list_filtered(broker: FreshBroker, channel: AbstractChannel) -> None:
    await bury(channel, "other-tenant", tenant="project2")
    await bury(channel, "other-queue", queue=CANCELS)
    await bury(channel, "other-reason", reason="invalid-message")

    assert await listed(broker, "--tenant", "project2") == ["other-tenant"]
    assert await listed(broker, "--queue", CANCELS) == ["other-queue"]
    assert await listed(broker, "--reason", "invalid-message") == ["other-reason"]


async def test_show_has_headers_and_body(broker: FreshBroker, channel: AbstractChannel) -> None:
    await bury(channel, "one")

    ended = await rs_order("dead-letters", "show", "one", **on_broker(broker))

    assert "regards.tenant: project1" in ended.out
    assert '"correlationId": "c-one"' in ended.out


@pytest.mark.parametrize(
    "act", [["show", "none"], ["replay", "one", "none"], ["discard", "one", "none", "--because=x"]]
)
async def test_unknown_id(act: list[str], broker: FreshBroker, channel: AbstractChannel) -> None:
    """Exit code 1, the id is named, and nothing is done to the others."""
    await bury(channel, "one")

    ended = await rs_order("dead-letters", *act, **on_broker(broker))

    assert ended.code == 1
    ended.assert_one_line("none")
    assert await listed(broker) == ["one"]


async def test_replay_by_id(broker: FreshBroker, channel: AbstractChannel) -> None:
    await bury(channel, "one")
    await bury(channel, "two")

    ended = await rs_order("dead-letters", "replay", "two", **on_broker(broker))

    assert (ended.code, ended.out) == (0, "1 sent back\n")
    assert await waiting(channel, REQUESTS) == 1
    assert await listed(broker) == ["one"]


async def test_replay_all_that_match(broker: FreshBroker, channel: AbstractChannel) -> None:
    for number in range(3):
        await bury(channel, f"mine-{number}")
    await bury(channel, "other", tenant="project2")

    options = ("--all", "--tenant", "project1", "--rate", "100")
    ended = await rs_order("dead-letters", "replay", *options, **on_broker(broker))

    assert (ended.code, ended.out) == (0, "3 sent back\n")
    assert await listed(broker) == ["other"]


async def test_replay_refused(broker: FreshBroker, channel: AbstractChannel) -> None:
    """A letter whose queue is gone stays; the others go, and the exit code tells."""
    await bury(channel, "lost", origin="queue.of.old")
    await bury(channel, "one")

    ended = await rs_order("dead-letters", "replay", "--all", **on_broker(broker))

    assert (ended.code, ended.out) == (1, "1 sent back\n")
    assert "rs-order: Dead letter lost came from queue.of.old" in ended.err
    assert await listed(broker) == ["lost"]


async def test_discard_leaves_a_trace(broker: FreshBroker, channel: AbstractChannel) -> None:
    """The letter is gone; the log says which it was and why."""
    await bury(channel, "one")

    ended = await rs_order(
        "dead-letters", "discard", "one", "--because", "sent by mistake", **on_broker(broker)
    )

    assert (ended.code, ended.out) == (0, "1 discarded\n")
    trace = json.loads(ended.err)
    assert (trace["letter_id"], trace["because"]) == ("one", "sent by mistake")
    assert await listed(broker) == []
