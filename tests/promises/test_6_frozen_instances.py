"""Promise 6: an instance that can't work lets others work, and comes back by itself (issue 11, section 3)."""

import os
import signal
from contextlib import AsyncExitStack

import httpx
import pytest

from tests.acceptance.platform import Platform
from tests.promises.checks import ALL_STATUSES, unique_responses
from tests.promises.process import ALL_MESSAGES_SENT, Instance, instance, until
from tests.support.polling import eventually
from tests.support.proxy import tcp_proxy

ORDERS = 6
LONGEST_SECONDS = 90.0
"""A frozen instance may keep the rows of requests for 11 s. Then those that waited are tried again, by a
machine that may be busy."""


@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_promise_6_any_instance_any_message_while_other_instances_are_frozen(
    platform: Platform,
) -> None:
    """One instance does all orders while the others are frozen; then these do while it is stopped.

    Connections stay open and deliver nothing: the database's of the second, the broker's of the third.
    """
    async with AsyncExitStack() as running:
        database = await running.enter_async_context(tcp_proxy(platform.database_url))
        broker = await running.enter_async_context(tcp_proxy(amqp_url(platform)))
        one = await running.enter_async_context(instance(platform))
        two = await running.enter_async_context(
            instance(
                platform,
                database_url=database.url,
                amqp_microservice_instance_identifier="two",
            )
        )
        three = await running.enter_async_context(
            instance(platform, amqp_url=broker.url, amqp_microservice_instance_identifier="three")
        )

        orders = [await platform.peer.order("*") for _ in range(ORDERS)]
        await platform.peer.until(orders[0], "GRANTED")
        database.pause()
        broker.pause()
        await until_all_are_done(platform, orders)
        await until_health_is(two, "db", "DOWN")
        await until_health_is(three, "rabbit", "DOWN")

        database.resume()
        broker.cut()
        await until_health_is(two, "db", "UP")
        await until_health_is(three, "rabbit", "UP")
        os.kill(one.pid, signal.SIGSTOP)
        await until_all_are_done(platform, [await platform.peer.order("*") for _ in range(ORDERS)])
        os.kill(one.pid, signal.SIGCONT)

        await until_health_is(one, "rabbit", "UP")
        assert not any("event-loop-stuck" in line for line in one.lines)


def amqp_url(platform: Platform) -> str:
    return platform.settings.amqp_url.get_secret_value()


async def until_all_are_done(platform: Platform, orders: list[str]) -> None:
    """Wait until each order has its responses, once and in order, and nothing is left to publish."""
    for correlation_id in orders:
        await platform.peer.until_final(correlation_id, seconds=LONGEST_SECONDS)
    await until(platform.database_url, ALL_MESSAGES_SENT)
    assert [[r.status for r in unique_responses(platform, order)] for order in orders] == [
        ALL_STATUSES
    ] * len(orders)


async def until_health_is(running: Instance, component: str, status: str) -> None:
    """Wait until the health of an instance reports this status of a component."""
    ready = next(line for line in running.lines if line.startswith("rs-order is ready"))
    async with httpx.AsyncClient(base_url=ready.split()[4], trust_env=False) as client:

        async def has_status() -> bool:
            answer = await client.get("/actuator/health", timeout=60)
            return bool(answer.json()["components"][component]["status"] == status)

        await eventually(has_status, f"{component} {status}")
