"""Mails of the whole service, to rs-admin-instance or a mail server, with a clock that the test moves."""

import json
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import aio_pika
import pytest

from rs_order.sandbox.faults import Service
from rs_order.sandbox.records import Mail
from rs_order.sandbox.simulated_platform import DEFAULT_PROJECT_HOST
from tests.acceptance.peer import RESPONSES
from tests.acceptance.platform import Platform, running_platform
from tests.acceptance.shared_platform import EVE_01, fence, new_user
from tests.mails.servers import HOST, smtp_server
from tests.support.baskets import put_basket
from tests.support.polling import eventually
from tests.support.reused_broker import INSTANCE
from tests.support.servers import FreshBroker

RESPONSE_CLASS = RESPONSES.removeprefix("regards.broadcast.")
COPIES = "regards.broadcast.fr.cnes.regards.framework.amqp.event.notifier.NotificationRequestEvent"
SETTINGS: dict[str, Any] = {
    "order_secret": "a secret of at least 32 characters, for tests",
    "amqp_notifier_events": [RESPONSE_CLASS],
    "mail_language": ["en", "project2=fr"],
}


async def ordered(platform: Platform, user: str) -> int:
    """Order a nearline file from a basket, wait for DONE, and return the order's id."""
    await put_basket(platform, user, EVE_01)
    async with platform.client(user) as client:
        answer = await client.post("/user/orders", json={"onSuccessUrl": "/user/orders"})
    assert answer.status_code == 201, answer.text
    order = int(answer.json()["content"]["id"])
    (stored,) = await platform.rows("select correlation_id from orders where id = $1", order)
    final = await platform.peer.until_final(stored["correlation_id"])
    assert final.status == "DONE"
    return order


def mails_to(platform: Platform, user: str) -> list[Mail]:
    return [mail for mail in platform.sandbox.mailbox.mails if user in mail.to]


async def until_mailed(platform: Platform, user: str, count: int = 1) -> list[Mail]:
    await eventually(lambda: len(mails_to(platform, user)) >= count, f"{count} mails to {user}")
    return mails_to(platform, user)


async def until_deleted(platform: Platform) -> None:
    """Wait until the row of each mail is deleted, which follows the sending."""

    async def none_is_left() -> bool:
        return await platform.rows("select from mail") == []

    await eventually(none_is_left, "no mail is left in the database")


def at_seven(platform: Platform, days: int) -> None:
    """Move the clock to 07:01 on the first working day at least so many days from now."""
    wanted = (platform.clock.now() + timedelta(days=days)).replace(hour=7, minute=1)
    while wanted.isoweekday() > 5:
        wanted += timedelta(days=1)
    platform.clock.ahead = wanted - datetime.now(UTC)


@pytest.fixture
async def platform(broker: FreshBroker, database_url: str) -> AsyncIterator[Platform]:
    """Three instances on one database and broker; the sandbox receives their mails."""
    async with (
        running_platform(broker, database_url, **SETTINGS) as ready,
        AsyncExitStack() as instances,
    ):
        for identifier in (INSTANCE, "two", "three"):
            await instances.enter_async_context(
                ready.service(amqp_microservice_instance_identifier=identifier)
            )
        yield ready


async def test_three_instances_send_each_mail_once(platform: Platform) -> None:
    """A confirmation, a delayed one after an outage of the mail service, and a reminder by the clock."""
    jane, john = new_user(platform), new_user(platform)
    await platform.peer.until_final(await platform.peer.order(EVE_01, user=jane))
    await fence(platform)

    assert platform.sandbox.mailbox.mails == []  # services get no mail (domain.md 16.2)

    order = await ordered(platform, jane)
    (confirmed,) = await until_mailed(platform, jane)
    platform.sandbox.faults.mail_status = 500
    asked = platform.sandbox.calls.counters[Service.ADMIN_INSTANCE]
    late = await ordered(platform, john)
    await platform.sandbox.calls.wait_for(Service.ADMIN_INSTANCE, asked + 1)

    assert confirmed.subject == f"Order number {order} is confirmed"
    assert confirmed.sender is None
    assert f'<a href="{DEFAULT_PROJECT_HOST}/user/orders">' in confirmed.text
    assert re.search(r"orderToken=[\w.\-]+&amp;scope=project1", confirmed.text)
    assert mails_to(platform, john) == []

    platform.sandbox.faults.mail_status = None
    platform.clock.ahead += timedelta(minutes=10)

    assert [mail.subject for mail in await until_mailed(platform, john)] == [
        f"Order number {late} is confirmed"
    ]

    at_seven(platform, days=4)
    jane_, john_ = await until_mailed(platform, jane, 2), await until_mailed(platform, john, 2)
    at_seven(platform, days=1)
    await fence(platform)

    assert [mail.subject for mail in (jane_[1], john_[1])] == [
        "Reminder: some orders are waiting for you"
    ] * 2
    assert (jane_[1].text.count("</td></tr>"), john_[1].text.count("</td></tr>")) == (1, 1)
    assert (len(mails_to(platform, jane)), len(mails_to(platform, john))) == (2, 2)
    await until_deleted(platform)


async def test_a_reminder_missed_during_an_outage_is_sent_later(
    broker: FreshBroker, database_url: str
) -> None:
    """No instance ran at seven o'clock; the next one that starts sends the reminder, once."""
    async with running_platform(broker, database_url, **SETTINGS) as platform:
        async with platform.service():
            user = new_user(platform)
            await ordered(platform, user)
            await until_mailed(platform, user)
        at_seven(platform, days=4)
        platform.clock.ahead += timedelta(hours=5)
        async with platform.service():
            await until_mailed(platform, user, 2)
        async with platform.service():
            await fence(platform)

            assert [mail.subject for mail in mails_to(platform, user)][1:] == [
                "Reminder: some orders are waiting for you"
            ]


async def test_mails_go_to_a_mail_server_and_copies_to_rs_notifier(
    broker: FreshBroker, database_url: str
) -> None:
    """Mails bypass rs-admin-instance; each response is followed by a copy with an equal body."""
    async with smtp_server() as box:
        smtp: dict[str, Any] = {
            "smtp_host": HOST,
            "smtp_port": box.port,
            "smtp_tls": "none",
            "mail_sender": "orders@site.example",
        }
        async with (
            running_platform(broker, database_url, **SETTINGS, **smtp) as platform,
            platform.service(),
            _received(platform, RESPONSES, COPIES) as messages,
        ):
            user = new_user(platform)
            order = await ordered(platform, user)
            await eventually(lambda: box.received, "a mail at the mail server")
            await eventually(lambda: len(messages) == 4, "two responses and their copies")

        (received,) = box.received
        assert received.recipients == [user]
        assert received.message["Subject"] == f"Order number {order} is confirmed"
        assert platform.sandbox.mailbox.mails == []

    for response, copy in zip(messages[::2], messages[1::2], strict=True):
        assert (response["exchange"], copy["exchange"]) == (RESPONSES, COPIES)
        assert copy["body"] == {
            "payload": response["body"],
            "metadata": {"priority": 1, "messageType": RESPONSE_CLASS},
        }
        assert copy["headers"]["regards.request.owner"] == "REGARDS"


@asynccontextmanager
async def _received(platform: Platform, *exchanges: str) -> AsyncIterator[list[dict[str, Any]]]:
    """Collect the messages of these fanout exchanges in one queue."""
    channel = platform.peer.channel
    queue = await channel.declare_queue(f"test.{uuid4()}", exclusive=True)
    for exchange in exchanges:
        await queue.bind(await platform.peer.exchange(exchange))
    received: list[dict[str, Any]] = []

    async def take(message: aio_pika.abc.AbstractIncomingMessage) -> None:
        received.append(
            {
                "exchange": message.exchange,
                "headers": dict(message.headers),
                "body": json.loads(message.body),
            }
        )

    tag = await queue.consume(take, no_ack=True)
    yield received
    await queue.cancel(tag)
