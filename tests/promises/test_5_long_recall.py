"""Promise 5: waiting is a row. Tapes take two days, and everything is restarted meanwhile."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from rs_order.demo.servers.database_and_broker import Broker, Database
from rs_order.demo.servers.lifecycle import VHOSTS
from rs_order.sandbox.faults import Faults
from rs_order.sandbox.synthetic import SyntheticDataset
from tests.acceptance.platform import Platform, running_platform
from tests.fault_run.peer import DurablePeer
from tests.support.servers import FreshBroker

SUB_ORDERS = 3
HOURS = 15.5
"""Between two restarts. Storage is asked again every six hours, and is silent for less than 48 in all."""


@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_promise_5_a_recall_of_48_hours_survives_restarts_of_everything(
    own_database: Database, own_broker: Broker
) -> None:
    """Promise 1 too: in the last hour before the deadline the files arrive, and only then it is DONE."""
    async with _platform(own_database, own_broker) as (platform, peer):
        async with platform.service():
            await platform.rows("insert into setting values ('app_sub_order_duration', '240')")
            peer.order("project1", _request())
            await platform.sandbox.wait_for_restore(SUB_ORDERS)
        for servers in ((own_database, own_broker), (own_database,), (own_database, own_broker)):
            async with platform.service():
                await asyncio.gather(*(server.restart() for server in servers))
                await _pass_hours(platform)

        async with platform.service():
            platform.sandbox.faults.silence = False
            platform.sandbox.restores.release()
            await peer.until_statuses("recall", 1, "DONE", "FAILED")

        statuses = list({one.message_id: one.status for one in peer.responses["recall"]}.values())
        (order,) = await platform.rows("select status, available_files from orders")
        ended_early = await platform.rows("select from history where after in ('ENDED', 'FAILED')")

        assert statuses == ["GRANTED", *["SUBORDER_DONE"] * SUB_ORDERS, "DONE"]
        assert dict(order) == {"status": "DONE", "available_files": 30}
        assert ended_early == []


async def _pass_hours(platform: Platform) -> None:
    """Wait until the service asks storage again after these hours, for all sub-orders."""
    before = platform.sandbox.restores.requested
    await platform.sandbox.wait_until_up()
    platform.clock.move(hours=HOURS)
    await platform.sandbox.wait_for_restore(before + SUB_ORDERS)


@asynccontextmanager
async def _platform(
    database: Database, broker: Broker
) -> AsyncIterator[tuple[Platform, DurablePeer]]:
    vhosts = FreshBroker(broker.url, broker.management_url or "", *VHOSTS)
    async with running_platform(
        vhosts,
        database.url,
        archive=None,
        synthetic=(SyntheticDataset(name="DS", products=30, size=100_000),),
        faults=Faults(silence=True),
        files_bucket_size_mb=0.95,
        max_storage_files_jobs_per_user=0,
    ) as platform:
        peer = DurablePeer(broker.url, VHOSTS[0])
        async with peer.connected():
            yield platform, peer


def _request() -> dict[str, object]:
    return {"correlationId": "recall", "queries": ["*"], "user": "jane@example.org"}
