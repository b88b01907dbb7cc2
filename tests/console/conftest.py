"""A complete service, and a real Chromium, which all tests of this package share."""

from collections.abc import AsyncIterator

import asyncpg
import pytest
from playwright.async_api import Browser, async_playwright

from rs_order.demo.servers.lifecycle import Servers
from tests.acceptance.platform import Platform, running_platform
from tests.console.browsing import Visitor
from tests.console.silent_orders import ON_TAPE
from tests.support.reused_broker import ReusedBroker
from tests.support.servers import fresh_database
from tests.support.tools import CHROMIUM, program

ORDER_SECRET = "!!!! the secret of order tokens in tests !!!!"


@pytest.fixture(scope="session")
async def console_platform(
    servers: Servers, _database_admin: asyncpg.Connection, _reused_broker: ReusedBroker
) -> AsyncIterator[Platform]:
    async with (
        fresh_database(_database_admin, servers.database_url) as database_url,
        _reused_broker.virtual_hosts() as broker,
        running_platform(
            broker,
            database_url,
            tenants=["project1", "project2"],
            order_secret=ORDER_SECRET,
            max_storage_files_jobs_per_user=0,
            synthetic=(ON_TAPE,),
        ) as here,
        here.service(),
    ):
        yield here


@pytest.fixture
async def here(console_platform: Platform) -> AsyncIterator[Platform]:
    """The service on the packaged archive, without faults."""
    yield console_platform
    console_platform.reset_sandbox()
    console_platform.sandbox.faults.nearline_seconds = 0.05


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(
            executable_path=await program(CHROMIUM), args=["--no-sandbox"]
        )
        yield chromium
        await chromium.close()


@pytest.fixture
async def visitor(here: Platform, browser: Browser) -> AsyncIterator[Visitor]:
    """A visitor at a desk, who reads English; in the end no page may have complained in its console."""
    async with Visitor.at(browser, here.url) as one:
        yield one
        assert one.complaints == []
