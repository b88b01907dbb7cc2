"""A repeated request creates no second order (decisions.md, Repeated request)."""

import json
from typing import Any
from uuid import uuid4

import asyncpg
from pydantic import SecretStr

from tests.acceptance.peer import REQUESTS, Received
from tests.acceptance.platform import TENANT, Platform, running_platform
from tests.acceptance.shared_platform import EVE_01, fence, new_user, until_rows
from tests.support.polling import LOCK_WAITS
from tests.support.proxy import tcp_proxy
from tests.support.servers import FreshBroker


def request(platform: Platform, **members: Any) -> dict[str, Any]:
    body = {"correlationId": f"again-{uuid4()}", "queries": [EVE_01], "user": new_user(platform)}
    return {**body, **members}


async def send(platform: Platform, body: dict[str, Any]) -> str:
    await platform.peer.send(REQUESTS, json.dumps(body).encode())
    return str(body["correlationId"])


def contents(responses: list[Received]) -> list[tuple[str | None, dict[str, Any]]]:
    return [(one.message_id, one.body) for one in responses]


async def test_a_repeated_request_gets_every_response_again(platform: Platform) -> None:
    """In order, each with its first message id; there is still one order."""
    body = request(platform)
    correlation_id = await send(platform, body)
    await platform.peer.until_final(correlation_id)
    # The same content in another form.
    again = {"filters": None, **dict(reversed(body.items())), "unknown": 1}
    await send(platform, again)
    await platform.peer.until(correlation_id, "DONE", 2)
    await fence(platform)
    responses = platform.peer.responses(correlation_id)
    orders = await platform.rows("select id from orders where correlation_id = $1", correlation_id)

    assert platform.peer.statuses(correlation_id) == ["GRANTED", "SUBORDER_DONE", "DONE"] * 2
    assert contents(responses[3:]) == contents(responses[:3])
    assert len({one.message_id for one in responses}) == 3
    assert len(orders) == 1
    assert platform.sandbox.restores.requested == 2  # one of them is the fence's


async def test_a_request_repeated_while_its_order_runs(platform: Platform) -> None:
    """The responses so far are sent again, later ones once."""
    platform.sandbox.faults.silence = True
    body = request(platform)
    correlation_id = await send(platform, body)
    await platform.peer.until(correlation_id, "GRANTED")
    await platform.sandbox.restores.wait_for_pending(1)
    await send(platform, body)
    await platform.peer.until(correlation_id, "GRANTED", 2)
    platform.sandbox.restores.release()
    await platform.peer.until_final(correlation_id)

    assert platform.peer.statuses(correlation_id) == ["GRANTED", "GRANTED", "SUBORDER_DONE", "DONE"]


async def test_rejections_are_repeated_too(platform: Platform) -> None:
    """DENIED and an early FAILED are sent again unchanged, without a second check of the request."""
    for members, status in (({"queries": []}, "DENIED"), ({"queries": ["productId:NO"]}, "FAILED")):
        body = request(platform, **members)
        correlation_id = await send(platform, body)
        await platform.peer.until(correlation_id, status)
        calls = platform.sandbox.calls.counters["rs-catalog"]
        await send(platform, body)
        await platform.peer.until(correlation_id, status, 2)
        first, second = platform.peer.responses(correlation_id)

        assert contents([first]) == contents([second])
        assert platform.sandbox.calls.counters["rs-catalog"] == calls


async def test_the_same_correlation_id_with_other_content_is_a_new_request(
    platform: Platform,
) -> None:
    """Peers may use a correlation id for several orders."""
    body = request(platform)
    correlation_id = await send(platform, body)
    await platform.peer.until(correlation_id, "DONE")
    await send(platform, {**body, "queries": [EVE_01, "productId:EVE_02"]})
    await platform.peer.until(correlation_id, "DONE", 2)
    ids = {one.body["orderId"] for one in platform.peer.responses(correlation_id)}

    assert platform.peer.statuses(correlation_id) == ["GRANTED", "SUBORDER_DONE", "DONE"] * 2
    assert len(ids) == 2


async def test_a_redelivery_after_a_lost_acknowledgement_changes_nothing(
    broker: FreshBroker, database_url: str
) -> None:
    """The effect is committed, but the acknowledgement never arrives: nothing is done or sent twice."""
    async with (
        tcp_proxy(broker.url) as proxy,
        running_platform(broker, database_url) as platform,
        platform.service(amqp_url=SecretStr(proxy.url)),
    ):
        lock_holder = await asyncpg.connect(database_url)
        try:
            async with lock_holder.transaction():
                await lock_holder.execute(f"lock table order_{TENANT}.order_request")
                correlation_id = await send(platform, request(platform))
                # Not by the lock holder: a transaction sees the sessions as they were at its first look.
                await until_rows(platform, LOCK_WAITS)
                # From now on no data of the service reaches the broker.
                proxy.pause(answers=False)
        finally:
            await lock_holder.close()
        await until_rows(platform, "select 1 from order_request")
        proxy.cut()
        await platform.peer.until_final(correlation_id)
        await fence(platform)
        requests = await platform.rows("select 1 from order_request")

        assert platform.peer.statuses(correlation_id) == ["GRANTED", "SUBORDER_DONE", "DONE"]
        assert len(requests) == 2  # one of them is the fence's
