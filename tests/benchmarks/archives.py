"""Archives of 100,000 and of a million files, made in a process of its own.

The first 100,000 files are placed at once, as while a client waits; steps place the others. No byte of a file
is read. The orders are written by SQL.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from rs_order.store.migrate import migrate_platform
from rs_order.store.pool import Pool, open_pool
from rs_order.store.tenants import Tenants
from tests.benchmarks.children import child_process
from tests.benchmarks.report import Curve, Figure, Report, Target
from tests.benchmarks.servers import benchmark_servers
from tests.rest.fake_downloads import DEMO, OWNER
from tests.support.large_orders import write_large_order
from tests.support.rows import in_tenant

SIZES = (100_000, 300_000, 1_000_000)
QUICK_SIZES = (1000, 3000)
AT_ONCE, QUICK_AT_ONCE = 100_000, 1000
MOST_MIB = 256
"""Memory above idle for the largest archive: that of a step, and of a million names."""


async def measure(quick: bool) -> Report:
    made = []
    async with benchmark_servers() as servers, servers.database() as url, _migrated(url) as pool:
        for files in QUICK_SIZES if quick else SIZES:
            at_once = QUICK_AT_ONCE if quick else AT_ONCE
            made.append(await _made(url, await _ordered(pool, files), files, at_once))
    return _report(made)


@asynccontextmanager
async def _migrated(database_url: str) -> AsyncIterator[Pool]:
    async with await open_pool(database_url, size=2) as pool:
        await migrate_platform(pool)
        await Tenants(pool).add(DEMO)
        yield pool


async def _ordered(pool: Pool, files: int) -> int:
    async with in_tenant(pool, DEMO) as connection:
        await connection.execute("set local statement_timeout = 0")  # a million rows take longer
        return await write_large_order(
            connection,
            owner=OWNER,
            status="DONE",
            sub_order_state="WAITING",
            state="available",
            sub_orders=1,
            each=files,
        )


async def _made(database_url: str, order: int, files: int, at_once: int) -> dict[str, Any]:
    """Make an archive of an order; return what it cost."""
    options = {"database_url": database_url, "order": order, "at_once": at_once}
    async with child_process("tests.benchmarks.archive_maker", options) as maker:
        made: dict[str, Any] = json.loads(maker.reported)
        if made["files"] != files:
            raise RuntimeError(f"the archive has {made['files']} files instead of {files}")
        return {**made, "above_idle": maker.peak_mib() - made["idle"]}


def _report(made: list[dict[str, Any]]) -> Report:
    largest = made[-1]
    return Report(
        figures=[
            *(
                Figure(f"making an archive of {one['files']:,} files", "s", (sum(one["seconds"]),))
                for one in made
            ),
            Figure(f"a step of {largest['files']:,} files", "s", tuple(largest["seconds"])),
            *(
                Figure(f"memory above idle, {one['files']:,} files", "MiB", (one["above_idle"],))
                for one in made
            ),
        ],
        targets=[
            Target(
                "memory above idle for the largest, MiB",
                largest["above_idle"],
                MOST_MIB,
                at_least=False,
            )
        ],
        curves=[
            Curve(
                title="Time to make an archive",
                x="files",
                y="s",
                points=tuple((one["files"], sum(one["seconds"])) for one in made),
            ),
            Curve(
                title="Memory to make an archive",
                x="files",
                y="MiB above idle",
                points=tuple((one["files"], one["above_idle"]) for one in made),
            ),
        ],
    )
