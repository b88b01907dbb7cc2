"""One complete service on real servers, shared by all tests of this package.

Starting one takes seconds. Each test therefore orders as users of its own (``new_user``) and leaves the
sandbox as it found it.
"""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from rs_order.demo.servers.lifecycle import Servers
from tests.acceptance.platform import Platform, running_platform
from tests.support.reused_broker import ReusedBroker
from tests.support.servers import FreshBroker, fresh_database

EVENTS_KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
ORDER_SECRET = "!!!! the secret of order tokens in tests !!!!"


@pytest.fixture
def broker(platform_broker: FreshBroker) -> FreshBroker:
    """Virtual hosts in which the queues of rs_order exist."""
    return platform_broker


@pytest.fixture(scope="session")
async def api_platform(
    servers: Servers, _database_admin: asyncpg.Connection, _reused_broker: ReusedBroker
) -> AsyncIterator[Platform]:
    async with (
        fresh_database(_database_admin, servers.database_url) as database_url,
        _reused_broker.virtual_hosts() as broker,
        running_platform(
            broker,
            database_url,
            remote_deadline=2,
            tenants=["project1", "project2"],
            token_in_query=True,
            trusted_proxies=["127.0.0.1"],
            order_secret=ORDER_SECRET,
            max_storage_files_jobs_per_user=0,
            events_key=EVENTS_KEY,
            webhook_http=True,
            webhook_allowed_networks=["127.0.0.1"],
        ) as here,
        here.service(),
    ):
        yield here


@pytest.fixture
async def here(api_platform: Platform) -> AsyncIterator[Platform]:
    """The service on the packaged archive, without faults; calls to other services time out after 2 s."""
    yield api_platform
    api_platform.reset_sandbox()
    api_platform.sandbox.faults.nearline_seconds = 0.05
