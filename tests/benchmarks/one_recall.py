"""One recall serves all: 20 orders of 20 users for the same files (waiting.md T9).

    python -m tests.benchmarks.one_recall [--files N]

The use cases are those of the service, over a real database. The users come at once, or one after the other
while the files are restored. In the end all orders are DONE. How often storage was asked is printed.
"""

# ruff: noqa: T201 - a measurement prints its figures

import argparse
import asyncio
import time
from contextlib import AsyncExitStack

import asyncpg
import structlog

from rs_order.demo.servers.lifecycle import running_database
from rs_order.store.migrate import migrate_platform
from rs_order.store.pool import open_pool
from rs_order.store.tenants import Tenants
from tests.integration.app_harness import TENANT, AppHarness
from tests.integration.recall_harness import USERS, Arrival, Recalls, asked_by_20_users
from tests.support.rows import TenantRows
from tests.support.servers import fresh_database

FILES_OF_A_SUB_ORDER = 100


async def measure(files: int) -> None:
    """Play each arrival with a database of its own."""
    numbers = range(0, files, FILES_OF_A_SUB_ORDER)
    names = [f"file-{number}" for number in range(files)]
    sub_orders = [names[number : number + FILES_OF_A_SUB_ORDER] for number in numbers]
    async with running_database(durable=True) as server:
        for arrival in Arrival:
            begin = time.perf_counter()
            asked = await _play(server.url, sub_orders, arrival)
            seconds = time.perf_counter() - begin
            print(
                f"{arrival.value}: {USERS} orders of {files} files are DONE after {seconds:.0f} s;"
                f" storage was asked for {sum(asked.values())} checksums"
            )


async def _play(server_url: str, sub_orders: list[list[str]], arrival: Arrival) -> dict[str, int]:
    async with AsyncExitStack() as stack:
        admin = await asyncpg.connect(server_url)
        stack.push_async_callback(admin.close)
        url = await stack.enter_async_context(fresh_database(admin, server_url))
        pool = await stack.enter_async_context(await open_pool(url, size=8))
        await migrate_platform(pool)
        await Tenants(pool).add(TENANT)
        app = AppHarness(pool, max_storage_files_jobs_per_user=0)
        recalls = Recalls(app, TenantRows(pool, TENANT), pool)
        return dict(await asked_by_20_users(recalls, sub_orders, arrival))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--files", type=int, default=10_000)
    # Each order would log its sub-orders.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("error"))
    asyncio.run(measure(parser.parse_args().files))
