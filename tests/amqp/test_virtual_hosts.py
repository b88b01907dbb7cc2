"""Virtual hosts are created through the management API of a real broker."""

from collections.abc import AsyncIterator
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import pytest

from rs_order.broker.errors import VhostProvisioningError
from rs_order.broker.virtual_hosts import create_missing_vhosts
from tests.amqp.support import raw_channel
from tests.support.servers import FreshBroker


@pytest.fixture
async def new_vhost(broker: FreshBroker) -> AsyncIterator[str]:
    """A free name with a character that a path must quote; the virtual host is deleted afterwards."""
    name = f"test {uuid4().hex[:8]}"
    yield name
    parts = urlsplit(broker.management_url)
    credentials = (parts.username or "guest", parts.password or "guest")
    async with httpx.AsyncClient(auth=credentials, timeout=60) as client:
        await client.delete(f"{broker.management_url}/api/vhosts/{name}")


async def test_missing_vhosts_are_created_and_usable(broker: FreshBroker, new_vhost: str) -> None:
    """amqp.md 1.1: the AMQP user gets all permissions; existing virtual hosts are not changed."""
    vhosts = [broker.vhost, new_vhost]

    created = await create_missing_vhosts(broker.management_url, broker.url, vhosts)
    again = await create_missing_vhosts(broker.management_url, broker.url, vhosts)

    async with raw_channel(broker.url, new_vhost) as channel:
        await channel.declare_queue("usable", auto_delete=True)
    assert (created, again) == ((new_vhost,), ())


async def test_wrong_credentials_are_reported_without_the_password(broker: FreshBroker) -> None:
    """The error says what to do and contains no secret."""
    parts = urlsplit(broker.management_url)
    host = parts.netloc.rpartition("@")[2]
    url = parts._replace(netloc=f"nobody:hunter2@{host}").geturl()

    with pytest.raises(VhostProvisioningError, match="AMQP_MANAGEMENT_URL") as raised:
        await create_missing_vhosts(url, broker.url, ["x"])

    assert "hunter2" not in str(raised.value)


async def test_an_unreachable_api_is_reported(broker: FreshBroker) -> None:
    """A refused connection is the same error."""
    with pytest.raises(VhostProvisioningError, match="GET /api/vhosts"):
        await create_missing_vhosts("http://127.0.0.1:1", broker.url, ["x"])
