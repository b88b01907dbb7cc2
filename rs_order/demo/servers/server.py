"""A database and a broker as their users see them: an address, and control where it is ours."""

import asyncio
from abc import ABC, abstractmethod
from typing import ClassVar
from urllib.parse import urlsplit

import asyncpg
import httpx

from rs_order.demo.servers.errors import EndedAtStartError, ServerStartError
from rs_order.demo.servers.keepers import Keeper
from rs_order.demo.servers.management import Management
from rs_order.demo.servers.readiness import broker_answers, database_answers, until

START_LIMIT_SECONDS = 90.0
"""A cold RabbitMQ on a busy machine of two cores takes up to half a minute."""


class Server(ABC):
    """A server that answers between ``start`` and ``stop``, always at the same address.

    Args:
        url: with credentials.
        keeper: who keeps it running.
    """

    name: ClassVar[str]

    def __init__(self, url: str, keeper: Keeper) -> None:
        self.url = url
        self._keeper = keeper

    async def start(self) -> None:
        """Start the server and wait until it serves.

        Raises:
            EndedAtStartError: it ended by itself; the text has the end of its log.
            ServerStartError: it refuses us, or doesn't answer in time.
        """
        await self._keeper.start()
        serving = asyncio.create_task(self._until_it_serves())
        ended = asyncio.create_task(self._keeper.ended())
        try:
            done, _ = await asyncio.wait(
                {serving, ended}, timeout=START_LIMIT_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            await _cancel(serving, ended)
        if serving in done:
            self._check_welcome(serving)
        elif ended in done:
            raise EndedAtStartError(f"{self} ended instead of starting:\n{ended.result()}")
        else:
            raise ServerStartError(f"{self} does not answer after {START_LIMIT_SECONDS:.0f} s")

    async def stop(self) -> None:
        """End the server in good order; it can be started again with the same data.

        Raises:
            NotOursError: the server was given by URL.
        """
        await self._keeper.stop()

    async def restart(self) -> None:
        await self.stop()
        await self.start()

    async def discard(self) -> None:
        """End the server and remove everything it wrote. It can't be started again."""
        await self._keeper.discard()

    def __str__(self) -> str:
        return f"{self.name} at {urlsplit(self.url).netloc.rpartition('@')[2]}"

    @abstractmethod
    async def _until_it_serves(self) -> None:
        """Return as soon as the server takes requests."""

    def _check_welcome(self, serving: asyncio.Task[None]) -> None:
        try:
            serving.result()
        except (asyncpg.PostgresError, httpx.HTTPStatusError) as refusal:
            raise ServerStartError(f"{self} refuses us: {refusal}") from refusal


class Database(Server):
    """A PostgreSQL whose user may create databases."""

    name = "PostgreSQL"

    async def _until_it_serves(self) -> None:
        await until(lambda: database_answers(self.url))


class Broker(Server):
    """A RabbitMQ.

    Args:
        url: ``amqp://user:password@host:port``, without a virtual host.
        management_url: of the management API, with credentials; None when nobody told it.
        keeper: who keeps it running.
    """

    name = "RabbitMQ"

    def __init__(self, url: str, management_url: str | None, keeper: Keeper) -> None:
        super().__init__(url, keeper)
        self.management_url = management_url

    async def _until_it_serves(self) -> None:
        if self.management_url is None:
            await until(lambda: broker_answers(self.url, None))
            return
        async with Management(self.management_url) as management:
            await until(lambda: broker_answers(self.url, management))


async def _cancel(*tasks: asyncio.Task[None] | asyncio.Task[str]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
