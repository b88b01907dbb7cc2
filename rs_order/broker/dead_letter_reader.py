"""Reads a queue of dead letters without losing one.

A dead letter is read by receiving it without an acknowledgement. If it is not acknowledged, it goes back
into its queue when the channel closes, also when this process dies.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from aio_pika.abc import AbstractChannel, AbstractConnection
from aiormq.exceptions import ChannelLockedResource

from rs_order.broker.connection import connect
from rs_order.broker.delivery import Delivery, consume
from rs_order.broker.publishing import broker_errors, open_channel
from rs_order.broker.queue_depths import depth_of

LOCK_QUEUE = "rs-order.dead-letters.lock"
"""An exclusive queue. The broker gives it to one connection, and deletes it when that connection closes."""
READ_AT_A_TIME = 200
READ_LIMIT = 200_000
"""Dead letters read from one queue: the broker keeps a note of each until the channel closes."""
RECEIVE_SECONDS = 10.0


@asynccontextmanager
async def exclusive_connection(url: str, vhost: str) -> AsyncIterator[AbstractConnection | None]:
    """Connect to read dead letters, or yield None if another process reads those of the virtual host.

    Raises:
        BrokerUnavailable: the broker can't be reached.
    """
    async with await connect(url, vhost) as connection:
        yield connection if await _has_lock(connection) else None


async def _has_lock(connection: AbstractConnection) -> bool:
    channel = await open_channel(connection)
    with broker_errors("lock the dead letters"):
        try:
            await channel.declare_queue(LOCK_QUEUE, exclusive=True)
        except ChannelLockedResource:
            return False
    return True


class QueueReading:
    """One pass through a queue. What is not acknowledged goes back when it closes."""

    def __init__(self, channel: AbstractChannel, queue: str, *, limit: int = READ_LIMIT) -> None:
        self._channel = channel
        self._queue = queue
        self._limit = limit
        self.complete = False
        """True once the queue was empty, because everything in it had been read."""

    async def batches(self) -> AsyncIterator[Sequence[Delivery]]:
        """Yield everything in the queue, a few at a time, until it is empty or the limit is reached."""
        read = 0
        while read < self._limit:
            depth = await depth_of(self._channel, self._queue)
            if depth is None or depth.messages == 0:
                self.complete = depth is not None
                return
            batch = await self._receive(min(depth.messages, READ_AT_A_TIME))
            if not batch:
                return
            read += len(batch)
            yield batch

    async def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """Delete dead letters from the queue."""
        underlay = await self._channel.get_underlay_channel()
        with broker_errors("acknowledge a dead letter"):
            for delivery in deliveries:
                await underlay.basic_ack(delivery.tag)

    async def _receive(self, count: int) -> list[Delivery]:
        """Return the next messages, fewer if others are faster.

        The prefetch is a limit per consumer. With one for each batch, no more than a batch is in memory.
        """
        received: list[Delivery] = []
        full = asyncio.Event()

        def receive(delivery: Delivery) -> None:
            received.append(delivery)
            if len(received) >= count:
                full.set()

        with broker_errors(f"read {self._queue}"):
            await self._channel.set_qos(prefetch_count=count)
            underlay = await self._channel.get_underlay_channel()
            tag = await consume(underlay, self._queue, receive)
            try:
                async with asyncio.timeout(RECEIVE_SECONDS):
                    await full.wait()
            except TimeoutError:
                pass
            await underlay.basic_cancel(tag)
        return received


@asynccontextmanager
async def reading(connection: AbstractConnection, queue: str) -> AsyncIterator[QueueReading]:
    """Open a channel to read a queue, and give back what was not acknowledged in the end."""
    channel = await open_channel(connection)
    try:
        yield QueueReading(channel, queue)
    finally:
        if not channel.is_closed:
            with broker_errors(f"put dead letters back into {queue}"):
                await channel.close()
