"""Orders of one file, from the request to DONE: the costs of one, and how many end in a second.

First the orders come one after the other, each after the end of the one before. Then 100 come at once, and
then 1,000 wait in the queue while the service is suspended. Storage answers each restore request at once. All
statements of the service are counted: begin, commit and each setting of a transaction, and those of the
relay. A round trip is a message to the server, which may have several statements. The reference takes 113 to
121 statements per order.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.benchmarks.children import Child
from tests.benchmarks.ingest import TENANTS
from tests.benchmarks.report import Figure, Report, Target
from tests.benchmarks.requesting import Requester, Storage
from tests.benchmarks.rounds import rounds_of
from tests.benchmarks.servers import BenchmarkServers, benchmark_servers
from tests.benchmarks.service import service_process

ONE_BY_ONE, BURST, WAITING = 20, 100, 1000
QUICK_ONE_BY_ONE, QUICK_BURST, QUICK_WAITING = 3, 5, 10
SETTLED_SECONDS = 2.5
"""The rows of leased steps are deleted by then, so that they count with their orders."""
MOST_STATEMENTS, MOST_TRANSACTIONS = 120, 12
MOST_IN_A_BURST = 40
LEAST_RATE = 200


@dataclass
class EndToEnd:
    """Measures orders of a running service."""

    servers: BenchmarkServers
    child: Child
    requester: Requester
    costs: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Costs per order by name, one for each round."""
    rates: list[float] = field(default_factory=list)

    @classmethod
    @asynccontextmanager
    async def running(cls, servers: BenchmarkServers, url: str) -> AsyncIterator["EndToEnd"]:
        """Run a service on an empty database, and a storage that answers at once."""
        async with (
            servers.broker() as broker,
            service_process(
                url, broker, count_calls=True, tenants=TENANTS, max_storage_files_jobs_per_user=0
            ) as child,
            Requester.connected(broker) as requester,
            Storage.connected(broker),
        ):
            yield cls(servers, child, requester)

    async def one_of_each_tenant(self) -> None:
        ids = await self.requester.publish(TENANTS, len(TENANTS), "first")
        await self.requester.until_all("DONE", ids)

    async def one_by_one(self, prefix: str, orders: int) -> None:
        async with self._costs_of("one by one", orders):
            for number in range(orders):
                ids = await self.requester.publish(TENANTS[:1], 1, f"{prefix}-{number}")
                await self.requester.until_all("DONE", ids)

    async def burst(self, prefix: str, orders: int) -> None:
        async with self._costs_of("in a burst", orders):
            ids = await self.requester.publish(TENANTS[:1], orders, prefix)
            await self.requester.until_all("DONE", ids)

    async def waiting(self, prefix: str, orders: int) -> None:
        """Note the orders per second from the end of the suspension to the last DONE."""
        async with self._costs_of("from a queue", orders):
            with self.child.suspended():
                ids = await self.requester.publish(TENANTS, orders, prefix)
            began = time.monotonic()
            self.rates.append(orders / (await self.requester.until_all("DONE", ids) - began))

    @asynccontextmanager
    async def _costs_of(self, name: str, orders: int) -> AsyncIterator[None]:
        """Note what the block costs per order."""
        before = await self._spent()
        yield
        await asyncio.sleep(SETTLED_SECONDS)
        after = await self._spent()
        for cost, value in after.items():
            self.costs[f"{cost}, {name}"].append((value - before[cost]) / orders)

    async def _spent(self) -> dict[str, float]:
        counts = await self.child.counts()
        return {
            "statements": counts["statements"],
            "round trips": counts["round_trips"],
            "transactions": counts["transactions"],
            "service CPU": 1000 * self.child.cpu_seconds(),
            "PostgreSQL CPU": 1000 * await self.servers.database_cpu_seconds(),
        }


async def measure(quick: bool) -> Report:
    sizes = (
        (QUICK_ONE_BY_ONE, QUICK_BURST, QUICK_WAITING) if quick else (ONE_BY_ONE, BURST, WAITING)
    )
    async with (
        benchmark_servers() as servers,
        servers.database() as url,
        EndToEnd.running(servers, url) as orders,
    ):
        await orders.one_of_each_tenant()
        for number in range(rounds_of(quick)):
            await orders.one_by_one(f"one-{number}", sizes[0])
            await orders.burst(f"burst-{number}", sizes[1])
            await orders.waiting(f"waiting-{number}", sizes[2])
    return _report(orders, sizes)


def _report(orders: EndToEnd, sizes: tuple[int, int, int]) -> Report:
    costs = {
        name: Figure(name, "ms" if "CPU" in name else "", tuple(samples))
        for name, samples in orders.costs.items()
    }
    rate = Figure("orders to DONE", "orders/s", tuple(orders.rates))

    def most(name: str, limit: float) -> Target:
        return Target(f"{name}, per order", costs[name].median, limit, at_least=False)

    return Report(
        figures=[rate, *costs.values()],
        targets=[
            most("statements, one by one", MOST_STATEMENTS),
            most("transactions, one by one", MOST_TRANSACTIONS),
            most("statements, in a burst", MOST_IN_A_BURST),
            Target("orders to DONE per second", rate.median, LEAST_RATE, at_least=True),
        ],
        notes=[
            f"{sizes[0]} orders one by one, {sizes[1]} in a burst, {sizes[2]:,} from a queue per round",
            "costs are per order",
        ],
    )
