"""The one way out to a virtual host."""

import asyncio

from aio_pika.abc import AbstractChannel, AbstractConnection

from rs_order.broker.connection import until_closed
from rs_order.broker.errors import BrokerAway
from rs_order.broker.messages import Publication
from rs_order.broker.publishing import open_publishing_channel, publish


class Publisher:
    """A session that keeps a channel with confirms open; many publications may be in flight."""

    def __init__(self) -> None:
        self._channel: AbstractChannel | None = None
        self._opened = asyncio.Event()
        self._stopping = asyncio.Event()

    @property
    def is_open(self) -> bool:
        return self._channel is not None and not self._channel.is_closed

    async def opened(self) -> None:
        """Return as soon as it can publish."""
        await self._opened.wait()

    async def publish(self, publication: Publication) -> None:
        """Return once the broker has the message.

        Raises:
            NotConfirmed: see `publishing.publish`.
            BrokerAway: there is no channel, or it died before the confirm came.
        """
        if self._channel is None:
            raise BrokerAway(f"Could not publish to {publication.target}: not connected.")
        await publish(
            self._channel,
            publication.exchange,
            publication.routing_key,
            publication.message,
            mandatory=publication.mandatory,
        )

    async def run(self, connection: AbstractConnection) -> None:
        self._channel = await open_publishing_channel(connection)
        self._opened.set()
        try:
            await until_closed(self._channel, self._stopping)
        finally:
            self._opened.clear()
            self._channel = None

    async def stop(self) -> None:
        """Close the channel; whoever publishes has stopped before."""
        self._stopping.set()
