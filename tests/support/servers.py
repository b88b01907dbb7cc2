"""A database and virtual hosts for one test, on servers that tests share."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from rs_order.demo.servers.management_api import Management


@dataclass(frozen=True)
class FreshBroker:
    """Two virtual hosts for one test, in a broker that tests share."""

    url: str
    """Host and credentials, without a virtual host: the value of RS_ORDER_AMQP_URL."""
    management_url: str
    vhost: str
    """Stands for regards.multitenant.manager."""
    instance_vhost: str
    """Stands for regards.instance.manager."""


@asynccontextmanager
async def fresh_database(
    admin: asyncpg.Connection, server_url: str, template: str = "template1"
) -> AsyncIterator[str]:
    """Copy a database and yield the URL; drop the copy in the end, even with clients connected."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    await admin.execute(f"create database {name} template {template}")
    try:
        yield urlunsplit(urlsplit(server_url)._replace(path=f"/{name}"))
    finally:
        await admin.execute(f"drop database {name} with (force)")


@asynccontextmanager
async def fresh_broker(
    management: Management, url: str, management_url: str
) -> AsyncIterator[FreshBroker]:
    """Create two virtual hosts; delete them and their content in the end."""
    vhost = f"test-{uuid.uuid4().hex[:12]}"
    broker = FreshBroker(url, management_url, vhost, f"{vhost}-instance")
    for name in (broker.vhost, broker.instance_vhost):
        await management.create_vhost(name)
    try:
        yield broker
    finally:
        for name in (broker.vhost, broker.instance_vhost):
            await management.delete_vhost(name)


@asynccontextmanager
async def fresh_role(admin: asyncpg.Connection) -> AsyncIterator[str]:
    """Create a role that owns nothing, with the password "secret", and yield its name; drop it in the end."""
    role = f"test_{uuid.uuid4().hex[:12]}"
    await admin.execute(f"create role {role} login password 'secret'")
    try:
        yield role
    finally:
        await admin.execute(f"drop role {role}")
