"""Choose and start what may run: the step ``schedule`` of one owner after the other.

Many sub-orders wait: 100 of each of 1,000 users of 50 tenants. Each step starts one of them: it locks the
owner's queue, reads the next sub-orders, writes the restore request and the reminder, and commits. The same
is measured with a hundredth of the rows. The floor is one transaction that selects as many sub-orders by an
index, for update, skipping locked ones. The size is the number of files in a sub-order; 100 give 10,000,000
rows. Tenants have their turns one after the other, so a process has more of them than connections.

A step compares the files of its sub-order with those that others wait for: with 100 files, these are 100
probes of an index at random places. A profile of 950 steps shows a third of the time for it, and a quarter
for the two writes of states and history. PostgreSQL has its default of 128 MB for 11 GB of rows; 6 GB made no
difference.
"""

import statistics
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial

from rs_order.app.application import Application
from rs_order.core.shared_steps import ScheduleStep
from rs_order.domain.ids import Tenant
from rs_order.store.pool import Pool, open_pool, transaction
from tests.benchmarks.report import Curve, Figure, Report, Target
from tests.benchmarks.rounds import interleaved, rounds_of
from tests.benchmarks.servers import BenchmarkServers, benchmark_servers
from tests.benchmarks.stored_orders import StoredOrders, composed_application

MANY, FEW, FLOOR = "step, many rows", "step, a hundredth of the rows", "floor, many rows"
P99_MS, P99_RATIO = 10.0, 2.0
_FLOOR = """
select id from sub_order where owner = $1 and state = 'READY' and asks_storage
order by rank limit 1 for update skip locked
"""


@dataclass
class _Side:
    """The owners that remain for one side, and the times of their steps."""

    work: Callable[[Tenant, str], Awaitable[None]]
    owners: Iterator[tuple[Tenant, str]]
    times: list[float] = field(default_factory=list)

    async def measure(self, steps: int) -> float:
        """Handle so many steps, and return the median of their times in ms."""
        times = [await self._timed(*next(self.owners)) for _ in range(steps)]
        self.times += times
        return statistics.median(times)

    async def warm_up(self, steps: int) -> None:
        for _ in range(steps):
            await self.work(*next(self.owners))

    async def _timed(self, tenant: Tenant, owner: str) -> float:
        began = time.perf_counter()
        await self.work(tenant, owner)
        return 1000 * (time.perf_counter() - began)

    @property
    def p99(self) -> float:
        return statistics.quantiles(self.times, n=100, method="inclusive")[98]


async def measure(quick: bool, size: int = 100) -> Report:
    """Measure steps over many rows, over few, and the floor, in turn."""
    files = 2 if quick else size
    tenants = [Tenant(f"tenant{number}") for number in range(2 if quick else 50)]
    users, rounds = (4, 1) if quick else (20, rounds_of(quick))
    many = StoredOrders(users, sub_orders=5 if quick else 100, files=files)
    few = StoredOrders(users, sub_orders=1, files=files)
    owners = [(tenant, f"user{user}") for user in range(1, users + 1) for tenant in tenants]
    async with benchmark_servers() as servers, AsyncExitStack() as stack:
        over_many, pool = await _prepared(stack, servers, many, tenants)
        over_few, _ = await _prepared(stack, servers, few, tenants)
        await servers.admin.execute("checkpoint")  # not beside the measurement
        sides = {
            MANY: _Side(_step(over_many), iter(owners)),
            FEW: _Side(_step(over_few), iter(owners)),
            FLOOR: _Side(_floor(pool), iter(owners)),
        }
        for side in sides.values():
            await side.warm_up(len(tenants))
        steps = (len(owners) - len(tenants)) // rounds
        samples = await interleaved(
            rounds, {name: partial(side.measure, steps) for name, side in sides.items()}
        )
    return _report(sides, samples, rows=len(tenants) * many.total_files, steps=rounds * steps)


async def _prepared(
    stack: AsyncExitStack, servers: BenchmarkServers, orders: StoredOrders, tenants: list[Tenant]
) -> tuple[Application, Pool]:
    """Return an application over a database with these orders of each tenant, and a pool of its own."""
    url = await stack.enter_async_context(servers.database())
    application = await stack.enter_async_context(
        composed_application(database_url=url, tenants=tenants, max_storage_files_jobs_per_user=1)
    )
    for tenant in tenants:
        await orders.write(url, tenant, state="READY")
    return application, await stack.enter_async_context(await open_pool(url, size=1))


def _step(application: Application) -> Callable[[Tenant, str], Awaitable[None]]:
    async def work(tenant: Tenant, owner: str) -> None:
        await application.scheduling.schedule.handle(tenant, ScheduleStep(owner))

    return work


def _floor(pool: Pool) -> Callable[[Tenant, str], Awaitable[None]]:
    async def work(tenant: Tenant, owner: str) -> None:
        async with transaction(pool, tenant) as connection:
            await connection.fetch(_FLOOR, owner)

    return work


def _report(
    sides: dict[str, _Side], samples: dict[str, tuple[float, ...]], *, rows: int, steps: int
) -> Report:
    p99 = {name: side.p99 for name, side in sides.items()}
    p50 = {name: statistics.median(side.times) for name, side in sides.items()}
    return Report(
        figures=[
            *(Figure(f"p50, {name}", "ms", samples[name]) for name in sides),
            *(Figure(f"p99, {name}", "ms", (p99[name],)) for name in sides),
        ],
        targets=[
            Target("p99 of a step in ms", p99[MANY], P99_MS, at_least=False),
            Target(
                "p99 over that of a hundredth of the rows",
                p99[MANY] / p99[FEW],
                P99_RATIO,
                at_least=False,
            ),
        ],
        curves=[
            Curve("Time of a step", "file rows", "ms", ((rows / 100, p50[FEW]), (rows, p50[MANY])))
        ],
        notes=[
            f"{rows:,} file rows; {steps:,} steps, one after the other, each of another owner",
            "The floor writes nothing; a step writes six rows and commits them with fsync.",
        ],
    )
