"""A database and a broker that go away and come back while a page is open (console.md C9)."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import asyncpg
import pytest
from playwright.async_api import Browser, expect
from pydantic import SecretStr

from rs_order.demo.servers.lifecycle import Servers
from tests.acceptance.platform import Platform, running_platform
from tests.acceptance.shared_platform import new_user
from tests.console.browsing import Visitor
from tests.console.silent_orders import ON_TAPE, ordered
from tests.console.test_letters import ADMIN
from tests.support.proxy import TcpProxy, tcp_proxy
from tests.support.servers import FreshBroker, fresh_database

RECOVERY_MS = 60_000


@dataclass(frozen=True)
class Outages:
    """A service whose database and broker are behind proxies."""

    here: Platform
    database: TcpProxy
    broker: TcpProxy


@pytest.fixture
async def outages(
    servers: Servers, _database_admin: asyncpg.Connection, platform_broker: FreshBroker
) -> AsyncIterator[Outages]:
    async with (
        fresh_database(_database_admin, servers.database_url) as database_url,
        tcp_proxy(database_url) as database,
        tcp_proxy(platform_broker.url) as broker,
        running_platform(
            platform_broker,
            database_url,
            tenants=["project1"],
            max_storage_files_jobs_per_user=0,
            synthetic=(ON_TAPE,),
        ) as here,
        here.service(database_url=SecretStr(database.url), amqp_url=SecretStr(broker.url)),
    ):
        yield Outages(here, database, broker)


@pytest.mark.slow
async def test_a_page_says_that_the_database_is_away_and_comes_back_by_itself(
    outages: Outages, browser: Browser
) -> None:
    """An open page keeps its content; a page that is asked for has the time of the last good answer."""
    here = outages.here
    jane = new_user(here)
    here.sandbox.faults.silence = True
    order = await ordered(here, jane)
    async with Visitor.at(browser, here.url) as visitor:
        page = visitor.page
        await visitor.sign_in(jane, to=f"orders/{order}")
        await expect(page.locator(".answer")).to_contain_text("Running")
        outages.database.cut(refuse=True)
        await page.evaluate("htmx.trigger('#region', 'refresh')")
        await expect(page.locator("#trouble")).to_be_visible(timeout=RECOVERY_MS)
        await expect(page.locator("#trouble")).to_contain_text("Last good answer:")
        await expect(page.locator(".answer")).to_contain_text("Running")

        other = await page.context.new_page()
        answer = await other.goto("/console/my-orders", timeout=RECOVERY_MS)
        assert answer is not None
        assert answer.status == 503
        await expect(other.locator("main")).to_contain_text("The database gives no answer.")
        await expect(other.locator("main")).to_contain_text("Last good answer:")
        outages.database.accept()
        await expect(page.locator("#trouble")).to_be_hidden(timeout=RECOVERY_MS)
        await expect(other.locator("h1")).to_have_text("My orders", timeout=RECOVERY_MS)


@pytest.mark.slow
async def test_the_overview_says_that_the_broker_is_away_and_that_it_is_back(
    outages: Outages, browser: Browser
) -> None:
    async with Visitor.at(browser, outages.here.url) as visitor:
        await visitor.sign_in(ADMIN, to="overview")
        verdict = visitor.page.locator(".answer")
        await expect(verdict).to_contain_text("Everything works", timeout=RECOVERY_MS)
        outages.broker.cut(refuse=True)
        await expect(verdict).to_contain_text("Down on ", timeout=RECOVERY_MS)
        outages.broker.accept()
        await expect(verdict).to_contain_text("Everything works", timeout=RECOVERY_MS)
