"""The work of 1, 2 and 4 instances: orders of one file from the request to DONE, with storage's events.

All instances are suspended while the requests are published. They go on until storage is asked for all files.
Then they are suspended again while storage publishes its events, and go on until all orders are DONE. So
requests and events wait in their queues, as in ``ingest`` and ``track``. Before the measurement each instance
has 500 orders: what a process does once, such as to open connections and prepare statements, isn't the cost
of an order.

The total rate is limited by the cores of the machine, which the instances share with PostgreSQL and RabbitMQ.
So what counts is how the cost of an order grows: more instances must not do more work. They do more, because
each has its own batches of each tenant, which are smaller: four have half as many statements again. They also
take more CPU time as processes that take turns on two cores. In a slower hour, batches were larger, and the
ratio was 1.14. The total rate doesn't fall with further instances.
"""

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial

from tests.benchmarks.children import Child
from tests.benchmarks.ingest import TENANTS
from tests.benchmarks.report import Curve, Figure, Report, Target
from tests.benchmarks.requesting import PatientStorage, Requester
from tests.benchmarks.rounds import interleaved, rounds_of
from tests.benchmarks.servers import BenchmarkServers, benchmark_servers
from tests.benchmarks.service import service_process
from tests.support.reused_broker import INSTANCE

INSTANCES, QUICK_INSTANCES = (1, 2, 4), (2,)
ORDERS, QUICK_ORDERS = 4000, 10
WARM_UP, QUICK_WARM_UP = 500, 2
GROWTH = 1.15
"""The limit of the CPU per order of most instances, divided by that of one."""


@dataclass
class Several:
    """Measures orders with a number of instances, each round with an empty database."""

    servers: BenchmarkServers
    orders: int
    warm_up: int
    """Orders of each instance before the measurement."""
    tenants: tuple[str, ...]
    costs: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Cost per order by name and number of instances, one for each round."""

    async def rate(self, instances: int) -> float:
        """Return the orders per second, without the time of the suspensions; note the costs."""
        async with AsyncExitStack() as stack:
            url = await stack.enter_async_context(self.servers.database())
            broker = await stack.enter_async_context(self.servers.broker())
            children = [
                await stack.enter_async_context(
                    service_process(
                        url,
                        broker,
                        count_calls=True,
                        tenants=self.tenants,
                        max_storage_files_jobs_per_user=0,
                        amqp_microservice_instance_identifier=_identifier(number),
                    )
                )
                for number in range(instances)
            ]
            requester = await stack.enter_async_context(Requester.connected(broker))
            storage = await stack.enter_async_context(PatientStorage.connected(broker))
            work = _Work(children, self.tenants, requester, storage)
            await work.seconds("warm-up", self.warm_up * instances)
            before = await self._spent(children)
            seconds = await work.seconds("order", self.orders)
            after = await self._spent(children)
            for name, value in after.items():
                self.costs[f"{name}, {instances}"].append((value - before[name]) / self.orders)
        return self.orders / seconds

    async def _spent(self, children: list[Child]) -> dict[str, float]:
        """Return the costs of all instances and the database since their start, by name."""
        counts = [await child.counts() for child in children]
        return {
            "service CPU": 1000 * sum(child.cpu_seconds() for child in children),
            "PostgreSQL CPU": 1000 * await self.servers.database_cpu_seconds(),
            "round trips": sum(count["round_trips"] for count in counts),
            "statements": sum(count["statements"] for count in counts),
        }


@dataclass(frozen=True)
class _Work:
    """Lets instances handle orders that wait, and events that wait."""

    children: Sequence[Child]
    tenants: tuple[str, ...]
    requester: Requester
    storage: PatientStorage

    async def seconds(self, prefix: str, orders: int) -> float:
        """Return the time of so many orders, without that of the suspensions."""
        with _suspended(self.children):
            ids = await self.requester.publish(self.tenants, orders, prefix)
        began = time.monotonic()
        await self.storage.until_asked(orders)
        seconds = time.monotonic() - began
        with _suspended(self.children):
            await self.storage.answer()
        began = time.monotonic()
        return seconds + await self.requester.until_all("DONE", ids) - began


@contextmanager
def _suspended(children: Sequence[Child]) -> Iterator[None]:
    """Suspend all instances in the block."""
    with ExitStack() as suspensions:
        for child in children:
            suspensions.enter_context(child.suspended())
        yield


def _identifier(number: int) -> str:
    """Return a name of its own for each instance."""
    return INSTANCE if number == 0 else f"instance-{number}"


async def measure(quick: bool, orders: int = ORDERS) -> Report:
    instances = QUICK_INSTANCES if quick else INSTANCES
    async with benchmark_servers() as servers:
        several = (
            Several(servers, QUICK_ORDERS, QUICK_WARM_UP, TENANTS[:2])
            if quick
            else Several(servers, orders, WARM_UP, TENANTS)
        )
        rates = await interleaved(
            rounds_of(quick),
            {str(number): partial(several.rate, number) for number in instances},
        )
    return _report(several, rates, instances)


def _report(
    several: Several, rates: dict[str, tuple[float, ...]], instances: tuple[int, ...]
) -> Report:
    total = [Figure(f"orders, {number}", "orders/s", samples) for number, samples in rates.items()]
    costs = {
        name: Figure(name, "ms" if "CPU" in name else "", tuple(samples))
        for name, samples in several.costs.items()
    }
    cpu = [(number, costs[f"service CPU, {number}"].median) for number in instances]
    growth = cpu[-1][1] / cpu[0][1]
    return Report(
        figures=[*total, *costs.values()],
        targets=[
            Target(f"service CPU per order, {instances[-1]} / 1", growth, GROWTH, at_least=False)
        ],
        curves=[Curve("CPU of the service per order", "instances", "ms", tuple(cpu))],
        notes=[
            f"{several.orders:,} orders of {len(several.tenants)} tenants per round",
            "costs are per order; the number behind a name is the number of instances",
        ],
    )
