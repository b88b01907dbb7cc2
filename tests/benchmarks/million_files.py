"""Measures an order of a million files: time and memory of the completion, on real servers.

    python -m tests.benchmarks.million_files [--files N] [--page N]

The sandbox and the service run as processes of their own; the memory is that of the service alone,
its highest resident set as the kernel keeps it (``VmHWM``).
"""

import argparse
import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import asyncpg

from rs_order.demo.servers import running_servers
from rs_order.sandbox import Sandbox, SyntheticDataset
from tests.acceptance.peer import Peer

TENANT = "project1"
VHOST = "regards.multitenant.manager"


def highest_resident_mib(pid: int) -> float:
    """The most memory a process ever had resident, in MiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"the kernel tells no VmHWM for process {pid}")


def resident_mib(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1024 / 1024


@asynccontextmanager
async def service(environment: dict[str, str]) -> AsyncIterator[asyncio.subprocess.Process]:
    """``rs-order serve`` as a process, from ready to stopped."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "rs_order",
        "serve",
        env={**os.environ, **environment},
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    print((await process.stdout.readline()).decode().strip(), file=sys.stderr)
    draining = asyncio.create_task(process.stdout.read())
    try:
        yield process
    finally:
        process.terminate()
        await process.wait()
        print((await draining).decode(), end="", file=sys.stderr)


async def measure(files: int, page: int) -> None:
    async with AsyncExitStack() as stack:
        servers = await stack.enter_async_context(running_servers(durable=False))
        sandbox = await stack.enter_async_context(
            Sandbox.running(
                None,
                amqp_url=servers.amqp_url,
                tenants=[TENANT],
                synthetic=[SyntheticDataset(name="BIG", products=files)],
            )
        )
        sandbox.faults.silence = True
        peer = await stack.enter_async_context(Peer.connected(servers.amqp_url, VHOST, TENANT))
        environment = {f"RS_ORDER_{name}": url for name, url in sandbox.urls.items()} | {
            "RS_ORDER_DATABASE_URL": servers.database_url,
            "RS_ORDER_AMQP_URL": servers.amqp_url,
            "RS_ORDER_HTTP_PORT": "0",
            "RS_ORDER_HTTP_HOST": "127.0.0.1",
            "RS_ORDER_TENANTS": TENANT,
            "RS_ORDER_BATCH_SIZE": str(page),
            "RS_ORDER_LOG_LEVEL": "warning",
        }
        process = await stack.enter_async_context(service(environment))
        began = time.monotonic()
        correlation_id = await peer.order("dataset:BIG")
        await peer.until(correlation_id, "GRANTED", seconds=120)
        idle = resident_mib(process.pid)
        granted = time.monotonic()
        await sandbox.wait_for_restore(1, timeout_seconds=3600)
        completed = time.monotonic()
        peak = highest_resident_mib(process.pid)
        connection = await asyncpg.connect(servers.database_url)
        row = await connection.fetchrow(
            f"select sub_orders, pending_files from order_{TENANT}.orders"  # noqa: S608 - a constant
        )
        await connection.close()
        assert row is not None
        print(
            f"files {row['pending_files']:,}  sub-orders {row['sub_orders']}  page {page:,}\n"
            f"granted after {granted - began:.1f} s, completed after {completed - granted:.1f} s "
            f"({files / (completed - granted):,.0f} files/s)\n"
            f"resident: {idle:.0f} MiB when granted, {peak:.0f} MiB at most"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=1_000_000)
    parser.add_argument("--page", type=int, default=10_000)
    arguments = parser.parse_args()
    asyncio.run(measure(arguments.files, arguments.page))
