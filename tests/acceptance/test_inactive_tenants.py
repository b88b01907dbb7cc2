"""Pending work of an inactive tenant continues when the tenant returns, without dead letters."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

import httpx
import pytest

from rs_order.app.database import open_database
from rs_order.sandbox.amqp_wire import EXECUTION_RESULT, Event
from rs_order.sandbox.faults import Faults
from rs_order.store.tenants import CONFIGURATION
from tests.acceptance.platform import Platform, running_platform
from tests.acceptance.shared_platform import EVE_01, new_user, until_rows
from tests.support.polling import eventually
from tests.support.servers import FreshBroker

STEPS = "rs-order.steps"
MIGRANT = "migrant"
REQUESTED = "select from order_migrant.sub_order where asks = {}"


async def _reconnected(platform: Platform) -> None:
    platform.sandbox.add_tenant(MIGRANT)


async def _added_by_an_operator(platform: Platform) -> None:
    async with open_database(platform.settings) as database:
        await database.add_tenant(MIGRANT, None, CONFIGURATION)


@pytest.mark.parametrize("reactivate", [_reconnected, _added_by_an_operator])
async def test_steps_that_fall_due_while_their_tenant_is_inactive(
    broker: FreshBroker, database_url: str, reactivate: Callable[[Platform], Awaitable[None]]
) -> None:
    """The next restore request of an order falls due while its tenant is inactive."""
    faults = Faults(silence=True)
    async with (
        running_platform(broker, database_url, faults=faults) as platform,
        platform.service(),
    ):
        platform.sandbox.add_tenant(MIGRANT)
        await platform.sandbox.projects.wait_for_state("rs-order", MIGRANT, "ENABLED")
        correlation_id = await platform.peer.order(EVE_01, user=new_user(platform), tenant=MIGRANT)
        await until_rows(platform, REQUESTED.format(1))
        await platform.sandbox.restores.wait_for_requests(1)
        platform.sandbox.remove_tenant(MIGRANT)
        await until_rows(
            platform, "select from rs_order.tenant where name = $1 and not active", MIGRANT
        )
        # The request is due after 30 minutes; 15 minutes later it counts as lost.
        platform.clock.ahead = timedelta(minutes=47)

        await eventually(lambda: _dropped(platform), "a dropped step of the inactive tenant")
        await until_rows(
            platform,
            "select where not exists (select from rs_order.outbox"
            " where tenant = $1 and due_at <= now() + interval '47 minutes')",
            MIGRANT,
        )
        await reactivate(platform)
        # The reconciler has noted the stalled work, and checks it again in three minutes.
        await until_rows(
            platform,
            "select from rs_order.outbox where tenant = $1 and body::json ->> 'confirms' = 'true'",
            MIGRANT,
        )
        platform.clock.ahead = timedelta(minutes=51)
        await until_rows(platform, REQUESTED.format(2))
        platform.sandbox.restores.release()
        final = await platform.peer.until_final(correlation_id)
        dead_letters = await platform.peer.channel.declare_queue(f"{STEPS}.DLQ", passive=True)

    assert final.status == "DONE"
    assert dead_letters.declaration_result.message_count == 0


async def test_a_result_for_an_inactive_tenant_is_kept(
    broker: FreshBroker, database_url: str
) -> None:
    """It becomes a dead letter: rs-processing won't send it again. One of an unknown tenant is dropped."""
    async with running_platform(broker, database_url) as platform, platform.service():
        platform.sandbox.add_tenant(MIGRANT)
        await platform.sandbox.projects.wait_for_state("rs-order", MIGRANT, "ENABLED")
        platform.sandbox.remove_tenant(MIGRANT)
        await until_rows(
            platform, "select from rs_order.tenant where name = $1 and not active", MIGRANT
        )
        for tenant in ("stranger", MIGRANT):
            platform.sandbox.send(Event(EXECUTION_RESULT, tenant, {"batchCorrelationId": tenant}))
        dead_letter = await platform.peer.dead_letter("regards.DLQ")

    assert dead_letter.headers["rs-order.reason"] == "unknown-tenant"
    assert dead_letter.headers["regards.tenant"] == MIGRANT


async def _dropped(platform: Platform) -> bool:
    """True if the metrics count a dropped step."""
    async with httpx.AsyncClient(timeout=60) as client:
        answer = await client.get(f"http://127.0.0.1:{platform.port}/actuator/prometheus")
    line = f'rs_order_messages_dropped_total{{queue="{STEPS}",reason="tenant-away"}}'
    return line in answer.text
