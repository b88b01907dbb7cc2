"""Dead letters are replayed by the command line after their cause is repaired."""

import asyncio
import json
import os
import sys
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import uuid4

from rs_order.sandbox.faults import Outage, OutageMode, Service
from tests.acceptance.peer import REQUESTS
from tests.acceptance.platform import TENANT, Platform
from tests.acceptance.shared_platform import EVE_01, REQUEST_QUEUE, new_user
from tests.support.polling import WAIT_SECONDS, eventually


@dataclass(frozen=True)
class Result:
    """The result of a command."""

    code: int
    out: str
    err: str


async def rs_order(platform: Platform, *arguments: str) -> Result:
    """Run a command as an operator would, with the deployment's addresses in the environment."""
    settings = platform.settings
    environment = {name: value for name, value in os.environ.items() if "RS_ORDER" not in name}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "rs_order",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={
            **environment,
            "RS_ORDER_DATABASE_URL": settings.database_url.get_secret_value(),
            "RS_ORDER_AMQP_URL": settings.amqp_url.get_secret_value(),
            "RS_ORDER_AMQP_VHOST": settings.amqp_vhost,
            "RS_ORDER_AMQP_INSTANCE_VHOST": settings.amqp_instance_vhost,
        },
    )
    out, err = await asyncio.wait_for(process.communicate(), WAIT_SECONDS)
    return Result(process.returncode or 0, out.decode(), err.decode())


async def listed(platform: Platform, *filters: str) -> list[dict[str, Any]]:
    result = await rs_order(platform, "dead-letters", "list", "--json", *filters)
    assert result.code == 0, result.err
    dead_letters: list[dict[str, Any]] = json.loads(result.out)
    return dead_letters


async def until_listed(platform: Platform, *filters: str) -> dict[str, Any]:
    """Wait for a dead letter that passes the filters, and return it; fail if there are several."""
    dead_letters: list[dict[str, Any]] = await eventually(
        lambda: listed(platform, *filters), "the dead letter"
    )
    (dead_letter,) = dead_letters
    return dead_letter


async def test_a_request_of_an_unknown_tenant_is_replayed_after_the_tenant_is_added(
    platform: Platform,
) -> None:
    """Dead letter, ``tenant add``, ``dead-letters replay ID``, DONE; no dead letter remains."""
    correlation_id = f"replay-{uuid4()}"
    body = {"correlationId": correlation_id, "queries": [EVE_01], "user": new_user(platform)}
    await platform.peer.send(REQUESTS, json.dumps(body).encode(), {"regards.tenant": "project2"})
    dead_letter = await until_listed(platform, "--tenant", "project2")

    assert {name: dead_letter[name] for name in ("reason", "origin", "queue", "correlationId")} == {
        "reason": "unknown-tenant",
        "origin": REQUEST_QUEUE,
        "queue": f"{REQUEST_QUEUE}.DLQ",
        "correlationId": correlation_id,
    }

    added = await rs_order(platform, "tenant", "add", "project2")
    replayed = await rs_order(platform, "dead-letters", "replay", dead_letter["id"])
    final = await platform.peer.until_final(correlation_id)

    assert (added.code, replayed.code) == (0, 0), added.err + replayed.err
    assert replayed.out == "1 sent back\n"
    assert platform.peer.statuses(correlation_id) == ["GRANTED", "SUBORDER_DONE", "DONE"]
    assert final.headers["regards.tenant"] == "project2"
    assert await listed(platform) == []


async def test_a_request_that_failed_on_a_bad_response_is_replayed(
    platform: Platform,
) -> None:
    """FAILED and a dead letter ``remote-nonsense``; after repair and replay GRANTED and DONE."""
    platform.sandbox.faults.outages = {Service.ADMIN: Outage(mode=OutageMode.NONSENSE)}
    asked = platform.sandbox.calls.counters[Service.ADMIN]
    correlation_id = await platform.peer.order(EVE_01, user=new_user(platform))
    await platform.sandbox.calls.wait_for(Service.ADMIN, asked + 1)
    platform.clock.ahead += timedelta(seconds=10)
    failed = await platform.peer.until_final(correlation_id)
    dead_letter = await until_listed(platform, "--reason", "remote-nonsense", "--tenant", TENANT)

    assert failed.body == {
        "status": "FAILED",
        "correlationId": correlation_id,
        "message": (
            "RemoteServiceException: rs-admin gave no usable answer for 2 s. "
            "Please send the request again later."
        ),
        "errorType": "INTERNAL_ERROR",
    }
    assert dead_letter["correlationId"] == correlation_id
    assert dead_letter["origin"] == REQUEST_QUEUE

    platform.sandbox.faults.outages = {}
    replayed = await rs_order(
        platform, "dead-letters", "replay", "--all", "--reason", "remote-nonsense"
    )
    await platform.peer.until(correlation_id, "DONE")

    assert (replayed.code, replayed.out) == (0, "1 sent back\n")
    assert platform.peer.statuses(correlation_id) == ["FAILED", "GRANTED", "SUBORDER_DONE", "DONE"]
    assert await listed(platform) == []


async def test_a_dead_letter_that_fails_again_is_kept_with_its_count(platform: Platform) -> None:
    """Replayed without a repair it becomes a dead letter again, and can be discarded."""
    await platform.peer.send(REQUESTS, b"not JSON")
    dead_letter = await until_listed(platform)
    replayed = await rs_order(platform, "dead-letters", "replay", dead_letter["id"])
    again = await until_listed(platform)
    unknown = await rs_order(platform, "dead-letters", "discard", "nothing", "--because", "a test")
    discarded = await rs_order(
        platform, "dead-letters", "discard", again["id"], "--because", "a test sent it"
    )

    assert (replayed.code, dead_letter["times"], again["times"]) == (0, 1, 2)
    assert unknown.code == 1
    assert discarded.code == 0
    assert await listed(platform) == []
