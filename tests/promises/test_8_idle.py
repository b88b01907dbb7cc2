"""Promise 8: cost follows the change, and where nothing changes nothing is computed."""

import re

import asyncpg
import pytest

from rs_order.sandbox.faults import Faults
from rs_order.sandbox.synthetic import SyntheticDataset
from rs_order.store import pool as pool_module
from rs_order.store.pool import statements
from tests.acceptance.platform import running_platform
from tests.promises.process import NOTHING_LEFT_TO_SEND, until
from tests.support.polling import eventually
from tests.support.servers import FreshBroker

SUB_ORDERS = 20
LOOK = statements("outbox")["ready_partitions"]
RECONCILER_RESTS = """
    bool_and(due_at > now() + interval '1 minute')
    and bool_or(body::json ->> 'step' = 'recount') from rs_order.outbox where due_at is not null
"""
"""The walk that the first order began is over: the next one is planned, a quarter of an hour away.

Between two slices nothing of a walk is in the outbox, so that looking for what is due isn't enough.
"""
SWEEPS = 3
"""Of the relay, one each second: what comes every second has come by then."""


async def test_w22_promise_8_cost_of_orders_that_wait_is_nothing(
    platform_broker: FreshBroker, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seconds in which nothing happens: the relay looks into the outbox, and nobody at an order."""
    ran: list[str] = []
    prepare = pool_module.prepare_connection

    async def overheard(connection: asyncpg.Connection) -> None:
        await prepare(connection)
        connection.add_query_logger(lambda record: ran.append(record.query))

    monkeypatch.setattr(pool_module, "prepare_connection", overheard)
    async with (
        running_platform(
            platform_broker,
            database_url,
            archive=None,
            synthetic=(SyntheticDataset(name="DS", products=SUB_ORDERS, size=100_000),),
            faults=Faults(silence=True),
            files_bucket_size_mb=0.05,
            max_storage_files_jobs_per_user=0,
        ) as here,
        here.service(),
    ):
        await here.peer.order("*")
        await until(database_url, f"count(*) = {SUB_ORDERS} from sub_order where state = 'RUNNING'")
        await until(database_url, NOTHING_LEFT_TO_SEND)
        await until(database_url, RECONCILER_RESTS)
        await here.sandbox.wait_for_restore(SUB_ORDERS)
        tables = await here.rows(
            "select table_name from information_schema.tables where table_schema = current_schema"
        )
        ran.clear()
        await eventually(lambda: ran.count(LOOK) >= SWEEPS, "looks into the outbox")

    names = {row["table_name"] for row in tables}
    touched = {word for query in ran for word in re.findall(r"\w+", query)} & names

    assert names >= {"orders", "sub_order", "data_file"}
    assert touched == set()
