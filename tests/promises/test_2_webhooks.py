"""Promise 2 for webhooks: a process is killed between an event and its delivery (decision 0048)."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.acceptance.platform import Platform
from tests.promises.checks import SUB_ORDERS
from tests.promises.process import LOCK_IS_WAITED_FOR, Instance, instance, locked, until
from tests.support.webhook_receiver import Receiver, running_receiver

WEBHOOKS: dict[str, Any] = {
    "events_key": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
    "webhook_http": True,
    "webhook_allowed_networks": ["127.0.0.1"],
}
A_MINUTE_PASSES = "update order_project1.webhook set claimed_until = now()"
"""A claim of the process that was killed has ended."""


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with running_receiver() as one:
        yield one


async def subscribe(platform: Platform, by: Instance, receiver: Receiver) -> str:
    """Let a webhook have all events of the project. Return its secret."""
    platform.port = int(by.url.rpartition(":")[2])
    await platform.until_rights_known()
    wanted = {"kind": "webhook", "url": receiver.url, "scope": "tenant"}
    async with platform.client("admin@example.org", "PROJECT_ADMIN") as administrator:
        answer = await administrator.post("/subscriptions?verify=now", json=wanted)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["secret"])


async def assert_all_heard(
    platform: Platform, receiver: Receiver, secret: str, correlation_id: str
) -> None:
    """Wait until nothing is left to deliver, and assert that each event of the log came, in order."""
    await platform.peer.until_final(correlation_id)
    await receiver.until("order.done")
    await until(platform.database_url, "bool_and(state = 'delivered') from delivery")
    came = {one.headers["webhook-id"]: one.verified(secret) for one in receiver.requests}
    logged = await platform.rows("select body::json ->> 'id' as id from event order by position")

    assert list(came) == [row["id"] for row in logged]
    assert [one["ordinal"] for one in came.values()] == [*range(1, len(came) + 1)]
    assert receiver.names().count("suborder.ready") == SUB_ORDERS


async def test_promise_2_nothing_lost_of_webhooks_when_killed_between_commit_and_send(
    platform: Platform, receiver: Receiver
) -> None:
    """The events have positions, but the deliveries aren't committed: the next process makes them.

    The process may also have claimed the webhook at that moment.
    """
    async with instance(platform, **WEBHOOKS) as first:
        secret = await subscribe(platform, first, receiver)
        async with locked(platform.database_url, "lock table delivery in share mode"):
            correlation_id = await platform.peer.order("*")
            await until(platform.database_url, "exists (select from event where position > 0)")
            await until(platform.database_url, LOCK_IS_WAITED_FOR)
            await first.kill()

    assert receiver.requests == []
    assert await platform.rows("select from delivery") == []
    await platform.execute(A_MINUTE_PASSES)

    async with instance(platform, **WEBHOOKS):
        await assert_all_heard(platform, receiver, secret, correlation_id)


async def test_promise_2_nothing_lost_of_webhooks_when_killed_during_a_request(
    platform: Platform, receiver: Receiver
) -> None:
    """The receiver has the event and hasn't answered: the next process sends it when the claim has ended."""
    receiver.hangs = asyncio.Event()
    async with instance(platform, **WEBHOOKS) as first:
        secret = await subscribe(platform, first, receiver)
        correlation_id = await platform.peer.order("*")
        (held,) = await receiver.until("order.created")
        await first.kill()
    receiver.hangs.set()
    await platform.execute(A_MINUTE_PASSES)

    async with instance(platform, **WEBHOOKS):
        await receiver.until("order.created", 2)
        await assert_all_heard(platform, receiver, secret, correlation_id)
    again = receiver.requests[1]

    assert again.body == held.body
    assert again.headers["webhook-id"] == held.headers["webhook-id"]
    assert [one.name for one in receiver.requests].count("order.created") == 2
