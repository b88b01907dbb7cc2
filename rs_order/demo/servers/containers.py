"""Servers in containers of a Docker engine, by testcontainers.

The library starts a companion container, which removes the others when this process ends in any way.
It is synchronous, so every call runs in a thread. It belongs to the development requirements only, so every
import stands inside a function.
"""

import asyncio
import importlib.util
import secrets
from typing import TYPE_CHECKING

from rs_order.demo.servers.database_and_broker import Broker, Database
from rs_order.demo.servers.postgresql import MAX_CONNECTIONS, WITHOUT_DURABILITY
from rs_order.demo.servers.private_resources import free_ports
from rs_order.demo.servers.programs import run

if TYPE_CHECKING:
    from testcontainers.core.container import DockerContainer

POSTGRESQL_IMAGE = "postgres:16-alpine"
RABBITMQ_IMAGE = "rabbitmq:3.13-management-alpine"

USER = "rs_order"

_LOG_TAIL_CHARACTERS = 2000
_POLL_SECONDS = 0.5
_ENGINE_LIMIT_SECONDS = 10.0


async def engine_answers() -> bool:
    """Return True if an engine answers. A client alone is not enough."""
    if importlib.util.find_spec("testcontainers") is None:
        return False
    try:
        async with asyncio.timeout(_ENGINE_LIMIT_SECONDS):
            return (await run("docker", "version", "--format", "{{.Server.Version}}")).succeeded
    except (OSError, TimeoutError):
        return False


class Container:
    """The handle of a container. Its ports are chosen here, so that a restart doesn't change them."""

    def __init__(self, container: "DockerContainer") -> None:
        self._container = container
        self._created = False

    async def start(self) -> None:
        if self._created:
            await asyncio.to_thread(self._container.get_wrapped_container().start)
            return
        self._created = True
        await asyncio.to_thread(self._container.start)

    async def stop(self) -> None:
        await asyncio.to_thread(self._container.get_wrapped_container().stop)

    async def discard(self) -> None:
        await asyncio.to_thread(self._container.stop)

    async def ended(self) -> str:
        container = self._container.get_wrapped_container()
        while True:
            await asyncio.to_thread(container.reload)
            if container.status == "exited":
                log: bytes = await asyncio.to_thread(container.logs)
                return log.decode(errors="replace")[-_LOG_TAIL_CHARACTERS:]
            await asyncio.sleep(_POLL_SECONDS)


async def database_container(*, durable: bool) -> Database:
    """Prepare a PostgreSQL container, without starting it."""
    return await asyncio.to_thread(_database, durable=durable)


async def broker_container() -> Broker:
    """Prepare a RabbitMQ container, without starting it."""
    return await asyncio.to_thread(_broker)


def _database(*, durable: bool) -> Database:
    password = secrets.token_hex(16)
    (port,) = free_ports(1)
    settings = {"max_connections": str(MAX_CONNECTIONS)} | ({} if durable else WITHOUT_DURABILITY)
    options = " ".join(f"-c {name}={value}" for name, value in settings.items())
    container = (
        _container(POSTGRESQL_IMAGE, {5432: port})
        .with_command(f"postgres {options}")
        .with_env("POSTGRES_USER", USER)
        .with_env("POSTGRES_PASSWORD", password)
        .with_env("POSTGRES_DB", "postgres")
    )
    host = _host(container)
    return Database(
        url=f"postgresql://{USER}:{password}@{host}:{port}/postgres?sslmode=disable",
        handle=Container(container),
    )


def _broker() -> Broker:
    password = secrets.token_hex(16)
    amqp, management = free_ports(2)
    container = (
        _container(RABBITMQ_IMAGE, {5672: amqp, 15672: management})
        .with_env("RABBITMQ_DEFAULT_USER", USER)
        .with_env("RABBITMQ_DEFAULT_PASS", password)
        .with_env("RABBITMQ_NODENAME", "rs_order@localhost")
    )
    host = _host(container)
    return Broker(
        url=f"amqp://{USER}:{password}@{host}:{amqp}",
        management_url=f"http://{USER}:{password}@{host}:{management}",
        handle=Container(container),
    )


def _container(image: str, ports: dict[int, int]) -> "DockerContainer":
    from testcontainers.core.container import DockerContainer  # noqa: PLC0415 - see above

    container = DockerContainer(image)
    for inside, outside in ports.items():
        container.with_bind_ports(inside, outside)
    return container


def _host(container: "DockerContainer") -> str:
    """Return the host of published ports: loopback, or the host of a remote engine."""
    host: str = container.get_docker_client().host()
    return "127.0.0.1" if host == "localhost" else host
