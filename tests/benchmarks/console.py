"""The pages of the console: lists of orders among 100,000, and one order with a million files.

One client loads each page again and again over one connection, so that a time is that of the service alone.
All orders are of one user, whose list is the longest that can be. The large order has 200 sub-orders in the
queue, and its page shows reason, timeline, sub-orders and files. ``--size`` is the number of orders; the
large order has ten files for each of them.

Then Chromium visits each page for the first time, and says when its largest content was painted. At last
200 tabs, each with the stream of its page, cost what the service uses more than without them, while nothing
happens.
"""

from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager

import asyncpg
import httpx
from playwright.async_api import Browser, async_playwright

from rs_order.console.live import MOST_OF_A_USER
from rs_order.domain.ids import Tenant
from rs_order.store.pool import tenant_schema
from tests.benchmarks.children import Child
from tests.benchmarks.event_streams import open_streams
from tests.benchmarks.http_load import Load, Requested, http_load
from tests.benchmarks.idle import cpu_percent
from tests.benchmarks.report import Figure, Report, Target
from tests.benchmarks.rest import token_of
from tests.benchmarks.rounds import interleaved, rounds_of
from tests.benchmarks.servers import benchmark_servers
from tests.benchmarks.service import service_process
from tests.support.large_orders import write_large_order
from tests.support.tools import CHROMIUM, program

TENANT = Tenant("project1")
ORDERS = 100_000
QUICK_ORDERS = 1000
FILES_PER_ORDER = 10
SUB_ORDERS = 200
WARM_UPS = 20
MY_ORDERS, ALL_ORDERS, FOUND, ONE_ORDER = "My orders", "Orders", "Orders, by name", "One order"
LONGEST_P95_MS = {MY_ORDERS: 50.0, ALL_ORDERS: 50.0, FOUND: 50.0, ONE_ORDER: 100.0}
LONGEST_PAINT_MS = 1000.0
TABS, QUICK_TABS = 200, 10
MOST_TABS_PERCENT = 5.0
"""Of a core, for all tabs."""
IDLE_SECONDS, QUICK_IDLE_SECONDS = 20.0, 1.0
_PAINTED = """
() => new Promise((found) => new PerformanceObserver((list) => found(list.getEntries().at(-1).startTime))
    .observe({type: "largest-contentful-paint", buffered: true}))
"""
_MANY = """
insert into orders (owner, role, label, correlation_id, status, sub_order_hours, created_at, status_at,
    expires_at, downloaded_files, downloaded_bytes)
select 'jane', 'REGISTERED_USER', 'Campaign ' || n, 'c-' || n,
    case when n % 7 = 0 then 'EXPIRED' else 'DONE' end, 2, now() - n * interval '1 minute',
    now() - n * interval '1 minute', now() + interval '3 days', n % 9, n * 1000
from generate_series(1, {orders}) n
"""
_MOVES = """
insert into history (order_id, sub_order_id, before, after, reason, actor, at)
select order_id, id, move.before, move.after, move.reason, 'rs-order',
    now() - interval '1 hour' + id % 200 * interval '10 seconds' + move.step * interval '2 seconds'
from sub_order, (values (1, 'BUILDING', 'READY', 'files-read'), (2, 'READY', 'RUNNING', 'storage-asked'))
    move (step, before, after, reason)
where order_id = $1
"""


async def measure(quick: bool, orders: int | None = None) -> Report:
    seconds = 1.0 if quick else 5.0
    orders = orders or (QUICK_ORDERS if quick else ORDERS)
    loads: dict[str, list[Load]] = defaultdict(list)
    async with _running(orders) as (service, pages):

        def side(name: str) -> Callable[[], Awaitable[float]]:
            async def measured() -> float:
                load = await http_load(
                    service.reported, [pages[name]], seconds=seconds, connections=1
                )
                loads[name].append(load)
                return load.per_second

            return measured

        sides = {name: side(name) for name in pages}
        rounds = rounds_of(quick)
        rates = await interleaved(rounds, sides)
        paints = await _paints(service.reported, pages, rounds)
        tabs = await _tabs(service, quick=quick)
    return _report(rates, loads, orders, paints, tabs)


async def _paints(
    url: str, pages: Mapping[str, Requested], rounds: int
) -> dict[str, tuple[float, ...]]:
    """Return after how many ms the largest content of each page was painted, on first visits."""
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(
            executable_path=await program(CHROMIUM), args=["--no-sandbox"]
        )
        paints = {
            name: tuple([await _paint(chromium, url, page) for _ in range(rounds)])
            for name, page in pages.items()
        }
        await chromium.close()
    return paints


async def _paint(chromium: Browser, url: str, page: Requested) -> float:
    context = await chromium.new_context(
        extra_http_headers={"Authorization": f"Bearer {page.token}"}
    )
    shown = await context.new_page()
    await shown.goto(f"{url}{page.path}")
    painted = float(await shown.evaluate(_PAINTED))
    await context.close()
    return painted


async def _tabs(service: Child, *, quick: bool) -> tuple[int, float]:
    """Return a number of tabs, and what they cost in percent of a core while nothing happens."""
    tabs, seconds = (QUICK_TABS, QUICK_IDLE_SECONDS) if quick else (TABS, IDLE_SECONDS)
    without = await cpu_percent(service, seconds)
    streams = open_streams(service.reported, tabs, path="/console/live", of_a_user=MOST_OF_A_USER)
    async with streams:
        return tabs, await cpu_percent(service, seconds) - without


def _report(
    rates: dict[str, tuple[float, ...]],
    loads: dict[str, list[Load]],
    orders: int,
    paints: dict[str, tuple[float, ...]],
    tabs: tuple[int, float],
) -> Report:
    figures: list[Figure] = []
    targets: list[Target] = []
    for name, found in loads.items():
        p95 = Figure(f"{name}: p95", "ms", tuple(load.p95_ms for load in found))
        figures += [
            Figure(name, "requests/s", rates[name]),
            Figure(f"{name}: p50", "ms", tuple(load.p50_ms for load in found)),
            p95,
        ]
        targets.append(
            Target(f"{name}: p95 in ms", p95.median, LONGEST_P95_MS[name], at_least=False)
        )
    for name, painted in paints.items():
        paint = Figure(f"{name}: largest paint of a first visit", "ms", painted)
        figures.append(paint)
        targets.append(
            Target(f"{name}: largest paint in ms", paint.median, LONGEST_PAINT_MS, at_least=False)
        )
    number, percent = tabs
    figures.append(Figure(f"{number} idle tabs", "% of a core", (percent,)))
    targets.append(Target(f"{number} idle tabs in %", percent, MOST_TABS_PERCENT, at_least=False))
    files = FILES_PER_ORDER * orders
    return Report(figures, targets, notes=[f"{orders:,} orders, and one with {files:,} files"])


@asynccontextmanager
async def _running(orders: int) -> AsyncIterator[tuple[Child, dict[str, Requested]]]:
    """Run the service, which takes the token of a proxy; yield it and the pages by name."""
    async with (
        benchmark_servers() as servers,
        servers.database() as database_url,
        servers.broker() as broker,
        service_process(
            database_url,
            broker,
            tenants=[TENANT],
            user_requests_per_second=0,
            console_proxy_token=True,
            http_max_connections_per_address=4 * TABS,
        ) as service,
    ):
        path = {"search_path": tenant_schema(TENANT)}
        connection = await asyncpg.connect(database_url, server_settings=path)
        try:
            large = await _write(connection, orders)
        finally:
            await connection.close()
        jane, admin = token_of("jane"), token_of("admin", "PROJECT_ADMIN")
        pages = {
            MY_ORDERS: Requested("/console/my-orders", token=jane),
            ALL_ORDERS: Requested("/console/orders", token=admin),
            FOUND: Requested("/console/orders?label=campaign+77", token=admin),
            ONE_ORDER: Requested(f"/console/orders/{large}", token=jane),
        }
        await _open(service.reported, pages.values())
        yield service, pages


async def _open(url: str, pages: Iterable[Requested]) -> None:
    """Load each page a few times: the first ones read templates and prepare statements."""
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=60) as client:
        for page in pages:
            headers = {"Authorization": f"Bearer {page.token}"}
            for _ in range(WARM_UPS):
                (await client.get(page.path, headers=headers)).raise_for_status()


async def _write(connection: asyncpg.Connection, orders: int) -> int:
    """Write the orders, and return the id of the large one."""
    await connection.execute(_MANY.format(orders=orders), timeout=3600)
    waiting = {"status": "RUNNING", "sub_order_state": "READY", "state": "pending"}
    each = FILES_PER_ORDER * orders // SUB_ORDERS
    large = await write_large_order(
        connection, owner="jane", sub_orders=SUB_ORDERS, each=each, **waiting
    )
    await connection.execute(_MOVES, large)
    await connection.execute("vacuum analyze", timeout=3600)
    return large
