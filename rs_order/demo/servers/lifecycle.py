"""Context managers that run servers for as long as a block of code needs them."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

from rs_order.demo.servers.database_and_broker import Broker, Database, Server
from rs_order.demo.servers.errors import EndedAtStartError
from rs_order.demo.servers.machine import Kind, Machine, ThisMachine
from rs_order.demo.servers.management_api import Management
from rs_order.demo.servers.server_sources import (
    Report,
    Source,
    find_sources,
    prepare_broker,
    prepare_database,
)

VHOSTS = ("regards.multitenant.manager", "regards.instance.manager")
"""Created in every broker that is started here, or whose management API is known (amqp.md 1.1)."""

S = TypeVar("S", bound=Server)


@dataclass(frozen=True)
class Servers:
    """A database and a broker that serve."""

    database: Database
    broker: Broker

    @property
    def database_url(self) -> str:
        return self.database.url

    @property
    def amqp_url(self) -> str:
        """Host and credentials, without a virtual host."""
        return self.broker.url

    @property
    def management_url(self) -> str | None:
        return self.broker.management_url


def report_on_stderr(line: str) -> None:
    """Show a line to the user who waits, apart from the output of the command."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


@asynccontextmanager
async def running_servers(
    *, durable: bool, machine: Machine | None = None, report: Report = report_on_stderr
) -> AsyncIterator[Servers]:
    """Find both servers and start them at the same time; end and remove them when the block is left.

    Args:
        durable: survive the loss of power, at the price of speed. Otherwise private servers keep their
            files in memory.
        machine: where to look for servers; by default this machine.
        report: receives a line about the source of each server.

    Raises:
        ServersError: no server can be used; the text says what to do.
    """
    sources = await find_sources(list(Kind), machine or ThisMachine(), report)
    async with AsyncExitStack() as stack:
        starts = (
            _database(sources[Kind.DATABASE], durable, stack, report),
            _broker(sources[Kind.BROKER], durable, stack, report),
        )
        database, broker = await _together(*starts)
        yield Servers(database, broker)


@asynccontextmanager
async def running_database(
    *, durable: bool = False, machine: Machine | None = None, report: Report = report_on_stderr
) -> AsyncIterator[Database]:
    """Like ``running_servers``, for a database alone."""
    sources = await find_sources([Kind.DATABASE], machine or ThisMachine(), report)
    async with AsyncExitStack() as stack:
        yield await _database(sources[Kind.DATABASE], durable, stack, report)


@asynccontextmanager
async def running_broker(
    *, durable: bool = False, machine: Machine | None = None, report: Report = report_on_stderr
) -> AsyncIterator[Broker]:
    """Like ``running_servers``, for a broker alone."""
    sources = await find_sources([Kind.BROKER], machine or ThisMachine(), report)
    async with AsyncExitStack() as stack:
        yield await _broker(sources[Kind.BROKER], durable, stack, report)


async def _together(
    database: Coroutine[None, None, Database], broker: Coroutine[None, None, Broker]
) -> tuple[Database, Broker]:
    """Start both at the same time. When one fails, the start of the other is cancelled."""
    try:
        async with asyncio.TaskGroup() as starts:
            database_start = starts.create_task(database)
            broker_start = starts.create_task(broker)
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None  # the user acts on one clear line
    return database_start.result(), broker_start.result()


async def _database(
    source: Source, durable: bool, stack: AsyncExitStack, report: Report
) -> Database:
    return await _started(lambda: prepare_database(source, durable=durable), stack, report)


async def _broker(source: Source, durable: bool, stack: AsyncExitStack, report: Report) -> Broker:
    broker = await _started(lambda: prepare_broker(source, durable=durable), stack, report)
    await _create_vhosts(broker)
    return broker


async def _started(prepare: Callable[[], Awaitable[S]], stack: AsyncExitStack, report: Report) -> S:
    """Prepare and start a server, which the stack discards.

    If it ends by itself, try once more on other ports: another program may have taken a port between
    the choice and the start.
    """
    try:
        return await _start_once(prepare, stack)
    except EndedAtStartError as failure:
        report(f"{failure}\ntrying once more, on other ports")
        return await _start_once(prepare, stack)


async def _start_once(prepare: Callable[[], Awaitable[S]], stack: AsyncExitStack) -> S:
    server = await prepare()
    stack.push_async_callback(server.discard)
    await server.start()
    return server


async def _create_vhosts(broker: Broker) -> None:
    if broker.management_url is None:
        return  # given by URL alone: its owner has created the virtual hosts
    async with Management(broker.management_url) as management:
        for vhost in VHOSTS:
            await management.create_vhost(vhost)
