"""Asks the broker how many messages wait in queues."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from aio_pika.abc import AbstractChannel, AbstractConnection
from aiormq.exceptions import ChannelNotFoundEntity

from rs_order.broker.errors import BrokerUnavailable
from rs_order.broker.publishing import broker_errors, open_channel


@dataclass(frozen=True, slots=True)
class Depth:
    """The state of a queue."""

    messages: int
    """Messages that no consumer has received."""
    consumers: int
    """Consumers of all processes."""


class QueueDepths:
    """A session that reads the depths of queues of its virtual host when it is asked."""

    def __init__(self, queues: Callable[[], Sequence[str]]) -> None:
        """``queues`` returns the names of the queues to read."""
        self._queues = queues
        self._connection: AbstractConnection | None = None
        self._stopping = asyncio.Event()

    async def run(self, connection: AbstractConnection) -> None:
        self._connection = connection
        try:
            await self._stopping.wait()
        finally:
            self._connection = None

    async def stop(self) -> None:
        self._stopping.set()

    async def read(self) -> dict[str, Depth]:
        """Return the depths of the queues that exist.

        Raises:
            BrokerUnavailable: there is no connection.
        """
        if self._connection is None:
            raise BrokerUnavailable("Could not read the depths of queues: not connected.")
        depths: dict[str, Depth] = {}
        channel = await open_channel(self._connection)
        for name in self._queues():
            if channel.is_closed:  # the broker closes it when a queue doesn't exist
                channel = await open_channel(self._connection)
            depth = await depth_of(channel, name)
            if depth is not None:
                depths[name] = depth
        with broker_errors("close the channel"):
            await channel.close()
        return depths


async def depth_of(channel: AbstractChannel, name: str) -> Depth | None:
    """Return the depth of a queue, or None if it doesn't exist. The channel is closed in the latter case."""
    with broker_errors(f"read the depth of {name}"):
        try:
            queue = await channel.get_queue(name)
        except ChannelNotFoundEntity:
            return None
    found = queue.declaration_result
    return Depth(found.message_count or 0, found.consumer_count or 0)
