"""A supervised connection to one virtual host: comes back by itself, loses nothing it must send."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from itertools import islice
from urllib.parse import quote

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import AMQPError
from yarl import URL

from rs_order.sandbox.calls import Changes
from rs_order.sandbox.wire import Event

_LOG = logging.getLogger(__name__)
_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 5.0
_CONNECT_SECONDS = 10.0
_BACKLOG = 5_000
"""Events that may wait for the broker before their source is asked to wait too."""
_IN_FLIGHT = 500
"""Events published before the first of them is confirmed."""

_TROUBLES = (AMQPError, OSError, TimeoutError, RuntimeError)
"""What a broker that stops, restarts or refuses raises; RuntimeError is aio-pika's for a channel
or connection that was closed meanwhile."""


class Link:
    def __init__(
        self, amqp_url: str, vhost: str, set_up: Callable[[AbstractChannel], Awaitable[None]]
    ) -> None:
        """A link at rest; ``run`` makes it work.

        Args:
            amqp_url: host and credentials.
            vhost: its plain name.
            set_up: declares and subscribes on a fresh channel, after each connection.
        """
        self._url = URL(amqp_url).with_path("/" + quote(vhost, safe=""), encoded=True)
        self._vhost = vhost
        self._set_up = set_up
        self._outgoing: deque[Event] = deque()
        self._something = asyncio.Event()
        self._room = Changes()
        self.up = asyncio.Event()
        """Set while connected and subscribed."""

    def send(self, event: Event) -> None:
        """Publish as soon as possible, in this order, at least once."""
        self._outgoing.append(event)
        self._something.set()

    async def until_room(self) -> None:
        """Until the broker has taken enough of what was sent."""
        await self._room.until(lambda: len(self._outgoing) < _BACKLOG)

    async def run(self) -> None:
        """Be connected, for ever."""
        pause = _FIRST_PAUSE_SECONDS
        while True:
            try:
                await self._live()
            except _TROUBLES as error:
                _LOG.warning("Broker link %s: %s; next try in %s s", self._vhost, error, pause)
            pause = _FIRST_PAUSE_SECONDS if self.up.is_set() else pause
            self.up.clear()
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    async def _live(self) -> None:
        """One connection, from its opening to its loss."""
        connection = await aio_pika.connect(self._url, timeout=_CONNECT_SECONDS)
        async with connection:
            incoming = await connection.channel()
            await self._set_up(incoming)
            outgoing = await connection.channel(publisher_confirms=True)
            self.up.set()
            self._something.set()
            publishing = asyncio.create_task(self._publish(outgoing))
            lost = asyncio.create_task(_loss_of(connection, incoming))
            try:
                await asyncio.wait({lost, publishing}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                lost.cancel()
                publishing.cancel()
                await asyncio.wait({lost, publishing})
            if not publishing.cancelled():
                publishing.result()

    async def _publish(self, channel: AbstractChannel) -> None:
        while True:
            await self._something.wait()
            self._something.clear()
            while batch := list(islice(self._outgoing, _IN_FLIGHT)):
                await self._publish_batch(channel, batch)
                for _ in batch:
                    self._outgoing.popleft()
                self._room.tell()

    async def _publish_batch(self, channel: AbstractChannel, batch: list[Event]) -> None:
        publications = []
        for event in batch:
            exchange = await channel.get_exchange(event.exchange, ensure=False)
            publications.append(exchange.publish(event.message(), "", mandatory=False))
        await asyncio.gather(*publications)


async def _loss_of(connection: AbstractConnection, channel: AbstractChannel) -> None:
    """Until the connection, or the channel of the consumers, closes, whoever closes it."""
    closures = [asyncio.ensure_future(one.closed()) for one in (connection, channel)]
    try:
        await asyncio.wait(closures, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for closure in closures:
            closure.cancel()
