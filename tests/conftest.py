"""Servers for tests: one pair per worker process, started for the first test that uses them.

Each test gets its own database and virtual hosts on them, which takes milliseconds.
Tests that stop or restart a server use ``own_database`` or ``own_broker``.
"""

import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import cache

import asyncpg
import httpx
import pytest
import structlog
from hypothesis import settings

from rs_order.demo.servers.database_and_broker import Broker, Database
from rs_order.demo.servers.lifecycle import (
    Servers,
    running_broker,
    running_database,
    running_servers,
)
from rs_order.demo.servers.machine import ThisMachine
from rs_order.demo.servers.management_api import Management
from rs_order.downloads import gathering
from tests.support.reused_broker import ReusedBroker, reused_broker
from tests.support.servers import FreshBroker, fresh_broker, fresh_database
from tests.support.stores import MigratedDatabases

pytest_plugins = [
    "tests.support.quick",
    "tests.support.slow_first",
    "tests.support.progress",
    "tests.support.secrets",
]

settings.register_profile("suite", deadline=None)
settings.load_profile("suite")
"""No deadline per example: a busy machine would miss it. The timeout of pytest ends a test that hangs."""

structlog.configure(
    processors=[
        *structlog.get_config()["processors"][:-1],
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback),
    ],
    logger_factory=structlog.PrintLoggerFactory(sys.__stdout__),
)
"""Plain stack traces. Those with all local variables take so long that connections to the broker break.

The output is that of the process. A command that a test runs in this process has one of its own, which is
closed when it ends; a service that logs to it at that moment would end, too.
"""

pytest.MonkeyPatch().setattr(
    "httpx._transports.default.create_ssl_context", cache(httpx.create_ssl_context)
)
"""All clients share the certificates, whose reading takes 20 ms for each client: longer than a request."""

_WITHOUT_GIVEN_SERVERS = ThisMachine(environment={})
"""Ignores the URLs of given servers: a test must not stop a server that isn't its own."""


@pytest.fixture
def one_piece_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small files are read as large ones are: not all of them arrives at once."""
    monkeypatch.setattr(gathering, "ENOUGH", 1)
    monkeypatch.setattr(gathering, "AHEAD", 1)


@pytest.fixture(scope="session")
async def servers() -> AsyncIterator[Servers]:
    """A PostgreSQL and a RabbitMQ that all tests of this process share; don't stop them."""
    async with running_servers(durable=False) as running:
        yield running


@pytest.fixture(scope="session")
async def _database_admin(servers: Servers) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(servers.database_url)
    yield connection
    await connection.close()


@pytest.fixture(scope="session")
async def _management(servers: Servers) -> AsyncIterator[Management]:
    if servers.management_url is None:
        pytest.fail("tests create virtual hosts: set RS_ORDER_AMQP_MANAGEMENT_URL as well")
    async with Management(servers.management_url) as management:
        yield management


@pytest.fixture
async def database_url(servers: Servers, _database_admin: asyncpg.Connection) -> AsyncIterator[str]:
    """The URL of an empty database for this test."""
    async with fresh_database(_database_admin, servers.database_url) as url:
        yield url


@pytest.fixture(scope="session")
async def migrated_databases(
    servers: Servers, _database_admin: asyncpg.Connection
) -> AsyncIterator[MigratedDatabases]:
    async with AsyncExitStack() as lifetime:
        yield MigratedDatabases(_database_admin, servers.database_url, lifetime)


@pytest.fixture
async def broker(servers: Servers, _management: Management) -> AsyncIterator[FreshBroker]:
    """A broker with two empty virtual hosts for this test."""
    management_url = servers.management_url or ""
    async with fresh_broker(_management, servers.amqp_url, management_url) as fresh:
        yield fresh


@pytest.fixture(scope="session")
async def _reused_broker(servers: Servers, _management: Management) -> AsyncIterator[ReusedBroker]:
    management_url = servers.management_url or ""
    async with reused_broker(_management, servers.amqp_url, management_url) as reused:
        yield reused


@pytest.fixture
async def platform_broker(_reused_broker: ReusedBroker) -> AsyncIterator[FreshBroker]:
    """A broker with two virtual hosts of this test alone, in which the queues of rs_order exist."""
    async with _reused_broker.virtual_hosts() as broker:
        yield broker


@pytest.fixture
async def own_database() -> AsyncIterator[Database]:
    """A PostgreSQL that this test may stop and restart (starts in half a second)."""
    async with running_database(machine=_WITHOUT_GIVEN_SERVERS) as database:
        yield database


@pytest.fixture
async def own_broker() -> AsyncIterator[Broker]:
    """A RabbitMQ that this test may stop and restart (starts in six seconds).

    It has the two virtual hosts of the platform.
    """
    async with running_broker(machine=_WITHOUT_GIVEN_SERVERS) as broker:
        yield broker
