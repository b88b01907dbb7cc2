"""``dead-letters`` on a real database and broker, with letters written as consumers write them."""

import json
import shlex
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel

from rs_order.broker.queue_names import topology
from rs_order.broker.topology import DEAD_LETTER_EXCHANGE, Elements, Vhost, declare
from rs_order.demo.servers.lifecycle import Servers
from rs_order.demo.servers.management_api import Management
from rs_order.store.pool import Pool, open_pool
from tests.cli.commands import Ended, rs_order, rs_order_process
from tests.support.dead_letters import DeadLetterHarness, running_dead_letters
from tests.support.servers import FreshBroker, fresh_broker
from tests.support.stores import MigratedDatabases

NAMES = topology(instance_identifier="test")
REQUESTS = NAMES.order_requests.name
CANCELS = NAMES.order_cancels.name


@dataclass
class Deployment:
    """A database and virtual hosts, on which the parts of an instance run that dead letters need."""

    broker: FreshBroker
    database_url: str
    pool: Pool
    harness: DeadLetterHarness

    async def command(self, *arguments: str) -> Ended:
        """Index what is in the queues, and run the command, which gets no address of the broker."""
        await self.harness.check()
        return await rs_order("dead-letters", *arguments, database_url=self.database_url)

    async def process(self, *arguments: str) -> Ended:
        """Do the same in a process of its own, which also shows what it logs."""
        await self.harness.check()
        return await rs_order_process("dead-letters", *arguments, database_url=self.database_url)

    async def listed(self, *options: str) -> list[str]:
        """Return the ids that the list shows with these options."""
        ended = await self.command("list", "--json", *options)
        assert ended.code == 0, ended.err
        return [letter["id"] for letter in json.loads(ended.out)]


@pytest.fixture(scope="module")
async def running(
    servers: Servers, migrated_databases: MigratedDatabases
) -> AsyncIterator[Deployment]:
    """Virtual hosts of this module: their queues take longer to make than its tests do."""
    url = servers.management_url or ""
    async with (
        Management(url) as management,
        fresh_broker(management, servers.amqp_url, url) as broker,
        migrated_databases.url() as database_url,
        await open_pool(database_url, size=5) as pool,
    ):
        for vhost, name in (
            (Vhost.INSTANCE, broker.instance_vhost),
            (Vhost.MULTITENANT, broker.vhost),
        ):
            async with await aio_pika.connect(f"{broker.url}/{name}") as connection:
                await declare(await connection.channel(), _dead_letters_of(NAMES.elements(vhost)))
        async with running_dead_letters(broker, pool, NAMES) as harness:
            yield Deployment(broker, database_url, pool, harness)


def _dead_letters_of(elements: Elements) -> Elements:
    """Return the queues of dead letters, the two that they come from here, and that of the steps."""
    bindings = tuple(b for b in elements.bindings if b.exchange == DEAD_LETTER_EXCHANGE)
    wanted = {REQUESTS, CANCELS, NAMES.steps.name, *(binding.queue for binding in bindings)}
    return Elements(
        exchanges=tuple(one for one in elements.exchanges if one.name == DEAD_LETTER_EXCHANGE),
        queues=tuple(queue for queue in elements.queues if queue.name in wanted),
        bindings=bindings,
    )


@pytest.fixture
async def channel(running: Deployment) -> AsyncIterator[AbstractChannel]:
    """A channel of a broker without any letter."""
    broker = running.broker
    async with await aio_pika.connect(f"{broker.url}/{broker.vhost}") as connection:
        channel = await connection.channel()
        yield channel
        for name in (REQUESTS, CANCELS, f"{REQUESTS}.DLQ", f"{CANCELS}.DLQ"):
            await (await channel.get_queue(name)).purge()


@pytest.fixture
async def here(running: Deployment, channel: AbstractChannel) -> Deployment:
    """The deployment, with an empty index."""
    async with running.pool.acquire() as connection:
        await connection.execute("truncate rs_order.dead_letter")
    return running


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


async def test_list_says_what_is_known(here: Deployment, channel: AbstractChannel) -> None:
    """A line for each letter for people, an array for programs."""
    await bury(channel, "one")

    people = await here.command("list")
    programs = await here.command("list", "--json")

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


async def test_list_when_there_is_none(here: Deployment, channel: AbstractChannel) -> None:
    ended = await here.command("list")

    assert (ended.code, ended.out) == (0, "No dead letters\n")
    assert await here.listed() == []


async def test_list_filtered(here: Deployment, channel: AbstractChannel) -> None:
    await bury(channel, "other-tenant", tenant="project2")
    await bury(channel, "other-queue", queue=CANCELS)
    await bury(channel, "other-reason", reason="invalid-message")

    assert await here.listed("--tenant", "project2") == ["other-tenant"]
    assert await here.listed("--queue", CANCELS) == ["other-queue"]
    assert await here.listed("--reason", "invalid-message") == ["other-reason"]


async def test_show_has_headers_and_body(here: Deployment, channel: AbstractChannel) -> None:
    await bury(channel, "one")

    ended = await here.command("show", "one")

    assert "regards.tenant: project1" in ended.out
    assert '"correlationId": "c-one"' in ended.out


@pytest.mark.parametrize(
    "act", [["show", "none"], ["replay", "one", "none"], ["discard", "one", "none", "--because=x"]]
)
async def test_unknown_id(act: list[str], here: Deployment, channel: AbstractChannel) -> None:
    """Exit code 1, the id is named, and nothing is done to the others."""
    await bury(channel, "one")

    ended = await here.command(*act)

    assert ended.code == 1
    ended.assert_one_line("none")
    assert await here.listed() == ["one"]


async def test_replay_by_id(here: Deployment, channel: AbstractChannel) -> None:
    await bury(channel, "one")
    await bury(channel, "two")

    ended = await here.command("replay", "two")

    assert (ended.code, ended.out) == (0, "1 sent back\n")
    assert await waiting(channel, REQUESTS) == 1
    assert await here.listed() == ["one"]


async def test_replay_all_that_match(here: Deployment, channel: AbstractChannel) -> None:
    for number in range(3):
        await bury(channel, f"mine-{number}")
    await bury(channel, "other", tenant="project2")

    options = ("--all", "--tenant", "project1", "--rate", "100")
    ended = await here.command("replay", *options)

    assert (ended.code, ended.out) == (0, "3 sent back\n")
    assert await here.listed() == ["other"]


async def test_replay_refused(here: Deployment, channel: AbstractChannel) -> None:
    """A letter whose queue is gone stays; the others go, and the exit code tells."""
    await bury(channel, "lost", origin="queue.of.old")
    await bury(channel, "one")

    await here.harness.check()
    ended = await here.command("replay", "--all")

    assert (ended.code, ended.out) == (1, "1 sent back\n")
    assert "rs-order: Dead letter lost came from queue.of.old" in ended.err
    assert await here.listed() == ["lost"]


async def test_discard_leaves_a_trace(here: Deployment, channel: AbstractChannel) -> None:
    """The letter is gone; the log says which it was and why."""
    await bury(channel, "one")

    ended = await here.process("discard", "one", "--because", "sent by mistake")

    assert (ended.code, ended.out) == (0, "1 discarded\n")
    trace = json.loads(ended.err)
    assert trace["event"] == "dead-letter-discarded"
    assert (trace["letter_id"], trace["because"]) == ("one", "sent by mistake")
    assert await here.listed() == []


async def test_list_by_pages(here: Deployment, channel: AbstractChannel) -> None:
    """A page says how to list the next one."""
    for number in range(3):
        await bury(channel, f"letter-{number}")

    first = await here.command("list", "--limit", "2")

    assert first.err == "The first 2; list more with --after letter-1\n"
    assert await here.listed("--limit", "2", "--after", "letter-1") == ["letter-2"]


async def test_discard_all_that_match(here: Deployment, channel: AbstractChannel) -> None:
    await bury(channel, "mine")
    await bury(channel, "other", tenant="project2")

    ended = await here.command("discard", "--all", "--tenant", "project1", "--because", "a test")

    assert (ended.code, ended.out) == (0, "1 discarded\n")
    assert await here.listed() == ["other"]
    assert await waiting(channel, f"{REQUESTS}.DLQ") == 1


async def test_replay_with_another_body(
    here: Deployment, channel: AbstractChannel, tmp_path: Path
) -> None:
    """The body is checked against the contract of the queue, and the error names the member."""
    await bury(channel, "one")
    wrong, right = tmp_path / "wrong.json", tmp_path / "right.json"
    wrong.write_text('{"correlationId": "c", "queries": "no list"}')
    right.write_text('{"correlationId": "c", "queries": ["*"]}')

    refused = await here.command("replay", "one", "--body", str(wrong))
    replayed = await here.command("replay", "one", "--body", str(right))

    assert (refused.code, refused.out) == (1, "")
    refused.assert_one_line("queries: Input should be a valid list")
    assert (replayed.code, replayed.out) == (0, "1 sent back\n"), replayed.err
    message = await (await channel.get_queue(REQUESTS)).get(no_ack=True)
    assert message.body == right.read_bytes()


async def test_replay_of_an_edited_body(
    here: Deployment, channel: AbstractChannel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """$EDITOR gets the body indented; the service gets what was saved."""
    await bury(channel, "one")
    editor = tmp_path / "editor.py"
    editor.write_text(
        "import pathlib, sys\n"
        "file = pathlib.Path(sys.argv[1])\n"
        "file.write_text(file.read_text().replace('c-one', 'c-two'))\n"
    )
    monkeypatch.setenv("EDITOR", shlex.join([sys.executable, str(editor)]))
    monkeypatch.delenv("VISUAL", raising=False)

    ended = await here.command("replay", "one", "--edit")

    assert (ended.code, ended.out) == (0, "1 sent back\n"), ended.err
    message = await (await channel.get_queue(REQUESTS)).get(no_ack=True)
    assert json.loads(message.body)["correlationId"] == "c-two"
