"""Why and when: the progress of an order with 200 sub-orders, and lists of orders with and without reasons.

One client asks again and again over one connection, so that a time is that of the service alone. The owner of
the order has two slots: two sub-orders are at storage, 198 wait in the queue. 100 samples give it a range.
The lists have 20 orders of one sub-order each. Those of the first wait for storage, so each has a reason and
a range; those of the second are done, so no reason is read. They are otherwise the same.

The ratio of the two is missed because a list without reasons is one statement and little else, so that one
with reasons may take 0.15 ms more. The reasons of 20 orders take one more statement of 0.7 ms, which joins
what nine tables say of each order. Its plan is made once. The row of the order takes 0.1 ms, and the groups
of its sub-orders at work take 0.3 ms. The queue, the holds and other parts take 0.2 ms, although they decide
nothing for an order at storage: a second statement for them would show another moment. Neither fewer columns
nor one grouping for all orders makes it faster. And they take about 25 µs of Python per order: its facts, its
reason among those of its groups, and its range from the ratios of the samples. What makes lists faster makes
the one without reasons faster, too, and the ratio worse. Nothing is kept from one request to the next,
because other instances change what it follows from.
"""

from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import asyncpg

from rs_order.domain.ids import Tenant
from rs_order.store.pool import tenant_schema
from tests.benchmarks.children import Child
from tests.benchmarks.http_load import Load, Requested, http_load
from tests.benchmarks.report import Figure, Report, Target
from tests.benchmarks.rest import token_of
from tests.benchmarks.rounds import interleaved, rounds_of
from tests.benchmarks.servers import benchmark_servers
from tests.benchmarks.service import service_process
from tests.support.large_orders import write_large_order

TENANT = Tenant("project1")
SUB_ORDERS = 200
LISTED = 20
LONGEST_P99_MS = 20.0
LOWEST_RATIO = 0.9
PROGRESS, WITH_REASONS, FINISHED = (
    f"progress of {SUB_ORDERS} sub-orders",
    f"list of {LISTED} orders, with reasons",
    f"list of {LISTED} orders, finished",
)
_AT_WORK = """
update sub_order set state = 'RUNNING', asks = 1, asked_at = now(),
    due_at = now() + interval '1 day', guess = 3600, expected_earliest = 1800, expected_latest = 7200
where id in (select id from sub_order where order_id = $1 order by id limit 2)
"""
_SAMPLES = """
insert into restore_sample (asked_at, settled_at, files, bytes, guess, expected_earliest, expected_latest)
select now() - make_interval(mins => 70 * n), now() - make_interval(mins => 70 * n - 30 - n % 60), 1, 1000000,
    3600, 1800, 7200
from generate_series(1, 100) n
"""


async def measure(quick: bool) -> Report:
    seconds = 1.0 if quick else 3.0
    loads: dict[str, list[Load]] = defaultdict(list)
    async with _running() as (service, cases):

        def side(name: str) -> Callable[[], Awaitable[float]]:
            async def measured() -> float:
                load = await http_load(
                    service.reported, [cases[name]], seconds=seconds, connections=1
                )
                loads[name].append(load)
                return load.per_second

            return measured

        sides = {name: side(name) for name in cases}
        if not quick:
            for warm_up in sides.values():
                await warm_up()
            loads.clear()
        rates = await interleaved(rounds_of(quick), sides)
    return _report(rates, loads)


def _report(rates: dict[str, tuple[float, ...]], loads: dict[str, list[Load]]) -> Report:
    figures: list[Figure] = []
    for name, found in loads.items():
        figures += [
            Figure(name, "requests/s", rates[name]),
            Figure(f"{name}: p50", "ms", tuple(load.p50_ms for load in found)),
            Figure(f"{name}: p99", "ms", tuple(load.p99_ms for load in found)),
        ]
    by_name = {figure.name: figure.median for figure in figures}
    return Report(
        figures,
        [
            Target(
                f"{PROGRESS}: p99 in ms",
                by_name[f"{PROGRESS}: p99"],
                LONGEST_P99_MS,
                at_least=False,
            ),
            Target(
                "rate of a list with reasons / without",
                by_name[WITH_REASONS] / by_name[FINISHED],
                LOWEST_RATIO,
                at_least=True,
            ),
        ],
        notes=["1 connection, rate limits off"],
    )


@asynccontextmanager
async def _running() -> AsyncIterator[tuple[Child, dict[str, Requested]]]:
    """Run the service; yield it and the requests by name."""
    async with (
        benchmark_servers() as servers,
        servers.database() as database_url,
        servers.broker() as broker,
        service_process(
            database_url,
            broker,
            tenants=[TENANT],
            user_requests_per_second=0,
            max_storage_files_jobs_per_user=2,
        ) as service,
    ):
        path = {"search_path": tenant_schema(TENANT)}
        connection = await asyncpg.connect(database_url, server_settings=path)
        try:
            order = await _write(connection)
        finally:
            await connection.close()
        yield (
            service,
            {
                PROGRESS: Requested(f"/user/orders/{order}/progress", token=token_of("jane")),
                WITH_REASONS: Requested(f"/user/orders?size={LISTED}", token=token_of("john")),
                FINISHED: Requested(f"/user/orders?size={LISTED}", token=token_of("eve")),
            },
        )


async def _write(connection: asyncpg.Connection) -> int:
    """Write the orders, and return the id of the large one."""
    waiting = {"status": "RUNNING", "sub_order_state": "READY", "state": "pending", "each": 2}
    done = {"status": "DONE", "sub_order_state": "WAITING", "state": "available", "each": 2}
    large = await write_large_order(connection, owner="jane", sub_orders=SUB_ORDERS, **waiting)
    await connection.execute(_AT_WORK, large)
    for _ in range(LISTED):
        order = await write_large_order(connection, owner="john", sub_orders=1, **waiting)
        await connection.execute(_AT_WORK, order)
        await write_large_order(connection, owner="eve", sub_orders=1, **done)
    await connection.execute(_SAMPLES)
    await connection.execute("vacuum analyze")
    return large
