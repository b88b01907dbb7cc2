"""Webhooks: from an event to its delivery, alone and beside webhooks whose receivers hang.

One receiver answers at once. The others accept connections, read the requests, and never answer. Each has a
subscription to all events of the project. Orders come once a second, for longer than a request to a receiver
may take. A delay is the time from an event to its arrival at the receiver that answers. It contains the half
second until an event has its position. What counts is how much longer the longest delay is beside the others.
``--size`` is the number of receivers that hang.
"""

import asyncio
import base64
import statistics
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import uuid4

import orjson
from aiohttp import web

from rs_order.domain.ids import Tenant
from rs_order.domain.subscriptions import SubscriptionScope
from rs_order.domain.webhooks import WebhookMode, WebhookSecret, WebhookState
from rs_order.store.migrate import migrate_platform
from rs_order.store.pool import open_pool
from rs_order.store.tenants import Tenants
from rs_order.store.unit_of_work import Store
from rs_order.store.webhooks import NewWebhook
from rs_order.subscriptions.sealing import SecretSeal
from tests.benchmarks.report import Figure, Report, Target
from tests.benchmarks.requesting import Requester
from tests.benchmarks.servers import BenchmarkServers, benchmark_servers
from tests.benchmarks.service import service_process
from tests.benchmarks.stubs import ADMINISTRATOR, StubCatalog

TENANT = Tenant("project1")
HANGING, QUICK_HANGING = 999, 20
ORDERS, QUICK_ORDERS = 30, 3
ORDERS_PER_SECOND = 1.0
MOST_SECONDS = 2.0
"""By which the others may delay the receiver that answers."""
LAST_EVENT = "order.done"
PATIENCE_SECONDS = 120
EVENTS_KEY = base64.b64encode(bytes(32)).decode()
CHUNK_BYTES = 65_536


@dataclass
class Receivers:
    """One receiver that answers, and one address at which all others hang."""

    healthy: str = ""
    hangs: str = ""
    held: int = 0
    """Connections that wait for an answer."""
    most_held: int = 0
    delays: list[float] = field(default_factory=list)
    """Seconds, one for each event that came to the receiver that answers."""
    _ended: set[int] = field(default_factory=set)
    _came: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def answer(self, request: web.Request) -> web.Response:
        event = orjson.loads(await request.read())
        happened = datetime.fromisoformat(event["time"])
        self.delays.append((datetime.now(UTC) - happened).total_seconds())
        if event["data"]["event"] == LAST_EVENT:
            async with self._came:
                self._ended.add(event["data"]["orderId"])
                self._came.notify_all()
        return web.Response(status=204)

    async def hang(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read what comes until the other side gives up."""
        self.held += 1
        self.most_held = max(self.most_held, self.held)
        try:
            while await reader.read(CHUNK_BYTES):
                pass
        finally:
            self.held -= 1
            writer.close()

    async def until_ended(self, orders: int) -> None:
        """Wait until the last events of so many orders have come."""
        async with asyncio.timeout(PATIENCE_SECONDS), self._came:
            await self._came.wait_for(lambda: len(self._ended) >= orders)

    @classmethod
    @asynccontextmanager
    async def listening(cls) -> AsyncIterator["Receivers"]:
        receivers = cls()
        app = web.Application()
        app.router.add_post("/", receivers.answer)
        runner = web.AppRunner(app)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            receivers.healthy = f"{site.name}/"
            server = await asyncio.start_server(receivers.hang, "127.0.0.1", 0, backlog=1024)
            async with server:
                port = server.sockets[0].getsockname()[1]
                receivers.hangs = f"http://127.0.0.1:{port}/"
                yield receivers
        finally:
            await runner.cleanup()


async def measure(quick: bool, size: int | None = None) -> Report:
    hanging = size or (QUICK_HANGING if quick else HANGING)
    orders = QUICK_ORDERS if quick else ORDERS
    async with benchmark_servers() as servers, _service(servers) as running:
        await running.order(1)  # until it delivers events
        alone = await running.order(orders)
        await running.subscribe([f"{running.receivers.hangs}{n}" for n in range(hanging)])
        beside = await running.order(orders)
        most_held = running.receivers.most_held
    added = max(beside) - max(alone)
    return Report(
        [*_figures("alone", alone), *_figures(f"{hanging} others hang", beside)],
        [
            Target(
                f"longest delay in s, added by {hanging} others",
                added,
                MOST_SECONDS,
                at_least=False,
            )
        ],
        notes=[f"{orders} orders, one a second; at most {most_held} requests hung at once"],
    )


def _figures(name: str, delays: Sequence[float]) -> list[Figure]:
    return [
        Figure(f"median delay, {name}", "s", (statistics.median(delays),)),
        Figure(f"longest delay, {name}", "s", (max(delays),)),
    ]


@dataclass
class _Running:
    """A service with a webhook whose receiver answers."""

    database_url: str
    requester: Requester
    receivers: Receivers
    ordered: int = 0

    async def order(self, orders: int) -> Sequence[float]:
        """Order once a second, and return the delays of all events of these orders."""
        self.receivers.delays = []
        prefix, first = f"from-{self.ordered}", 1000 + self.ordered
        await self.requester.publish_at_rate(
            [TENANT], orders, prefix, rate=ORDERS_PER_SECOND, first=first
        )
        self.ordered += orders
        await self.receivers.until_ended(self.ordered)
        return self.receivers.delays

    async def subscribe(self, urls: Sequence[str]) -> None:
        await _subscribe(self.database_url, urls)


@asynccontextmanager
async def _service(servers: BenchmarkServers) -> AsyncIterator[_Running]:
    async with (
        Receivers.listening() as receivers,
        servers.database() as database_url,
        servers.broker() as broker,
        _subscribed(database_url, receivers.healthy),
        service_process(
            database_url,
            broker,
            catalog=StubCatalog(external=True),
            tenants=[TENANT],
            events_key=EVENTS_KEY,
            webhook_http=True,
            webhook_allowed_networks=["127.0.0.1"],
            max_storage_files_jobs_per_user=0,
        ),
        Requester.connected(broker) as requester,
    ):
        yield _Running(database_url, requester, receivers)


@asynccontextmanager
async def _subscribed(database_url: str, url: str) -> AsyncIterator[None]:
    """Add a webhook before the service starts: later, it would find the first one within a minute."""
    async with await open_pool(database_url, size=1) as pool:
        await migrate_platform(pool)
        await Tenants(pool).add(TENANT)
    await _subscribe(database_url, [url])
    yield


async def _subscribe(database_url: str, urls: Sequence[str]) -> None:
    """Add webhooks whose receivers have agreed."""
    seal, now = SecretSeal(EVENTS_KEY), datetime.now(UTC)
    async with (
        await open_pool(database_url, size=1) as pool,
        Store(pool, lambda _: None).unit_of_work(TENANT) as uow,
    ):
        for url in urls:
            await uow.webhooks.add(_webhook(url, seal), now)


def _webhook(url: str, seal: SecretSeal) -> NewWebhook:
    webhook_id = uuid4()
    return NewWebhook(
        id=webhook_id,
        owner=ADMINISTRATOR,
        label=None,
        scope=SubscriptionScope.TENANT,
        order_id=None,
        types=None,
        thresholds=None,
        url=url,
        mode=WebhookMode.STRUCTURED,
        secret=seal.seal(TENANT, webhook_id, WebhookSecret.new()),
        state=WebhookState.ACTIVE,
        pending_until=None,
        allowed_rate=None,
    )
