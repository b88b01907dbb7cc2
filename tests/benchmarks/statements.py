"""Counts the statements that orders cost, from the request to DONE.

    python -m tests.benchmarks.statements [--one-by-one N] [--burst N]

First orders come one after the other, then many at once, so that the service handles them in batches. The
service runs in this process, and the reconciler's first run is over before the count starts. The count is by
SQL file. ``outbox.sql`` is listed apart: with it the relay also asks for messages while there are none.
"""

# ruff: noqa: T201 - a measurement prints its figures

import argparse
import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import asyncpg

from rs_order.sandbox.synthetic import SyntheticDataset
from tests.acceptance.platform import Platform
from tests.benchmarks.reading_path import named_statements, running_service

FILE_OF_THE_RELAY = "outbox.sql"
OTHER = "not in a file"
"""Begin and end of transactions."""
SECONDS = 300
CHECKS, CHECK_SECONDS = 10, 0.3
_NOTHING_DUE = """
select where not exists (
    select from rs_order.outbox where due_at is null or due_at < now() + interval '1 minute'
)
"""


@contextmanager
def counted_statements() -> Iterator[Counter[str]]:
    """Count the statements of all pools that are opened in the block, by SQL file."""
    files = named_statements()
    count: Counter[str] = Counter()

    def note(query: str) -> None:
        count[files.get(query, OTHER).rsplit("/", 1)[-1]] += 1

    with observed_statements(note):
        yield count


@contextmanager
def observed_statements(note: Callable[[str], None]) -> Iterator[None]:
    """Call ``note`` with the text of each database call, for all pools that are opened in the block."""
    open_pool: Callable[..., Any] = asyncpg.create_pool

    def watched(*arguments: Any, init: Callable[[Any], Awaitable[None]], **options: Any) -> Any:
        async def prepare(connection: Any) -> None:
            await init(connection)
            connection.add_query_logger(lambda record: note(record.query))

        return open_pool(*arguments, init=prepare, **options)

    asyncpg.create_pool = watched  # type: ignore[assignment]  # a narrower signature, for our calls
    try:
        yield
    finally:
        asyncpg.create_pool = open_pool


async def measure(one_by_one: int, burst: int) -> None:
    dataset = SyntheticDataset(name="D", products=one_by_one + burst, location="online")
    with counted_statements() as count:
        async with running_service(dataset, max_storage_files_jobs_per_user=0) as platform:
            await _done(platform, 0)
            await _until_idle(platform)
            count.clear()
            for number in range(1, one_by_one):
                await _done(platform, number)
            _print(f"{one_by_one - 1} orders one by one", count, one_by_one - 1)
            count.clear()
            numbers = range(one_by_one, one_by_one + burst)
            await asyncio.gather(*(_done(platform, number) for number in numbers))
            _print(f"{burst} orders at once", count, burst)


async def _until_idle(platform: Platform) -> None:
    """Wait until no work has been due for a while: a running step isn't in the outbox."""
    idle_checks = 0
    async with asyncio.timeout(SECONDS):
        while idle_checks < CHECKS:
            idle_checks = idle_checks + 1 if await platform.rows(_NOTHING_DUE) else 0
            await asyncio.sleep(CHECK_SECONDS)


async def _done(platform: Platform, number: int) -> None:
    """Order the file of a number, and wait for DONE."""
    correlation_id = await platform.peer.order(f'providerId:"SYN_D_{number + 1:07d}"')
    await platform.peer.until(correlation_id, "DONE", seconds=SECONDS)


def _print(title: str, count: Counter[str], orders: int) -> None:
    """Print statements per order."""
    apart = {FILE_OF_THE_RELAY, OTHER}
    total = sum(number for file, number in count.items() if file not in apart)
    print(f"{title}: {total / orders:.2f} statements of an order")
    for file, number in sorted(count.items()):
        print(f"    {file:24} {number / orders:7.2f}{' (apart)' if file in apart else ''}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--one-by-one", type=int, default=20)
    parser.add_argument("--burst", type=int, default=300)
    arguments = parser.parse_args()
    asyncio.run(measure(arguments.one_by_one, arguments.burst))


if __name__ == "__main__":
    main()
