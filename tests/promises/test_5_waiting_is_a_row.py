"""Promises 5 and 1: a wait for tape is only a row, and an order isn't DONE before its last file."""

import asyncio
import threading

import httpx

from rs_order.sandbox.faults import Faults
from rs_order.sandbox.synthetic import SyntheticDataset
from tests.acceptance.platform import Platform, running_platform
from tests.promises.process import ALL_MESSAGES_SENT, until
from tests.support.polling import eventually
from tests.support.servers import FreshBroker

SUB_ORDERS = 200
SPARE_TASKS = 5
"""A pass of the relay or a health check may be running during the count."""
CONNECTIONS_BESIDE_THE_POOL = 3
"""The watch of the database, health and metrics have their own, as `docs/configuration.md` says."""


async def test_w1_promise_5_waiting_is_a_row_for_200_sub_orders_on_tape(
    broker: FreshBroker, database_url: str
) -> None:
    """It takes no task, thread, connection, transaction or message; the last event ends the order.

    Promise 1, no false done: with 199 of 200 files settled the order is still running.
    """
    async with (
        running_platform(
            broker,
            database_url,
            archive=None,
            synthetic=(SyntheticDataset(name="DS", products=SUB_ORDERS, size=100_000),),
            faults=Faults(silence=True, nearline_seconds=0.05),
            files_bucket_size_mb=0.05,
            max_storage_files_jobs_per_user=0,
        ) as platform,
        platform.service(),
    ):
        idle = await _resources_in_use(platform)
        correlation_id = await platform.peer.order("*")
        await until(database_url, f"count(*) = {SUB_ORDERS} from sub_order where state = 'RUNNING'")
        await until(database_url, ALL_MESSAGES_SENT)
        await platform.sandbox.wait_for_restore(SUB_ORDERS)
        await _until_queues_are_empty(broker)
        waiting = await _resources_in_use(platform)

        assert waiting["tasks"] <= idle["tasks"] + SPARE_TASKS
        assert waiting["threads"] <= idle["threads"] + SPARE_TASKS
        most = platform.settings.database_pool_size + CONNECTIONS_BESIDE_THE_POOL
        assert waiting["connections"] <= most < SUB_ORDERS
        await until(database_url, _NO_OPEN_TRANSACTION)
        assert platform.peer.statuses(correlation_id) == ["GRANTED"]

        (last, *others) = [
            row["checksum"] for row in await platform.rows("select checksum from data_file")
        ]
        platform.sandbox.restores.release(others)
        await platform.peer.until(correlation_id, "SUBORDER_DONE", SUB_ORDERS - 1)
        (order,) = await platform.rows("select status, pending_files from orders")

        assert dict(order) == {"status": "RUNNING", "pending_files": 1}

        platform.sandbox.restores.release([last])

        assert (await platform.peer.until_final(correlation_id)).status == "DONE"


_NO_OPEN_TRANSACTION = (
    "not exists (select from pg_stat_activity where datname = current_database()"
    " and pid <> pg_backend_pid() and xact_start < now() - interval '1 second')"
)


async def _resources_in_use(platform: Platform) -> dict[str, int]:
    (row,) = await platform.rows(
        "select count(*) as connections from pg_stat_activity"
        " where datname = current_database() and application_name = 'rs-order'"
    )
    return {
        "tasks": len(asyncio.all_tasks()),
        "threads": threading.active_count(),
        "connections": row["connections"],
    }


async def _until_queues_are_empty(broker: FreshBroker) -> None:
    """Wait until no queue has ready or unacknowledged messages; the broker's counts lag by some seconds."""
    async with httpx.AsyncClient(timeout=10) as client:

        async def all_empty() -> bool:
            answer = await client.get(f"{broker.management_url}/api/queues/{broker.vhost}")
            return not any(
                queue.get("messages_unacknowledged", 1) or queue.get("messages_ready", 1)
                for queue in answer.raise_for_status().json()
                if "DLQ" not in queue["name"]
            )

        await eventually(all_empty, "all queues are empty")
