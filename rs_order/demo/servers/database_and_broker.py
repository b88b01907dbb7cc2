"""A database and a broker as their users see them: an address that serves, and a handle."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import ClassVar
from urllib.parse import urlsplit

import asyncpg
import httpx

from rs_order.demo.servers.errors import EndedAtStartError, ServerStartError
from rs_order.demo.servers.handles import ServerHandle
from rs_order.demo.servers.management_api import Management

START_LIMIT_SECONDS = 240.0
"""A cold RabbitMQ on a busy machine of two cores takes up to half a minute."""

_PAUSE_SECONDS = 0.05
_ATTEMPT_SECONDS = 5.0

_AMQP_PORT = 5672
_PROTOCOL_HEADER = b"AMQP\x00\x00\x09\x01"
_METHOD_FRAME = b"\x01"


class Server(ABC):
    """A server that serves between ``start`` and ``stop``, always at the same address.

    Args:
        url: with credentials.
        handle: starts and stops it.
    """

    name: ClassVar[str]

    def __init__(self, url: str, handle: ServerHandle) -> None:
        self.url = url
        self._handle = handle

    async def start(self) -> None:
        """Start the server and wait until it serves.

        Raises:
            EndedAtStartError: it ended by itself; the text has the end of its log.
            ServerStartError: it rejects the connection, or doesn't answer in time.
        """
        await self._handle.start()
        serving = asyncio.create_task(self._until_it_serves())
        ended = asyncio.create_task(self._handle.ended())
        try:
            done, _ = await asyncio.wait(
                {serving, ended}, timeout=START_LIMIT_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            await _cancel(serving, ended)
        if serving in done:
            self._check_accepted(serving)
        elif ended in done:
            raise EndedAtStartError(f"{self} ended instead of starting:\n{ended.result()}")
        else:
            raise ServerStartError(f"{self} does not answer after {START_LIMIT_SECONDS:.0f} s")

    async def stop(self) -> None:
        """End the server in good order; it can be started again with the same data.

        Raises:
            NotOursError: the server was given by URL.
        """
        await self._handle.stop()

    async def restart(self) -> None:
        await self.stop()
        await self.start()

    async def discard(self) -> None:
        """End the server and remove everything that it wrote. It can't be started again."""
        await self._handle.discard()

    def __str__(self) -> str:
        return f"{self.name} at {urlsplit(self.url).netloc.rpartition('@')[2]}"

    @abstractmethod
    async def _until_it_serves(self) -> None:
        """Return as soon as the server takes requests."""

    def _check_accepted(self, serving: asyncio.Task[None]) -> None:
        try:
            serving.result()
        except (asyncpg.PostgresError, httpx.HTTPStatusError) as rejection:
            raise ServerStartError(f"{self} rejects the connection: {rejection}") from rejection


class Database(Server):
    """A PostgreSQL whose user may create databases."""

    name = "PostgreSQL"

    async def _until_it_serves(self) -> None:
        await _until(lambda: _database_answers(self.url))


class Broker(Server):
    """A RabbitMQ.

    Args:
        url: ``amqp://user:password@host:port``, without a virtual host.
        management_url: of the management API, with credentials; None if it is unknown.
        handle: starts and stops it.
    """

    name = "RabbitMQ"

    def __init__(self, url: str, management_url: str | None, handle: ServerHandle) -> None:
        super().__init__(url, handle)
        self.management_url = management_url

    async def _until_it_serves(self) -> None:
        if self.management_url is None:
            await _until(lambda: _speaks_amqp(self.url))
            return
        async with Management(self.management_url) as management:
            await _until(management.answers)
        await _until(lambda: _speaks_amqp(self.url))


async def _cancel(*tasks: asyncio.Task[None] | asyncio.Task[str]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def _until(answers: Callable[[], Awaitable[bool]]) -> None:
    """Ask until the answer is True. A server offers no signal for it, and the caller sets the limit."""
    while not await answers():  # noqa: ASYNC110 - the event would be in another process
        await asyncio.sleep(_PAUSE_SECONDS)


async def _database_answers(url: str) -> bool:
    """Return True if PostgreSQL accepts sessions now.

    Raises:
        asyncpg.PostgresError: it rejects the user, the password or the database for good.
    """
    try:
        connection = await asyncpg.connect(url, timeout=_ATTEMPT_SECONDS)
    except (OSError, TimeoutError, asyncpg.CannotConnectNowError):
        return False
    except asyncpg.ConnectionDoesNotExistError:
        return False  # the server stopped during the handshake
    await connection.close()
    return True


async def _speaks_amqp(url: str) -> bool:
    """Return True if RabbitMQ accepts AMQP connections now."""
    address = urlsplit(url)
    try:
        async with asyncio.timeout(_ATTEMPT_SECONDS):
            reader, writer = await asyncio.open_connection(
                address.hostname, address.port or _AMQP_PORT
            )
            try:
                writer.write(_PROTOCOL_HEADER)
                return await reader.read(1) == _METHOD_FRAME
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False
