"""Measures an order of a million files: time and memory of its completion, on real servers.

    python -m tests.benchmarks.million_files [--files N] [--page N]

The memory is that of the service alone, which is a process of its own: its highest resident set as
the kernel records it (``VmHWM``).
"""

# ruff: noqa: T201 - a measurement prints its figures

import argparse
import asyncio
import time

import asyncpg

from rs_order.sandbox.synthetic import SyntheticDataset
from tests.benchmarks.deployment import TENANT, running_deployment


async def measure(files: int, page: int) -> None:
    dataset = SyntheticDataset(name="BIG", products=files)
    async with running_deployment(dataset, batch_size=page) as deployment:
        deployment.sandbox.faults.silence = True
        began = time.monotonic()
        correlation_id = await deployment.peer.order("dataset:BIG")
        await deployment.peer.until(correlation_id, "GRANTED", seconds=120)
        idle, granted = deployment.resident_mib(), time.monotonic()
        await deployment.sandbox.wait_for_restore(1, timeout_seconds=3600)
        completion = time.monotonic() - granted
        connection = await asyncpg.connect(deployment.servers.database_url)
        (row,) = await connection.fetch(
            f"select sub_orders, pending_files from order_{TENANT}.orders"  # noqa: S608 - a constant
        )
        await connection.close()
        print(
            f"files {row['pending_files']:,}  sub-orders {row['sub_orders']}  page {page:,}\n"
            f"granted after {granted - began:.1f} s, completed after {completion:.1f} s "
            f"({files / completion:,.0f} files/s)\n"
            f"resident: {idle:.0f} MiB when granted, {deployment.highest_resident_mib():.0f} MiB at most"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=1_000_000)
    parser.add_argument("--page", type=int, default=10_000)
    arguments = parser.parse_args()
    asyncio.run(measure(arguments.files, arguments.page))
