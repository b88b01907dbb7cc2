"""How costs grow: with orders at once, tenants, orders in the database, and files of an order.

Each point is measured once, with an empty database and a service of its own. The schemas of the tenants are
made before the point is measured. The largest order has ten million files, which takes some minutes;
``--size`` sets another number. Further curves stand with the benchmarks that measure them.

From two million files of an order on, a file costs more. The index that keeps a file from being in an order
twice takes 54 bytes a file, and is written at random places. Then it no longer fits into the 128 MiB of
shared buffers that PostgreSQL has by default, and its pages are written again and again.
"""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg

from tests.benchmarks.children import Child
from tests.benchmarks.ingest import TENANTS
from tests.benchmarks.report import Curve, Figure, Report
from tests.benchmarks.requesting import Requester
from tests.benchmarks.servers import BenchmarkServers, benchmark_servers
from tests.benchmarks.service import service_process
from tests.benchmarks.stubs import StubCatalog

_OLD_ORDERS = """
insert into order_{tenant}.orders (owner, role, label, correlation_id, status, sub_order_hours, created_at,
    expires_at, available_files, available_at)
select 'user' || n % 1000 || '@example.org', 'REGISTERED_USER', 'label ' || n, 'old', 'DONE', 240,
       now() - interval '1 minute' * n, now() + interval '7 days', 1, now()
from generate_series(1, {orders}) n;
analyze order_{tenant}.orders
"""


LARGEST_ORDER = 10_000_000
"""Files of the largest order, unless ``--size`` says otherwise."""


def powers_of_ten(first: int, last: int) -> tuple[int, ...]:
    """Return first, 10 * first, …, up to last."""
    sizes = [first]
    while sizes[-1] * 10 <= last:
        sizes.append(sizes[-1] * 10)
    return tuple(sizes)


@dataclass(frozen=True)
class Sizes:
    """The values of the axes."""

    at_once: Sequence[int] = (1, 10, 100, 1_000, 10_000)
    tenants: Sequence[int] = (1, 10, 100, 1_000)
    in_database: Sequence[int] = (1, 10, 100, 1_000, 10_000, 100_000)
    files: Sequence[int] = powers_of_ten(10, LARGEST_ORDER)
    orders: int = 300
    """The orders of a point whose axis isn't the orders."""


QUICK = Sizes(at_once=(10,), tenants=(), in_database=(), files=(), orders=2)


@dataclass(frozen=True)
class Deployment:
    """A service with its database, and a peer that requests orders."""

    servers: BenchmarkServers
    service: Child
    requester: Requester
    database_url: str
    tenants: Sequence[str]

    async def seconds(self, orders: int, status: str, query: str | None = None) -> float:
        """Let requests wait in the queue, and return the time until all have a response with the status."""
        with self.service.suspended():
            ids = await self.requester.publish(self.tenants, orders, status, query=query)
        began = time.monotonic()
        return await self.requester.until_all(status, ids) - began

    async def cpu_ms(self, orders: int) -> float:
        """Return the CPU time of service and database per order, from the request to DONE."""
        before = await self._cpu_seconds()
        await self.seconds(orders, "DONE")
        return 1000 * (await self._cpu_seconds() - before) / orders

    async def _cpu_seconds(self) -> float:
        return self.service.cpu_seconds() + await self.servers.database_cpu_seconds()


@asynccontextmanager
async def deployment(
    servers: BenchmarkServers, tenants: Sequence[str] = TENANTS[:1], products: int = 1_000_000
) -> AsyncIterator[Deployment]:
    """Run a service whose orders have external files, which need no storage, and no limit."""
    async with (
        servers.database() as url,
        servers.broker() as broker,
        service_process(
            url,
            broker,
            catalog=StubCatalog(external=True, products=products),
            tenants=list(tenants),
            max_storage_files_jobs_per_user=0,
        ) as child,
        Requester.connected(broker) as requester,
    ):
        yield Deployment(servers, child, requester, url, tenants)


@dataclass(frozen=True)
class Growth:
    """Measures the points of the curves."""

    servers: BenchmarkServers
    sizes: Sizes

    async def orders_at_once(self, orders: int) -> float:
        """Return the seconds until so many orders that wait in the queue are granted."""
        async with deployment(self.servers) as running:
            return await running.seconds(orders, "GRANTED")

    async def with_tenants(self, tenants: int) -> float:
        """Return the CPU time of an order if the orders are those of so many tenants."""
        names = [f"tenant{number}" for number in range(tenants)]
        async with deployment(self.servers, names) as running:
            return await running.cpu_ms(max(self.sizes.orders, tenants))

    async def with_old_orders(self, orders: int) -> float:
        """Return the CPU time of an order if the database holds so many others."""
        async with deployment(self.servers) as running:
            database = await asyncpg.connect(running.database_url)
            await database.execute(_OLD_ORDERS.format(tenant=running.tenants[0], orders=orders))
            await database.close()
            return await running.cpu_ms(self.sizes.orders)

    async def files_of_an_order(self, files: int) -> float:
        """Return the seconds until an order of so many files is DONE."""
        async with deployment(self.servers, products=files) as running:
            return await running.seconds(1, "DONE", query="all")


async def measure(quick: bool, files: int = LARGEST_ORDER) -> Report:
    return await grow(QUICK if quick else Sizes(files=powers_of_ten(10, files)))


async def grow(sizes: Sizes) -> Report:
    """Measure the curves in these sizes."""
    async with benchmark_servers() as servers:
        growth = Growth(servers, sizes)
        curves = [
            await _curve(title, x, y, sizes_of_axis, point)
            for title, x, y, sizes_of_axis, point in (
                (
                    "Orders at once until GRANTED",
                    "orders",
                    "s",
                    sizes.at_once,
                    growth.orders_at_once,
                ),
                ("CPU of an order by tenants", "tenants", "ms", sizes.tenants, growth.with_tenants),
                (
                    "CPU of an order by orders in the database",
                    "orders",
                    "ms",
                    sizes.in_database,
                    growth.with_old_orders,
                ),
                ("An order until DONE", "files", "s", sizes.files, growth.files_of_an_order),
            )
            if sizes_of_axis
        ]
    figures = [
        Figure(f"{curve.title}, {x:,.0f} {curve.x}", curve.y, (y,))
        for curve in curves
        for x, y in dict.fromkeys((curve.points[0], curve.points[-1]))
    ]
    return Report(
        figures,
        targets=[],
        curves=curves,
        notes=[f"{sizes.orders} orders where no curve varies them"],
    )


async def _curve(
    title: str,
    x: str,
    y: str,
    sizes: Sequence[int],
    point: Callable[[int], Awaitable[float]],
) -> Curve:
    """Measure the points of a curve."""
    return Curve(title, x, y, tuple([(size, await point(size)) for size in sizes]))
