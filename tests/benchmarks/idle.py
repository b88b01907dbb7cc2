"""A service with 1, 100 and 1,000 tenants starts, and then has nothing to do.

Measured are the first start, which creates the tenants and all queues, later starts, which create only the
queues of the instance, and then the CPU time, the statements and the memory of the service while nothing
happens. Most of a start is imports and routes. About a second is the broker's, for 13 queues with 256
priorities (decision 0012). A further tenant takes 2 ms of the database, mostly to look for work to resume.
Statements are counted on the wire, whichever part of the service sends them. The floor is an event loop with
one connection to the broker and one to the database. It idles at the same time.

What an idle service does, in the order of its CPU time (py-spy): it looks whether consumers are still
registered, reads from the broker, ticks ten times a second in the web server, and looks for quorum queues.
On a slow machine this took ten times the CPU time of a fast one.
"""

import asyncio
import time
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

from tests.benchmarks import empty_loop
from tests.benchmarks.children import Child, child_process
from tests.benchmarks.counting_proxy import CountingProxy, counting_proxy
from tests.benchmarks.report import Curve, Figure, Report, Target
from tests.benchmarks.rounds import rounds_of
from tests.benchmarks.servers import BenchmarkServers, benchmark_servers
from tests.benchmarks.service import service_process
from tests.support.servers import FreshBroker

TENANTS, QUICK_TENANTS = (1, 100, 1000), (2,)
CALM_SECONDS, QUICK_CALM_SECONDS = 20.0, 0.2
"""After the start, until the periodic checks have their longest pauses."""
IDLE_SECONDS, QUICK_IDLE_SECONDS = 30.0, 1.0
START_SECONDS, START_MS_OF_TENANT = 5.0, 5.0


@dataclass
class Idle:
    """The samples of a service with a number of tenants, one for each round."""

    tenants: int
    first_start: list[float] = field(default_factory=list)
    start: list[float] = field(default_factory=list)
    cpu_percent: list[float] = field(default_factory=list)
    floor_percent: list[float] = field(default_factory=list)
    statements: list[float] = field(default_factory=list)
    round_trips: list[float] = field(default_factory=list)
    memory_mib: list[float] = field(default_factory=list)

    async def measure(self, servers: BenchmarkServers, *, quick: bool) -> None:
        async with (
            servers.database() as url,
            counting_proxy(url) as proxy,
            servers.broker() as broker,
        ):
            await self._first_round(proxy, broker)
            for _ in range(rounds_of(quick)):
                async with self._floor(url, broker) as floor:
                    await self._round(proxy, broker, quick=quick, floor=floor)

    async def _first_round(self, proxy: CountingProxy, broker: FreshBroker) -> None:
        began = time.monotonic()
        async with self._service(proxy, broker):
            self.first_start.append(time.monotonic() - began)

    async def _round(
        self, proxy: CountingProxy, broker: FreshBroker, *, quick: bool, floor: Child
    ) -> None:
        began = time.monotonic()
        async with self._service(proxy, broker) as child:
            self.start.append(time.monotonic() - began)
            await asyncio.sleep(QUICK_CALM_SECONDS if quick else CALM_SECONDS)
            statements, round_trips = proxy.statements, proxy.round_trips
            idle = QUICK_IDLE_SECONDS if quick else IDLE_SECONDS
            cpu, floor_cpu = await asyncio.gather(
                cpu_percent(child, idle), cpu_percent(floor, idle)
            )
            self.cpu_percent.append(cpu)
            self.floor_percent.append(floor_cpu)
            self.statements.append((proxy.statements - statements) * 60 / idle)
            self.round_trips.append((proxy.round_trips - round_trips) * 60 / idle)
            self.memory_mib.append(child.peak_mib())

    def _service(
        self, proxy: CountingProxy, broker: FreshBroker
    ) -> AbstractAsyncContextManager[Child]:
        names = [f"tenant{number}" for number in range(self.tenants)]
        return service_process(proxy.url, broker, tenants=names)

    def _floor(self, url: str, broker: FreshBroker) -> AbstractAsyncContextManager[Child]:
        options = {"database_url": url, "amqp_url": f"{broker.url}/{broker.vhost}"}
        return child_process(empty_loop.__name__, options)

    def figures(self) -> list[Figure]:
        name = f"{self.tenants:,} tenants: "
        return [
            Figure(f"{name}first start", "s", tuple(self.first_start)),
            Figure(f"{name}start", "s", tuple(self.start)),
            Figure(f"{name}CPU", "% of a core", tuple(self.cpu_percent)),
            Figure(f"{name}CPU of the floor", "% of a core", tuple(self.floor_percent)),
            Figure(f"{name}statements", "1/min", tuple(self.statements)),
            Figure(f"{name}round trips", "1/min", tuple(self.round_trips)),
            Figure(f"{name}peak memory", "MiB", tuple(self.memory_mib)),
        ]

    def targets(self) -> list[Target]:
        name = f"{self.tenants:,} tenants: "
        longest_start = START_SECONDS + START_MS_OF_TENANT * self.tenants / 1000
        start, cpu, statements = (
            Figure("", "", tuple(samples)).median
            for samples in (self.start, self.cpu_percent, self.statements)
        )
        return [
            Target(f"{name}start, s", start, longest_start, at_least=False),
            Target(f"{name}CPU, % of a core", cpu, 2.0, at_least=False),
            Target(f"{name}statements per minute", statements, 60.0, at_least=False),
        ]


async def cpu_percent(child: Child, seconds: float) -> float:
    """Observe a process for so many seconds, and return the share of a core that it used."""
    before = child.cpu_seconds()
    await asyncio.sleep(seconds)
    return 100 * (child.cpu_seconds() - before) / seconds


async def measure(quick: bool) -> Report:
    sizes = [Idle(tenants) for tenants in (QUICK_TENANTS if quick else TENANTS)]
    async with benchmark_servers() as servers:
        for size in sizes:
            await size.measure(servers, quick=quick)
    starts = tuple((size.tenants, Figure("", "", tuple(size.start)).median) for size in sizes)
    return Report(
        figures=[figure for size in sizes for figure in size.figures()],
        targets=[target for size in sizes for target in size.targets()],
        curves=[Curve("A later start", "tenants", "seconds", starts)],
        notes=["no tenant was used; statements are counted on the wire"],
    )
