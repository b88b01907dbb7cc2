"""A deployment that the tests of a module share.

Starting one takes seconds, because the platform's queues have 256 priorities each. Tests recognise their own
responses by correlation id, and the sandbox is reset after each of them.
"""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from rs_order.demo.servers.lifecycle import Servers
from tests.acceptance.platform import Platform, running_platform
from tests.support.reused_broker import ReusedBroker
from tests.support.servers import FreshBroker, fresh_database


@pytest.fixture
def broker(platform_broker: FreshBroker) -> FreshBroker:
    """Virtual hosts in which the queues of rs_order exist."""
    return platform_broker


@pytest.fixture(scope="module")
async def shared_platform(
    servers: Servers, _database_admin: asyncpg.Connection, _reused_broker: ReusedBroker
) -> AsyncIterator[Platform]:
    async with (
        fresh_database(_database_admin, servers.database_url) as database_url,
        _reused_broker.virtual_hosts() as broker,
        running_platform(broker, database_url, remote_deadline=2) as platform,
        platform.service(),
    ):
        yield platform


@pytest.fixture
async def platform(shared_platform: Platform) -> AsyncIterator[Platform]:
    """The module's deployment on the packaged archive, without faults; remote calls are retried for 2 s."""
    yield shared_platform
    shared_platform.reset_sandbox()
    shared_platform.sandbox.faults.nearline_seconds = 0.05
