"""Restorations on a real broker: a simple client sends requests and reads the events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote

import aio_pika
import pytest

from rs_order.sandbox.faults import Faults
from rs_order.sandbox.launch import running_sandbox
from rs_order.sandbox.simulated_platform import Sandbox, SandboxOptions
from rs_order.sandbox.synthetic import SyntheticDataset
from tests.sandbox.client import calling
from tests.support.polling import WAIT_SECONDS

NEARLINE = "bdacea8567cded6badba4b19f68f52db"
OTHER_NEARLINE = "9b76b55ac8706bf991e5171c223b65f6"
ONLINE = "32addae2b6b77b3ab3e04085605adea5"
UNKNOWN = "0" * 32

REQUEST_EXCHANGE = (
    "regards.broadcast.fr.cnes.regards.modules.filecatalog.amqp.input.FilesRestorationRequestEvent"
)
ANSWER_EXCHANGE = (
    "regards.broadcast.fr.cnes.regards.modules.filecatalog.amqp.output.FileReferenceEvent"
)
NOTIFICATION_EXCHANGE = (
    "regards.broadcast.fr.cnes.regards.framework.amqp.event.notification.NotificationEvent"
)
STORAGE_QUEUE = (
    "regards.broadcast.rs-storage.fr.cnes.regards.modules.storage.service.file.handler"
    ".FileRestorationRequestEventHandler"
)
ASIDE = 3600.0
"""A nearline time that is longer than any test; tests release the files."""


class Broker(Protocol):
    @property
    def url(self) -> str: ...
    @property
    def vhost(self) -> str: ...
    @property
    def instance_vhost(self) -> str: ...


class OwnBroker(Protocol):
    url: str

    async def stop(self) -> None: ...
    async def start(self) -> None: ...


@dataclass(frozen=True)
class OnPlatform:
    """A broker with the virtual hosts of the platform."""

    url: str
    vhost: str = "regards.multitenant.manager"
    instance_vhost: str = "regards.instance.manager"


class Peer:
    """Sends requests as rs-order does, with the names of amqp.md."""

    def __init__(self, channel: aio_pika.abc.AbstractChannel, answers: asyncio.Queue[Any]) -> None:
        self.channel = channel
        self.answers = answers

    async def request(self, *checksums: str, group: str = "group-1", hours: int = 72) -> None:
        body = {"checksums": checksums, "availabilityHours": hours, "groupId": group}
        await self.publish(REQUEST_EXCHANGE, body)

    async def publish(self, exchange: str, body: Any, **headers: str) -> None:
        target = await self.channel.get_exchange(exchange)
        named = {
            "regards.tenant": "demo",
            "regards.converter": "GSON",
            "regards.type": exchange.removeprefix("regards.broadcast."),
        }
        message = aio_pika.Message(json.dumps(body).encode(), headers={**named, **headers})
        await target.publish(message, routing_key="")

    async def durable_answers(self) -> str:
        """Declare a queue that keeps events while the broker restarts; return its name."""
        queue = await self.channel.declare_queue("answers", durable=True)
        await queue.bind(ANSWER_EXCHANGE)
        return "answers"

    async def next_answer(self) -> dict[str, Any]:
        async with asyncio.timeout(WAIT_SECONDS):
            message: aio_pika.abc.AbstractIncomingMessage = await self.answers.get()
        answer: dict[str, Any] = json.loads(message.body)
        return answer


@asynccontextmanager
async def peer_of(broker: Broker, queue: str | None = None) -> AsyncIterator[Peer]:
    """A peer that receives all events from now on, or those in a durable queue."""
    vhost = quote(broker.vhost, safe="")
    connection = await aio_pika.connect(f"{broker.url.rstrip('/')}/{vhost}")
    async with connection:
        channel = await connection.channel()
        source = await channel.declare_queue(queue, durable=bool(queue), exclusive=not queue)
        await source.bind(ANSWER_EXCHANGE)
        answers: asyncio.Queue[Any] = asyncio.Queue()
        await source.consume(answers.put, no_ack=True)
        yield Peer(channel, answers)


@asynccontextmanager
async def platform(broker: Broker, faults: Faults) -> AsyncIterator[Sandbox]:
    options = SandboxOptions(
        amqp_url=broker.url,
        vhost=broker.vhost,
        instance_vhost=broker.instance_vhost,
        faults=faults,
    )
    async with running_sandbox(options) as sandbox:
        yield sandbox


async def test_online_file_is_announced_at_once_with_the_headers_of_regards(
    broker: Broker,
) -> None:
    """An online file is answered at once; a Java peer can read the event."""
    async with platform(broker, Faults(nearline_seconds=ASIDE)), peer_of(broker) as peer:
        await peer.request(ONLINE, group="group-7")
        async with asyncio.timeout(WAIT_SECONDS):
            message = await peer.answers.get()

    body = json.loads(message.body)
    assert body["type"] == "AVAILABLE"
    assert body["checksum"] == ONLINE
    assert body["groupIds"] == ["group-7"]
    assert message.headers == {
        "regards.tenant": "demo",
        "regards.converter": "GSON",
        "regards.type": ANSWER_EXCHANGE.removeprefix("regards.broadcast."),
    }
    assert (message.content_type, message.content_encoding) == ("application/json", "UTF-8")
    assert (message.priority, message.app_id) == (1, "REGARDS")


async def test_nearline_file_is_absent_then_pending_then_available_then_absent(
    broker: Broker,
) -> None:
    """410 before the request, 202 while pending, 200 once available, 410 after its expiry."""
    async with (
        platform(broker, Faults(nearline_seconds=ASIDE)) as sandbox,
        peer_of(broker) as peer,
        calling(sandbox) as client,
    ):
        statuses = [(await client.download(NEARLINE)).status_code]
        await peer.request(NEARLINE)
        await sandbox.restores.wait_for_pending(1)
        statuses.append((await client.download(NEARLINE)).status_code)
        sandbox.restores.release()
        answer = await peer.next_answer()
        statuses.append((await client.download(NEARLINE)).status_code)
        sandbox.restores.expire()
        statuses.append((await client.download(NEARLINE)).status_code)

    assert answer["type"] == "AVAILABLE"
    assert statuses == [410, 202, 200, 410]


async def test_nearline_file_takes_the_nearline_time(broker: Broker) -> None:
    """Without a release the answer comes after the nearline time, not before."""
    loop = asyncio.get_running_loop()
    faults = Faults(nearline_seconds=0.3, nearline_jitter=0)
    async with platform(broker, faults), peer_of(broker) as peer:
        asked_at = loop.time()
        await peer.request(NEARLINE, OTHER_NEARLINE)
        answers = [await peer.next_answer() for _ in range(2)]

    assert {answer["checksum"] for answer in answers} == {NEARLINE, OTHER_NEARLINE}
    assert 0.3 <= loop.time() - asked_at < 5


async def test_availability_ends_after_its_hours(broker: Broker) -> None:
    """A file can be downloaded for the hours of the request, times the scale."""
    faults = Faults(nearline_seconds=0, availability_scale=1e-9)
    async with (
        platform(broker, faults) as sandbox,
        peer_of(broker) as peer,
        calling(sandbox) as client,
    ):
        await peer.request(NEARLINE, hours=2)
        await peer.next_answer()

        assert (await client.download(NEARLINE)).status_code == 410


async def test_unknown_checksum_is_an_error(broker: Broker) -> None:
    async with platform(broker, Faults()), peer_of(broker) as peer:
        await peer.request(UNKNOWN)
        answer = await peer.next_answer()

    assert answer["type"] == "AVAILABILITY_ERROR"
    assert answer["message"] == f"file with checksum {UNKNOWN} does not exists."
    assert "location" not in answer


async def test_storage_error_is_set_for_a_checksum(broker: Broker) -> None:
    faults = Faults(storage_errors={ONLINE: "tape broken"})
    async with platform(broker, faults), peer_of(broker) as peer:
        await peer.request(ONLINE)
        answer = await peer.next_answer()

    assert (answer["type"], answer["message"]) == ("AVAILABILITY_ERROR", "tape broken")


async def test_silent_file_is_answered_only_when_released(broker: Broker) -> None:
    """A silent file is pending while others are answered; a release answers it."""
    async with (
        platform(broker, Faults(silent_checksums={ONLINE}, nearline_seconds=0)) as sandbox,
        peer_of(broker) as peer,
    ):
        await peer.request(ONLINE, NEARLINE)
        first = await peer.next_answer()
        await sandbox.restores.wait_for_pending(1)
        pending = sandbox.restores.pending
        sandbox.restores.release([ONLINE])
        late = await peer.next_answer()

    assert first["checksum"] == NEARLINE
    assert pending == [ONLINE]
    assert (late["type"], late["checksum"]) == ("AVAILABLE", ONLINE)


async def test_file_requested_again_after_silence_is_answered(broker: Broker) -> None:
    """After the silence a second request is answered, with the groups of both."""
    async with (
        platform(broker, Faults(silence=True)) as sandbox,
        peer_of(broker) as peer,
    ):
        await peer.request(ONLINE, group="first")
        await sandbox.wait_for_restore(1)
        sandbox.faults.silence = False
        sandbox.faults.nearline_seconds = 0
        await peer.request(ONLINE, group="second")
        answer = await peer.next_answer()

    assert answer["groupIds"] == ["first", "second"]


async def test_duplicates_noise_and_later_errors_are_sent(broker: Broker) -> None:
    """Each event is sent twice, after two unrelated events, and then the error."""
    faults = Faults(duplicates=2, noise=2, then_error={"*"})
    async with platform(broker, faults), peer_of(broker) as peer:
        await peer.request(ONLINE)
        answers = [await peer.next_answer() for _ in range(8)]

    kinds = [(answer["type"], answer["checksum"] == ONLINE) for answer in answers]
    noise = [("STORED", True), ("AVAILABLE", False)]
    available, error = ("AVAILABLE", True), ("AVAILABILITY_ERROR", True)
    assert kinds == [*noise, available, available, *noise, error, error]


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        ({"checksums": [], "availabilityHours": 2, "groupId": "g"}, {}),
        ({"checksums": [ONLINE], "groupId": "g"}, {}),
        ("text", {}),
        (
            {"checksums": [ONLINE], "availabilityHours": 2, "groupId": "g"},
            {"regards.tenant": "nobody"},
        ),
        (
            {"checksums": [ONLINE], "availabilityHours": 2, "groupId": "g"},
            {"regards.type": "wrong.Class"},
        ),
    ],
)
async def test_malformed_request_is_dead_lettered(
    broker: Broker, body: Any, headers: dict[str, str]
) -> None:
    """A malformed request goes to the dead-letter queue; the next request is answered."""
    async with platform(broker, Faults()) as sandbox, peer_of(broker) as peer:
        await peer.publish(REQUEST_EXCHANGE, body, **headers)
        await peer.request(ONLINE)
        answer = await peer.next_answer()
        channel = peer.channel
        dead_letters = await channel.get_queue(f"{STORAGE_QUEUE}.DLQ")
        dead_letter = await dead_letters.get(no_ack=True, timeout=10)

    assert json.loads(dead_letter.body) == body
    assert answer["checksum"] == ONLINE
    assert sandbox.restores.requested == 1


async def test_thousands_of_files_wait_at_the_same_time(broker: Broker) -> None:
    """Thousands of generated nearline files are requested, and each is answered once."""
    count = 3000
    async with platform(broker, Faults(nearline_seconds=ASIDE)) as sandbox, peer_of(broker) as peer:
        holding = await sandbox.add_dataset(SyntheticDataset(name="many", products=count))
        checksums = [holding.product(at).files[0].checksum for at in range(count)]
        for start in range(0, count, 1000):
            await peer.request(*checksums[start : start + 1000])
        await sandbox.restores.wait_for_pending(count)
        sandbox.restores.release()
        answers = [await peer.next_answer() for _ in range(count)]

    assert sorted(answer["checksum"] for answer in answers) == sorted(checksums)
    assert all(answer["type"] == "AVAILABLE" for answer in answers)


async def test_notifications_are_recorded(broker: Broker) -> None:
    notification = {"title": "Order creation", "message": "big", "level": "WARNING"}
    async with platform(broker, Faults()) as sandbox, peer_of(broker) as peer:
        await peer.publish(NOTIFICATION_EXCHANGE, {"notification": notification})
        received = await sandbox.notifications.wait_for(1)

    assert [(one.tenant, one.body) for one in received] == [("demo", notification)]


async def test_new_tenant_is_announced_on_the_instance_vhost(broker: Broker) -> None:
    """The two events of amqp.md 3.9, with the project in the body and JACKSON headers."""
    created = "fr.cnes.regards.framework.amqp.event.tenant.TenantCreatedEvent"
    async with platform(broker, Faults()) as sandbox:
        vhost = quote(broker.instance_vhost, safe="")
        connection = await aio_pika.connect(f"{broker.url.rstrip('/')}/{vhost}")
        async with connection:
            channel = await connection.channel()
            queue = await channel.declare_queue(exclusive=True)
            await queue.bind(f"regards.broadcast.{created}")
            received: asyncio.Queue[Any] = asyncio.Queue()
            await queue.consume(received.put, no_ack=True)
            sandbox.add_tenant("project2")
            async with asyncio.timeout(WAIT_SECONDS):
                message = await received.get()

    assert json.loads(message.body) == {"tenant": "project2"}
    assert message.headers["regards.tenant"] == "instance"
    assert message.headers["__TypeId__"] == created
    assert "project2" in sandbox.projects


async def test_broker_restart_loses_no_restore(own_broker: OwnBroker) -> None:
    """Files that are answered while the broker is stopped are announced when it runs again."""
    options = SandboxOptions(amqp_url=own_broker.url, faults=Faults(nearline_seconds=ASIDE))
    async with running_sandbox(options) as sandbox:
        async with peer_of(OnPlatform(own_broker.url)) as peer:
            await peer.request(NEARLINE, OTHER_NEARLINE)
            await sandbox.restores.wait_for_pending(2)
            keeping = await peer.durable_answers()
        await own_broker.stop()
        sandbox.restores.release([NEARLINE])
        await own_broker.start()
        await sandbox.wait_until_up()
        sandbox.restores.release([OTHER_NEARLINE])
        async with peer_of(OnPlatform(own_broker.url), queue=keeping) as peer:
            answers = [await peer.next_answer() for _ in range(2)]
            await peer.request(ONLINE)
            after = await peer.next_answer()

    assert [answer["checksum"] for answer in answers] == [NEARLINE, OTHER_NEARLINE]
    assert after["checksum"] == ONLINE
