"""Measures the index of dead letters among many: pages, filters, acts, and the passes of the watcher.

python -m tests.benchmarks.dead_letters [--letters N]
"""

# ruff: noqa: T201 - a measurement prints its figures

import argparse
import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aio_pika
import asyncpg

from rs_order.app.clock import SystemClock
from rs_order.app.dead_letters import dead_letter_services
from rs_order.broker.dead_letter_watch import DeadLetterWatch
from rs_order.broker.queue_names import topology
from rs_order.broker.topology import Vhost
from rs_order.domain.dead_letters import ANY_DEAD_LETTER, DeadLetterFilter, Operator
from rs_order.store.dead_letters import DeadLetterIndex, DeadLetterStore
from rs_order.store.migrate import migrate_platform
from rs_order.store.pool import Pool, open_pool
from tests.benchmarks.servers import BenchmarkServers, benchmark_servers
from tests.support.servers import FreshBroker

_LETTERS = """
insert into rs_order.dead_letter (id, identity, vhost, queue, origin, tenant, reason, order_id, step,
    died_at, times, headers, properties, body)
select 'letter-' || n, 'letter-' || n, 'multitenant', 'queue.' || n % 4 || '.DLQ', 'queue.' || n % 4,
    'project' || n % 50, case when n % 100 = 0 then 'remote-nonsense' else 'invalid-message' end,
    n / 10, 'schedule', now() - n * interval '1 second', 1,
    jsonb_build_object('rs-order.letter-id', 'letter-' || n, 'x-exception-message', repeat('x', 500)),
    '{}', convert_to(repeat('body ', 200), 'UTF8')
from generate_series(1, $1::integer) n
"""
_ROOT = Operator("root", "cli")
_QUEUE = "queue.DLQ"
_AT_A_TIME = 1000
_NAMES = topology(instance_identifier="benchmark")


async def measure(letters: int) -> None:
    async with benchmark_servers() as servers:
        async with _empty_database(servers) as (url, pool):
            await _measure_index(url, pool, letters)
        async with _empty_database(servers) as (_, pool), servers.broker() as broker:
            await _measure_passes(broker, DeadLetterIndex(pool, SystemClock()), letters)


@asynccontextmanager
async def _empty_database(servers: BenchmarkServers) -> AsyncIterator[tuple[str, Pool]]:
    async with servers.database() as url, await open_pool(url, size=2) as pool:
        await migrate_platform(pool)
        yield url, pool


async def _measure_passes(broker: FreshBroker, index: DeadLetterIndex, letters: int) -> None:
    """Fill a queue, and measure the first pass, which indexes all, and a check without a difference."""
    async with await aio_pika.connect(f"{broker.url}/{broker.vhost}") as connection:
        channel = await connection.channel()
        await channel.declare_queue(_QUEUE, durable=True)
        message = aio_pika.Message(b"body " * 200, headers={"x-death-queue": "queue"})
        for start in range(0, letters, _AT_A_TIME):
            batch = range(start, min(start + _AT_A_TIME, letters))
            await asyncio.gather(
                *(channel.default_exchange.publish(message, _QUEUE) for _ in batch)
            )
        watch = DeadLetterWatch(
            broker.url, Vhost.MULTITENANT, broker.vhost, lambda: [_QUEUE], index
        )
        for what in ("first pass", "equal queue"):
            began = time.perf_counter()
            await watch.check(connection)
            print(f"{what:>16}: {time.perf_counter() - began:.2f} s")


async def _measure_index(url: str, pool: Pool, letters: int) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(_LETTERS, letters)
    await connection.execute("vacuum analyze")
    await connection.close()
    clock = SystemClock()
    services = dead_letter_services(DeadLetterStore(pool), clock, _NAMES)
    index = DeadLetterIndex(pool, clock)
    acts, last = services.acts, f"letter-{letters - 20}"
    calls: dict[str, Callable[[], Awaitable[object]]] = {
        "first page": lambda: acts.list(ANY_DEAD_LETTER, _ROOT, 20),
        "first 1000": lambda: acts.list(ANY_DEAD_LETTER, _ROOT, 1000),
        "last page": lambda: acts.list(ANY_DEAD_LETTER, _ROOT, 20, after=last),
        "by reason": lambda: acts.list(DeadLetterFilter(reason="remote-nonsense"), _ROOT, 20),
        "by tenant": lambda: acts.list(DeadLetterFilter(tenant="project49"), _ROOT, 20),
        "of an order": lambda: acts.list(DeadLetterFilter(order_id=letters // 10), _ROOT, 20),
        "no match": lambda: acts.list(DeadLetterFilter(reason="other"), _ROOT, 20),
        "watcher's check": lambda: index.queues("multitenant"),
        "replay of one": lambda: acts.replay([last], _ROOT),
    }
    for what, call in calls.items():
        print(f"{what:>16}: {await _milliseconds(call)}")


async def _milliseconds(call: Callable[[], Awaitable[object]], times: int = 7) -> str:
    """Return the first and the median time of a call."""
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        await call()
        taken.append(1000 * (time.perf_counter() - began))
    return f"first {taken[0]:.1f} ms, median {sorted(taken)[times // 2]:.1f} ms"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--letters", type=int, default=100_000)
    asyncio.run(measure(parser.parse_args().letters))
