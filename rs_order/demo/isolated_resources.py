"""An isolated database and isolated virtual hosts for the demo, on servers of any source."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import asyncpg
import httpx

from rs_order.demo.errors import DemoError
from rs_order.demo.servers.lifecycle import Servers
from rs_order.demo.servers.management_api import Management


@dataclass(frozen=True, slots=True)
class Isolation:
    """A database and two virtual hosts that hold only data of the demo."""

    database_url: str
    vhost: str
    """Replaces ``regards.multitenant.manager``."""
    instance_vhost: str
    """Replaces ``regards.instance.manager``."""


@asynccontextmanager
async def isolated(servers: Servers) -> AsyncIterator[Isolation]:
    """Create the database and the virtual hosts under new names; drop them when the block is left.

    Raises:
        DemoError: the servers don't allow it.
    """
    name = f"rs_order_demo_{secrets.token_hex(4)}"
    vhosts = (name, f"{name}.instance")
    async with (
        _database(servers.database_url, name) as database_url,
        _virtual_hosts(servers.management_url, vhosts),
    ):
        yield Isolation(database_url, *vhosts)


@asynccontextmanager
async def _database(server_url: str, name: str) -> AsyncIterator[str]:
    try:
        connection = await asyncpg.connect(server_url)
        await connection.execute(f"create database {name}")
    except (OSError, asyncpg.PostgresError) as error:
        raise DemoError(
            f"The demo can't create a database of its own ({error}): give the user of "
            "RS_ORDER_DATABASE_URL the right CREATEDB, or unset this variable"
        ) from error
    try:
        yield urlsplit(server_url)._replace(path=f"/{name}").geturl()
    finally:
        await connection.execute(f"drop database {name} with (force)")
        await connection.close()


@asynccontextmanager
async def _virtual_hosts(management_url: str | None, names: tuple[str, str]) -> AsyncIterator[None]:
    if management_url is None:
        raise DemoError(
            "The demo creates virtual hosts of its own: set RS_ORDER_AMQP_MANAGEMENT_URL beside "
            "RS_ORDER_AMQP_URL, or unset both"
        )
    async with Management(management_url) as management:
        created = []
        try:
            for name in names:
                created.append(name)
                await management.create_vhost(name)
            yield
        except httpx.HTTPError as error:
            raise DemoError(
                f"The demo can't create virtual hosts of its own ({error}): give "
                "RS_ORDER_AMQP_MANAGEMENT_URL the credentials of an administrator"
            ) from error
        finally:
            for name in created:
                await management.delete_vhost(name)
