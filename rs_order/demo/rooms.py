"""A database and virtual hosts of the demo alone, wherever the servers come from."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import asyncpg
import httpx

from rs_order.demo.errors import DemoError
from rs_order.demo.servers import Management, Servers


@dataclass(frozen=True, slots=True)
class Rooms:
    """Where nobody else's data is."""

    database_url: str
    vhost: str
    """In the place of ``regards.multitenant.manager``."""
    instance_vhost: str


@asynccontextmanager
async def rooms_of_our_own(servers: Servers) -> AsyncIterator[Rooms]:
    """Make them under names that nobody uses; drop them when the block is left.

    Raises:
        DemoError: the servers don't let us.
    """
    name = f"rs_order_demo_{secrets.token_hex(4)}"
    vhosts = (name, f"{name}.instance")
    async with (
        _database(servers.database_url, name) as database_url,
        _virtual_hosts(servers.management_url, vhosts),
    ):
        yield Rooms(database_url, *vhosts)


@asynccontextmanager
async def _database(server_url: str, name: str) -> AsyncIterator[str]:
    try:
        connection = await asyncpg.connect(server_url)
        await connection.execute(f"create database {name}")
    except (OSError, asyncpg.PostgresError) as error:
        raise DemoError(
            f"The demo can't make a database of its own ({error}): give RS_ORDER_DATABASE_URL a "
            "user with the right CREATEDB, or leave it unset"
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
            "The demo makes virtual hosts of its own: set RS_ORDER_AMQP_MANAGEMENT_URL beside "
            "RS_ORDER_AMQP_URL, or leave both unset"
        )
    async with Management(management_url) as management:
        made = []
        try:
            for name in names:
                made.append(name)
                await management.create_vhost(name)
            yield
        except httpx.HTTPError as error:
            raise DemoError(
                f"The demo can't make virtual hosts of its own ({error}): give "
                "RS_ORDER_AMQP_MANAGEMENT_URL the credentials of an administrator"
            ) from error
        finally:
            for name in made:
                await management.delete_vhost(name)
