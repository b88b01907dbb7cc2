"""Durable servers for a measurement, with a fresh database and fresh virtual hosts for each part of it."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg
import httpx
import psutil

from rs_order.demo.servers.lifecycle import Servers, running_servers
from rs_order.demo.servers.management_api import Management
from tests.support.servers import FreshBroker, fresh_broker, fresh_database

server_circumstances: dict[str, str] = {}
"""The versions of the servers of this process, and the settings that make PostgreSQL durable."""


@dataclass(frozen=True)
class BenchmarkServers:
    """PostgreSQL with fsync and synchronous commits, and RabbitMQ with its files on disk."""

    servers: Servers
    admin: asyncpg.Connection
    management: Management
    virtual_hosts: Callable[[], AbstractAsyncContextManager[FreshBroker]] | None = None
    """Provides virtual hosts that were used before, in which the queues exist; None: new ones are created."""

    @property
    def management_url(self) -> str:
        return self.servers.management_url or ""

    def database(self) -> AbstractAsyncContextManager[str]:
        """Create an empty database, and yield its URL; it is dropped in the end."""
        return fresh_database(self.admin, self.servers.database_url)

    def broker(self) -> AbstractAsyncContextManager[FreshBroker]:
        """Provide two virtual hosts without messages."""
        if self.virtual_hosts is not None:
            return self.virtual_hosts()
        return fresh_broker(self.management, self.servers.amqp_url, self.management_url)

    async def database_cpu_seconds(self) -> float:
        """Return the CPU time of all processes of PostgreSQL since its start."""
        backend = psutil.Process(await self.admin.fetchval("select pg_backend_pid()"))
        postmaster = backend.parent()
        if postmaster is None:
            raise RuntimeError("PostgreSQL runs on another machine")
        ended = postmaster.cpu_times()
        running = [process.cpu_times() for process in [postmaster, *postmaster.children()]]
        return (
            ended.children_user
            + ended.children_system
            + sum(times.user + times.system for times in running)
        )

    async def broker_cpu_seconds(self) -> float:
        """Return the CPU time of RabbitMQ since its start."""
        (node,) = await self._asked("nodes")
        times = psutil.Process(int(node["os_pid"])).cpu_times()
        return times.user + times.system

    async def circumstances(self) -> dict[str, str]:
        """Return the versions of both servers, and the settings that make PostgreSQL durable."""
        overview = await self._asked("overview")
        durability = [
            f"{name}={await self.admin.fetchval(f'show {name}')}"
            for name in ("fsync", "synchronous_commit", "full_page_writes")
        ]
        version = await self.admin.fetchval("show server_version")
        return {
            "PostgreSQL": f"{version} ({', '.join(durability)})",
            "RabbitMQ": f"{overview['rabbitmq_version']} (Erlang {overview['erlang_version']})",
        }

    async def _asked(self, what: str) -> Any:
        """Return the answer of the management API."""
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.get(f"{self.management_url}/api/{what}")
        return answer.raise_for_status().json()


@contextmanager
def durable_servers() -> Iterator[None]:
    """Run durable servers, and put their addresses into the environment for ``benchmark_servers``.

    They run in a thread with an event loop of asyncio: uvloop, on which the service runs as in production,
    can't start processes of another user. Servers whose addresses are in the environment already are used.
    """
    started: Future[Servers] = Future()
    stop = threading.Event()
    thread = threading.Thread(target=asyncio.run, args=(_serve(started, stop),))
    thread.start()
    try:
        os.environ.update(server_addresses(started.result()))
        yield
    finally:
        stop.set()
        thread.join()


async def _serve(started: "Future[Servers]", stop: threading.Event) -> None:
    try:
        async with running_servers(durable=True) as servers:
            started.set_result(servers)
            await asyncio.to_thread(stop.wait)
    except Exception as error:
        if started.done():
            raise
        started.set_exception(error)


def server_addresses(servers: Servers) -> dict[str, str]:
    """Return the addresses of servers as environment variables."""
    return {
        "RS_ORDER_DATABASE_URL": servers.database_url,
        "RS_ORDER_AMQP_URL": servers.amqp_url,
        "RS_ORDER_AMQP_MANAGEMENT_URL": servers.management_url or "",
    }


_shared: list[BenchmarkServers] = []


@contextmanager
def shared(servers: BenchmarkServers) -> Iterator[None]:
    """Let ``benchmark_servers`` yield these servers in the block."""
    _shared.append(servers)
    try:
        yield
    finally:
        _shared.pop()


@asynccontextmanager
async def benchmark_servers() -> AsyncIterator[BenchmarkServers]:
    """Connect to the servers that are shared, or whose addresses are in the environment."""
    if _shared:
        yield _shared[-1]
        return
    async with running_servers(durable=True) as servers:
        if servers.management_url is None:
            raise RuntimeError(
                "a benchmark creates virtual hosts: set RS_ORDER_AMQP_MANAGEMENT_URL"
            )
        admin = await asyncpg.connect(servers.database_url)
        try:
            async with Management(servers.management_url) as management:
                started = BenchmarkServers(servers, admin, management)
                server_circumstances.update(await started.circumstances())
                yield started
        finally:
            await admin.close()
