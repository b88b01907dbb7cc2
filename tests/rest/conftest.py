"""Fixtures of a real HTTP server, with an order in memory and with one in PostgreSQL."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import cast

import httpx
import jwt
import pytest
from fastapi import FastAPI
from prometheus_client import CollectorRegistry, Counter

from rs_order.app.rest import RestServices, absent_services
from rs_order.contracts.administration import HealthStatus
from rs_order.core.links import Links
from rs_order.domain.ids import Tenant
from rs_order.domain.settings import ZipMode
from rs_order.downloads.archive_download import ArchiveDeliveries
from rs_order.downloads.archive_failures import ArchiveFailures
from rs_order.downloads.archive_of_order import archive_of_order_router
from rs_order.downloads.archive_reader import DirectoryLimits
from rs_order.downloads.archive_routes import ArchiveServices, archives_router
from rs_order.downloads.file_routes import file_downloads_router
from rs_order.downloads.list_routes import lists_router
from rs_order.downloads.make_archives import MakeArchives
from rs_order.downloads.order_lists import OrderLists
from rs_order.downloads.order_tokens import JwtOrderTokens
from rs_order.downloads.range_places import RangePlaces
from rs_order.downloads.read_archives import ReadArchives
from rs_order.downloads.readings import CheckpointLimits, ParkingLimits, Readings
from rs_order.downloads.routes import DownloadServices, metalinks_router
from rs_order.downloads.zip_routes import zips_router
from rs_order.ports import ComponentHealth, OrderTokens
from rs_order.rest.access import Access, DefaultRoles
from rs_order.rest.actuator import Metrics, actuator_router
from rs_order.rest.rest_app import create_rest_app
from rs_order.rest.server import run_rest
from rs_order.rest.tokens import TokenVerifier
from rs_order.store.tenants import Maintenance, Tenants
from tests.rest.fake_downloads import DEMO, OWNER, DownloadableOrder, five_minutes
from tests.rest.stored_downloads import StoredFakeDownloads
from tests.support.clock import ManualClock
from tests.support.stores import MigratedDatabases

KEY = "!!!!!==========abcdefghijklmnopqrstuvwxyz0123456789==========!!!!!"
ORDER_SECRET = "the secret of order tokens in tests of the REST side"
HOST = "https://archive.example.org"
NOW = datetime(2026, 3, 1, 12, 30, 45, 250_000, tzinfo=UTC)


class FakeTenants:
    """Implements the part of ``Tenants`` that requests use. It serves only the tenant of the order."""

    async def load(self) -> None:
        pass

    def serves(self, tenant: str) -> bool:
        return tenant == DEMO

    def host(self, tenant: str) -> str:  # noqa: ARG002 - there is only one tenant
        return HOST


class FakeMaintenance:
    """Implements the part of ``Maintenance`` that requests use. No tenant is in maintenance."""

    async def covers(self, tenant: str) -> bool:  # noqa: ARG002 - no tenant is
        return False


class FakeHealth:
    """Implements ``Health`` with the components that a test sets."""

    def __init__(self) -> None:
        self.components = {"db": ComponentHealth(HealthStatus.UP)}

    async def check(self) -> dict[str, ComponentHealth]:
        return self.components


def bearer(email: str = OWNER, role: str = "REGISTERED_USER", tenant: str = "demo") -> str:
    claims = {
        "tenant": tenant,
        "sub": email,
        "email": email,
        "role": role,
        "exp": datetime.now(UTC) + timedelta(hours=1),
    }
    return jwt.encode(claims, KEY, algorithm="HS512")


@pytest.fixture
async def downloadable(
    request: pytest.FixtureRequest, migrated_databases: MigratedDatabases
) -> AsyncIterator[DownloadableOrder]:
    """An order to download, in PostgreSQL. A module may ask for the fake store, or for both."""
    if getattr(request, "param", "postgres") == "memory":
        yield DownloadableOrder()
        return
    async with migrated_databases.pool(DEMO) as (pool, tenants):
        order = StoredFakeDownloads(pool, tenants)
        yield DownloadableOrder(order=order)
        await order.check()


@pytest.fixture
def health() -> FakeHealth:
    return FakeHealth()


@pytest.fixture
def places() -> RangePlaces:
    """A module may have others."""
    return RangePlaces()


@pytest.fixture
def directory() -> DirectoryLimits:
    """A module may have others."""
    return DirectoryLimits()


def stored_archives(
    downloadable: DownloadableOrder,
    order_tokens: OrderTokens,
    readings: Readings,
    places: RangePlaces,
    directory: DirectoryLimits | None = None,
) -> dict[str, ArchiveServices]:
    """Return the services of archives, which are only in PostgreSQL."""
    order = downloadable.order
    if not isinstance(order, StoredFakeDownloads):
        return {}
    clock = ManualClock(NOW)
    make = MakeArchives(order, order.archives, order.store, clock)
    failures = ArchiveFailures(order.archives, make, order.settle)
    reads = ReadArchives(
        order.archives, failures, order.store, downloadable.sources, clock, asyncio.Event()
    )
    return {
        "archives": ArchiveServices(
            orders=order,
            archives=order.archives,
            make=make,
            deliveries=ArchiveDeliveries(
                order.archives,
                failures,
                reads,
                order.settle,
                readings,
                clock,
                places=places,
                directory=directory,
            ),
            order_tokens=order_tokens,
            clock=clock,
        )
    }


async def resumable(tenant: Tenant) -> ZipMode:
    return ZipMode.RESUMABLE


async def compact(tenant: Tenant) -> ZipMode:
    return ZipMode.COMPACT


@pytest.fixture
def parking() -> ParkingLimits:
    """A module may have others."""
    return ParkingLimits()


@pytest.fixture
def checkpoints() -> CheckpointLimits:
    """A module may have others."""
    return CheckpointLimits()


@pytest.fixture
async def readings(
    downloadable: DownloadableOrder, parking: ParkingLimits, checkpoints: CheckpointLimits
) -> AsyncIterator[Readings]:
    async with aclosing(Readings(downloadable.sources, parking, checkpoints)) as readings:
        yield readings


@pytest.fixture
def services(
    downloadable: DownloadableOrder,
    health: FakeHealth,
    readings: Readings,
    places: RangePlaces,
    directory: DirectoryLimits,
) -> RestServices:
    metrics = CollectorRegistry()
    Counter("orders_seen", "Orders seen", registry=metrics).inc()
    tenants = cast("Tenants", FakeTenants())
    order_tokens = JwtOrderTokens(ORDER_SECRET, ManualClock(NOW))
    links = Links(None, tenants, prefix="/api/v1", fallback="http://nowhere.invalid")
    return absent_services(
        **stored_archives(downloadable, order_tokens, readings, places, directory),
        access=Access(
            TokenVerifier({"HS512": KEY}),
            DefaultRoles(),
            tenants,
            cast("Maintenance", FakeMaintenance()),
        ),
        downloads=DownloadServices(
            orders=downloadable.order,
            settle=downloadable.order.settle,
            sources=downloadable.sources,
            readings=readings,
            lists=OrderLists(downloadable.order, order_tokens, links),
            order_tokens=order_tokens,
            clock=ManualClock(NOW),
            pause=five_minutes,
            zip_mode=resumable if isinstance(downloadable.order, StoredFakeDownloads) else compact,
        ),
        health=health,
        metrics=Metrics(metrics),
    )


MakeApp = Callable[[RestServices], FastAPI]


def app_of_downloads(services: RestServices) -> FastAPI:
    """Return an application with the endpoints of most tests here: all 200 take a quarter of a second."""
    access, downloads, archives = services.access, services.downloads, services.archives
    return create_rest_app(
        lambda _: [
            actuator_router(services.health, services.metrics),
            metalinks_router(access, downloads),
            lists_router(access, downloads),
            zips_router(access, downloads, archives),
            archives_router(access, archives),
            archive_of_order_router(access, archives),
            file_downloads_router(access, downloads),
        ],
        services.settings,
    )


@pytest.fixture
def make_app() -> MakeApp:
    """A module whose tests request other endpoints has one with all of them."""
    return app_of_downloads


async def serving(
    services: RestServices, make_app: MakeApp = app_of_downloads
) -> AsyncGenerator[str, None]:
    """Yield the address of a server that runs until the generator is closed."""
    stop = asyncio.Event()
    port: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    server = asyncio.create_task(
        run_rest(make_app(services), "127.0.0.1", 0, stop=stop, on_ready=port.set_result)
    )
    yield f"http://127.0.0.1:{await port}"
    stop.set()
    await server


@pytest.fixture
async def base_url(services: RestServices, make_app: MakeApp) -> AsyncIterator[str]:
    async for url in serving(services, make_app):
        yield url


@pytest.fixture
async def api(base_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """An HTTP client with a token of the order's owner."""
    headers = {"Authorization": f"Bearer {bearer()}"}
    async with httpx.AsyncClient(
        base_url=base_url, headers=headers, trust_env=False, timeout=60
    ) as client:
        yield client
