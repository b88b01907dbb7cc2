"""``rs-order import-java`` takes over a large Java service, once undisturbed and once killed five times.

The source is made by ``tests/integration/moving_in/large_source.sql``: orders of 200 files, 50 in a
sub-order. Each import has an empty database, runs the real command in a process of its own, and is measured
from its start to its end: with planning, and with the comparison of both sides. The second import is killed
(SIGKILL) at drawn moments and repeated. After each import, statements that the import doesn't have compare
both sides: the rows, bytes and a hash of the orders by status, and of the files by state. ``--size`` is the
number of orders.
"""

import asyncio
import json
import os
import random
import sys
import tempfile
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

import asyncpg

from rs_order.demo.servers.lifecycle import report_on_stderr
from rs_order.sandbox.service_protocol import DEVELOPMENT_KEY
from tests.benchmarks.children import peak_mib_of
from tests.benchmarks.report import Figure, Report, Target
from tests.benchmarks.servers import BenchmarkServers, benchmark_servers
from tests.integration.moving_in.java_database import SCHEMA, java_database, load_large_source
from tests.support.polling import eventually

ORDERS, QUICK_ORDERS = 100_000, 100
FILES, SUB_ORDER_FILES = 200, 50
"""Files of an order, and of each of its sub-orders."""
SLICE_FILES, QUICK_SLICE_FILES = 50_000, 400
KILLS, QUICK_KILLS = 5, 1
TENANT: Final = "moved"
LONGEST_SECONDS: Final = 4 * 3600.0
FEWEST_PER_SECOND: Final = 20_000_000 / 3600
MOST_MB: Final = 200.0
"""With the line above, the limits of moving-in.md M8."""

_COPIED = "select count(tally)::float / greatest(count(*), 1) from moving_in_slice"
"""The share of the slices that are copied."""
_COUNT = """
select 'orders ' || status as what, count(*) as rows, 0::bigint as bytes,
       sum(hashtextextended(owner || ' ' || label || ' ' || correlation_id, id)) as hash
from {orders} group by status
union all
select 'files ' || state, count(*), sum(size)::bigint,
       sum(hashtextextended(checksum || ' ' || order_id || ' ' || {sub_order}, id))
from {files} group by state
order by what
"""
"""Rows, bytes, and a hash of what stays the same, by status or state."""
_SOURCE = {"orders": "t_order", "files": "t_data_file", "sub_order": "files_task_id"}
_TARGET = {"orders": "orders", "files": "data_file", "sub_order": "sub_order_id"}


@dataclass(frozen=True)
class Command:
    """A running command of rs-order."""

    process: Process
    output: "asyncio.Task[tuple[bytes, bytes]]"
    """Done when the process has ended."""


@dataclass
class Import:
    """An import into an empty database, by one process after the other."""

    source_url: str
    target_url: str
    slice_files: int
    seconds: float = 0.0
    peak_mb: float = 0.0
    """The most memory that one of its processes had resident."""
    killed_at: list[float] = field(default_factory=list)
    """The shares of the slices that were copied when it was killed."""

    async def run(self, kill_at: Sequence[float]) -> None:
        """Import everything. At each of these shares of copied slices the command is killed and repeated."""
        await self._succeed("tenant", "add", TENANT)
        with tempfile.TemporaryDirectory() as folder:
            arguments = [
                *("import-java", "--from", self.source_url, "--tenant", TENANT, "--json"),
                *("--slice-files", str(self.slice_files), "--templates", folder),
            ]
            began = time.monotonic()
            for share in kill_at:
                await self._kill(share, *arguments)
            report = json.loads(await self._succeed(*arguments))
            self.seconds = time.monotonic() - began
        if not report["agrees"]:
            raise RuntimeError(f"both sides differ: {report['differences']}")

    async def _succeed(self, *arguments: str) -> bytes:
        """Run a command to its end, and return what it printed."""
        async with self._command(*arguments) as command:

            def has_ended() -> bool:
                self._note_peak(command)
                return command.output.done()

            await eventually(has_ended, "end of the command", seconds=LONGEST_SECONDS)
            printed, _ = await command.output
        if command.process.returncode != 0:
            raise RuntimeError(f"rs-order {arguments[0]} failed, see its errors above")
        return printed

    async def _kill(self, share: float, *arguments: str) -> None:
        """Run a command until this share of the slices is copied, and kill it."""
        connection = await asyncpg.connect(
            self.target_url, server_settings={"search_path": f"order_{TENANT}"}
        )
        copied = 0.0
        try:
            async with self._command(*arguments) as command:

                async def is_due() -> bool:
                    nonlocal copied
                    self._note_peak(command)
                    copied = await connection.fetchval(_COPIED)
                    return copied >= share or command.output.done()

                await eventually(is_due, "moment of the kill", seconds=LONGEST_SECONDS)
                if command.output.done():
                    raise RuntimeError("the import ended before it was killed")
        finally:
            await connection.close()
        self.killed_at.append(copied)

    @asynccontextmanager
    async def _command(self, *arguments: str) -> AsyncIterator[Command]:
        """Run a command, whose progress is shown, in the block; kill it if it still runs at the end."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "rs_order", *arguments),
            env=os.environ
            | {
                "RS_ORDER_DATABASE_URL": self.target_url,
                "RS_ORDER_JWT_KEY_HS512": DEVELOPMENT_KEY,
                "RS_ORDER_LOG_LEVEL": "warning",
            },
            stdout=PIPE,
        )
        output = asyncio.create_task(process.communicate())
        try:
            yield Command(process, output)
        finally:
            if process.returncode is None:
                process.kill()
            await output

    def _note_peak(self, command: Command) -> None:
        self.peak_mb = max(self.peak_mb, (peak_mib_of(command.process.pid) or 0) * 2**20 / 1e6)


@dataclass
class Source:
    """The database of a large Java service."""

    servers: BenchmarkServers
    url: str
    orders: int
    counts: Sequence[asyncpg.Record]
    slice_files: int

    async def imported(self, name: str, kill_at: Sequence[float] = ()) -> Import:
        """Import it into a database of its own, and compare both sides."""
        async with self.servers.database() as target_url:
            one = Import(self.url, target_url, self.slice_files)
            await one.run(kill_at)
            if await counted(target_url, f"order_{TENANT}", _TARGET) != self.counts:
                raise RuntimeError(
                    f"{name}: both sides differ, although the import says they agree"
                )
        report_on_stderr(
            f"{name}: {self.orders * FILES:,} files in {one.seconds:.0f} s, {one.peak_mb:.0f} MB"
        )
        return one


async def counted(url: str, schema: str, names: dict[str, str]) -> list[asyncpg.Record]:
    """Return the rows, bytes and hashes of orders and files of one side."""
    connection = await asyncpg.connect(url, server_settings={"search_path": schema})
    try:
        return await connection.fetch(_COUNT.format(**names))
    finally:
        await connection.close()


async def measure(quick: bool, orders: int = ORDERS) -> Report:
    kills = QUICK_KILLS if quick else KILLS
    if quick:
        orders = QUICK_ORDERS
    drawn = random.Random(17)  # noqa: S311 - no secret
    kill_at = [(number + drawn.random()) / (kills + 1) for number in range(kills)]
    async with (
        benchmark_servers() as servers,
        java_database(servers.servers.database_url) as (url, connection),
    ):
        await load_large_source(
            connection, orders=orders, files=FILES, sub_order_files=SUB_ORDER_FILES
        )
        counts = await counted(url, SCHEMA, _SOURCE)
        report_on_stderr(f"the source has {orders:,} orders with {orders * FILES:,} files")
        source = Source(servers, url, orders, counts, QUICK_SLICE_FILES if quick else SLICE_FILES)
        undisturbed = await source.imported("undisturbed")
        killed = await source.imported(f"killed {kills} times", kill_at)
    return _report(orders, undisturbed, killed)


def _report(orders: int, undisturbed: Import, killed: Import) -> Report:
    files = orders * FILES
    shares = ", ".join(f"{share:.0%}" for share in killed.killed_at)
    return Report(
        figures=[
            Figure("import", "s", (undisturbed.seconds,)),
            Figure("rate", "files/s", (files / undisturbed.seconds,)),
            Figure("peak memory", "MB", (undisturbed.peak_mb,)),
            Figure("import that was killed", "s", (killed.seconds,)),
            Figure("its rate", "files/s", (files / killed.seconds,)),
            Figure("its peak memory", "MB", (killed.peak_mb,)),
        ],
        targets=[
            Target("files/s", files / undisturbed.seconds, FEWEST_PER_SECOND, at_least=True),
            Target("peak memory, MB", undisturbed.peak_mb, MOST_MB, at_least=False),
            Target("files/s, killed", files / killed.seconds, FEWEST_PER_SECOND, at_least=True),
            Target("peak memory, killed, MB", killed.peak_mb, MOST_MB, at_least=False),
        ],
        notes=[
            f"{orders:,} orders with {files:,} files, each measured once",
            "limits: 20,000,000 files in an hour, 200 MB",
            f"killed when {shares} of the slices were copied",
            "after both imports, rows, bytes and hashes of orders and files were those of the source",
        ],
    )
