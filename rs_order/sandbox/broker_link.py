"""A supervised connection to one virtual host. It reconnects by itself and loses no event."""

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

from rs_order.sandbox.amqp_wire import Event
from rs_order.sandbox.records import Changes

_LOG = logging.getLogger(__name__)
_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 5.0
_CONNECT_SECONDS = 10.0
_BACKLOG = 5_000
"""The number of unsent events from which ``until_sent`` waits."""
_IN_FLIGHT = 500
"""The number of events published before their confirms are awaited."""

_CONNECTION_ERRORS = (AMQPError, OSError, TimeoutError, RuntimeError)
"""Errors of a broker that stops, restarts or rejects. aio-pika raises RuntimeError for a channel or
connection that is closed."""


class Link:
    def __init__(
        self, amqp_url: str, vhost: str, set_up: Callable[[AbstractChannel], Awaitable[None]]
    ) -> None:
        """Create a link; ``run`` connects it.

        Args:
            amqp_url: host and credentials.
            vhost: its name, without escapes.
            set_up: declares and subscribes on the new channel of each connection.
        """
        self._url = URL(amqp_url).with_path("/" + quote(vhost, safe=""), encoded=True)
        self._vhost = vhost
        self._set_up = set_up
        self._outgoing: deque[Event] = deque()
        self._outgoing_added = asyncio.Event()
        self._sent = Changes()
        self.up = asyncio.Event()
        """Set while connected and subscribed."""

    def send(self, event: Event) -> None:
        """Publish an event as soon as possible, in order, at least once."""
        self._outgoing.append(event)
        self._outgoing_added.set()

    async def until_sent(self) -> None:
        """Wait until fewer than 5,000 events are unsent."""
        await self._sent.until(lambda: len(self._outgoing) < _BACKLOG)

    async def run(self) -> None:
        """Connect, and reconnect after each loss, until cancelled."""
        pause = _FIRST_PAUSE_SECONDS
        while True:
            try:
                await self._stay_connected()
            except _CONNECTION_ERRORS as error:
                _LOG.warning("Broker link %s: %s; next try in %s s", self._vhost, error, pause)
            pause = _FIRST_PAUSE_SECONDS if self.up.is_set() else pause
            self.up.clear()
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    async def _stay_connected(self) -> None:
        """Open one connection and use it until it is lost."""
        connection = await aio_pika.connect(self._url, timeout=_CONNECT_SECONDS)
        async with connection:
            incoming = await connection.channel()
            await self._set_up(incoming)
            outgoing = await connection.channel(publisher_confirms=True)
            self.up.set()
            self._outgoing_added.set()
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
            await self._outgoing_added.wait()
            self._outgoing_added.clear()
            while batch := list(islice(self._outgoing, _IN_FLIGHT)):
                await self._publish_batch(channel, batch)
                for _ in batch:
                    self._outgoing.popleft()
                self._sent.notify()

    async def _publish_batch(self, channel: AbstractChannel, batch: list[Event]) -> None:
        publications = []
        for event in batch:
            exchange = await channel.get_exchange(event.exchange, ensure=False)
            publications.append(exchange.publish(event.message(), "", mandatory=False))
        await asyncio.gather(*publications)


async def _loss_of(connection: AbstractConnection, channel: AbstractChannel) -> None:
    """Wait until the connection or the channel of the consumers is closed, by either side."""
    closures = [asyncio.ensure_future(one.closed()) for one in (connection, channel)]
    try:
        await asyncio.wait(closures, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for closure in closures:
            closure.cancel()
