"""The completion of one order of 1,000,000 files (100,000 products in 100 pages), until its sub-orders stand.

The floor is asyncpg's COPY of the same rows into the same tables with the same indexes, committed page by
page. The service is a process of its own; what it reads of the catalog is JSON text, as in production.

The pages of an order are added in turn. PostgreSQL stores some thousand files of a page while the service
reads the next ones. PostgreSQL waits while the service gets the text of a page, checks its JSON and reads
the first files, and for the commits of both. The CPU time of the service is as long as that of PostgreSQL.
A profile has a third of it in reading products, a third in the rows of files, and a tenth in checking the
text before. A page is kept as text, so the memory for 100,000 files is that of their text and of a few
thousand files. For other sizes:

    python -m tests.benchmarks.complete --files N [--page N]
"""

# ruff: noqa: T201 - a benchmark prints its figures

import argparse
import statistics
import time
from dataclasses import dataclass, field

import asyncpg
import uvloop

from rs_order.logs import configure_logs
from tests.benchmarks.ingest import ratios_of
from tests.benchmarks.paged_service import TENANT, paged_service
from tests.benchmarks.report import Curve, Figure, Report, Target
from tests.benchmarks.requesting import Requester
from tests.benchmarks.rounds import rounds_of
from tests.benchmarks.servers import BenchmarkServers, benchmark_servers, durable_servers
from tests.benchmarks.stubs import StubCatalog
from tests.support.polling import eventually

FILES, QUICK_FILES = 1_000_000, 1000
FILES_PER_PRODUCT = 10
PAGES, QUICK_PAGES = 100, 10
LARGE_PAGE = 10_000
"""Products in a page by default."""
LARGE_FILES = 2 * LARGE_PAGE * FILES_PER_PRODUCT
MOST_MIB = 200 / 1.048576
"""200 MB."""
LONGEST_SECONDS = 7200


@dataclass
class Completion:
    """Completes orders, each in a database of its own, and copies their rows."""

    servers: BenchmarkServers
    peaks_mib: list[float] = field(default_factory=list)
    held_ms: list[float] = field(default_factory=list)

    async def run(
        self, files: int, page_size: int, *, compared: bool = False
    ) -> tuple[float, float]:
        """Return how long the service takes for an order, and how long the floor takes if it is compared."""
        catalog = StubCatalog(files // FILES_PER_PRODUCT, FILES_PER_PRODUCT)
        async with (
            self.servers.database() as url,
            self.servers.broker() as broker,
            paged_service(url, broker, catalog, page_size=page_size) as child,
            Requester.connected(broker) as requester,
        ):
            database = await asyncpg.connect(url)
            await database.execute(f"set search_path to order_{TENANT}")
            began = time.monotonic()
            await requester.publish([TENANT], 1, "large", query="all")
            await self._until_complete(database, files)
            service = time.monotonic() - began
            self.peaks_mib.append(child.peak_mib())
            self.held_ms.append((await child.counts())["longest_microseconds"] / 1000)
            floor = await _copy(database, page_size * FILES_PER_PRODUCT) if compared else 0.0
            await database.close()
        return service, floor

    @staticmethod
    async def _until_complete(database: asyncpg.Connection, files: int) -> None:
        async def is_complete() -> bool:
            row = await database.fetchrow("select status, pending_files from orders")
            return row is not None and row["status"] == "RUNNING" and row["pending_files"] == files

        await eventually(is_complete, "the sub-orders stand", seconds=LONGEST_SECONDS)


async def _copy(database: asyncpg.Connection, page: int) -> float:
    """Copy the rows of all files page by page to an empty table; return the seconds without reading them."""
    await database.execute("create table copied_file (like data_file including all)")
    last, seconds = 0, 0.0
    while rows := await database.fetch(
        "select * from data_file where id > $1 order by id limit $2", last, page
    ):
        columns, last = list(rows[0].keys())[1:], rows[-1]["id"]
        records = [tuple(row)[1:] for row in rows]
        began = time.monotonic()
        await database.copy_records_to_table("copied_file", records=records, columns=columns)
        seconds += time.monotonic() - began
    return seconds


async def measure(quick: bool, files: int = FILES) -> Report:
    files = QUICK_FILES if quick else files
    page = files // FILES_PER_PRODUCT // (QUICK_PAGES if quick else PAGES)
    sizes = [] if quick else [10**power for power in range(1, len(str(files // 10)) - 1)]
    async with benchmark_servers() as servers:
        whole, large = Completion(servers), Completion(servers)
        times, floors, tenths = [], [], []
        for _ in range(rounds_of(quick)):
            service, floor = await whole.run(files, page, compared=True)
            times.append(service)
            floors.append(floor)
            tenths.append((await whole.run(files // 10, page))[0])
        points = [(float(size), (await whole.run(size, page))[0]) for size in sizes]
        await large.run(*((files, page) if quick else (LARGE_FILES, LARGE_PAGE)))
    points += [(files / 10, statistics.median(tenths)), (float(files), statistics.median(times))]
    return Report(
        figures=[
            Figure("service", "files/s", tuple(files / time_ for time_ in times)),
            Figure("floor", "files/s", tuple(files / time_ for time_ in floors)),
            ratio := Figure("service / floor", "", ratios_of(tuple(floors), tuple(times))),
            growth := Figure("time / time of a tenth", "", ratios_of(tuple(times), tuple(tenths))),
            peak := Figure("peak memory", "MiB", tuple(whole.peaks_mib)),
            large_peak := Figure("peak memory with large pages", "MiB", tuple(large.peaks_mib)),
            hold := Figure(
                "longest hold of the event loop, with large pages", "ms", tuple(large.held_ms)
            ),
        ],
        targets=[
            Target(ratio.name, ratio.median, 0.5, at_least=True),
            Target(growth.name, growth.median, 11, at_least=False),
            Target(peak.name, max(peak.samples), MOST_MIB, at_least=False),
            Target(large_peak.name, max(large_peak.samples), MOST_MIB, at_least=False),
            Target(hold.name, max(hold.samples), 100, at_least=False),
        ],
        curves=[Curve("Completion of an order", "files", "s", tuple(points))],
        notes=[
            f"{files:,} files, pages of {page * FILES_PER_PRODUCT:,} files",
            f"large pages: {LARGE_PAGE * FILES_PER_PRODUCT:,} files",
            "The hold is CPU time, since other processes use the machine, too.",
        ],
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--files", type=int, default=FILES)
    parser.add_argument("--page", type=int, default=FILES // FILES_PER_PRODUCT // PAGES)
    arguments = parser.parse_args()
    with durable_servers():
        uvloop.run(_print_one(arguments.files, arguments.page))


async def _print_one(files: int, page: int) -> None:
    async with benchmark_servers() as servers:
        completion = Completion(servers)
        service, floor = await completion.run(files, page, compared=True)
    print(
        f"{files:,} files, {page:,} products in a page: {files / service:,.0f} files/s, floor "
        f"{files / floor:,.0f} files/s, ratio {floor / service:.2f}, peak {completion.peaks_mib[0]:.0f} MiB, "
        f"longest hold {completion.held_ms[0]:.0f} ms"
    )


if __name__ == "__main__":
    configure_logs("warning", "json")
    main()
