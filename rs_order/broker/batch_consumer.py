"""Consumes a queue in batches: one commit and one acknowledgement for many messages."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog
from aio_pika.abc import AbstractChannel, AbstractConnection
from aiormq import Channel

from rs_order.broker.acknowledgement import acknowledge
from rs_order.broker.bounded_attempts import BatchHandler, BoundedAttempts, Notify, Stopping
from rs_order.broker.connection import BACKOFF
from rs_order.broker.delivery import Delivery, consume
from rs_order.broker.errors import BrokerUnavailable
from rs_order.broker.publishing import broker_errors, open_channel, when_closed
from rs_order.broker.topology import Queue
from rs_order.domain.retry import Backoff

REGISTRATION_CHECK_SECONDS = 0.5

_log = structlog.get_logger(__name__)

Index = Callable[[Sequence[Delivery]], Awaitable[None]]
"""Indexes dead letters, as their queue delivers them."""


@dataclass(frozen=True, slots=True)
class BatchTimes:
    """When a batch closes that isn't full, in seconds."""

    idle: float = 0.004
    """It closes when no message arrives for this long."""
    apart: float = 0.02
    """But not sooner after the batch before, so that a trickle doesn't cost a commit per message."""
    longest: float = 0.1
    """It closes this long after its first message, even if further messages keep arriving."""
    busy: float = 0.5
    """It gathers for as long as the batch before took to be handled, but no longer than this. So on a busy
    machine batches are larger, and cost less per message."""


class BatchConsumer:
    """A session that passes batches of a queue to a handler and acknowledges them.

    A delivery is acknowledged after the handler has returned and the broker has confirmed its dead
    letter, if any. Until then the broker keeps it, and redelivers it if this process dies.
    """

    def __init__(
        self,
        queue: Queue,
        handler: BatchHandler,
        *,
        unavailable: tuple[type[Exception], ...],
        notify: Notify | None = None,
        index: Index | None = None,
        size: int = 1000,
        times: BatchTimes = BatchTimes(),
        concurrency: int = 1,
        ahead: int = 0,
        backoff: Backoff = BACKOFF,
    ) -> None:
        """Set what to consume and how.

        Args:
            queue: exists already, see `topology.declare`.
            handler: called with 1 to ``size`` deliveries.
            unavailable: what the handler raises while it can't handle any message, see
                `BoundedAttempts`.
            notify: notifies users of messages that make the handler fail.
            index: called with the dead letters once they are in their queue. It must not raise.
            size: maximum number of messages in a batch.
            times: when a batch closes that has fewer messages.
            concurrency: batches handled at the same time. With more than one they finish in any
                order, so only for messages that don't depend on each other.
            ahead: messages that the broker delivers while as many batches as allowed are handled, so that
                the next batch is complete at once. They wait in memory.
            backoff: pauses between attempts to handle a batch.
        """
        self._queue = queue
        self._index = index
        self._size = size
        self._times = times
        self._concurrency = concurrency
        self._prefetch = size * concurrency + ahead
        self._arrived: asyncio.Queue[Delivery | None] = asyncio.Queue()
        self._last_closed = self._gathers_until = 0.0
        self._stopping = asyncio.Event()
        self._unsettled: dict[int, datetime] = {}
        self._attempts = BoundedAttempts(
            queue.name,
            handler,
            unavailable=unavailable,
            notify=notify,
            stopping=self._stopping,
            backoff=backoff,
        )
        self._ended = asyncio.Event()
        self._ended.set()
        self._paused, self._resumed = asyncio.Event(), asyncio.Event()
        self._resumed.set()
        self._registration: _Registration | None = None

    @property
    def queue(self) -> Queue:
        return self._queue

    @property
    def registered(self) -> bool:
        """True if the broker has this consumer, so that it delivers messages."""
        return self._registration is not None and self._registration.active

    @property
    def oldest_unsettled(self) -> datetime | None:
        """When the oldest message was published that was received here and isn't acknowledged, or None.

        The broker delivers in order, to any consumer that isn't full. So the oldest message of the queue is
        the oldest one that any consumer has.
        """
        return min(self._unsettled.values(), default=None) if self.registered else None

    @property
    def defect(self) -> str | None:
        """The class of an unforeseen error that holds up messages now, or None."""
        return self._attempts.defect

    async def run(self, connection: AbstractConnection) -> None:
        """Consume until `stop`.

        Raises:
            BrokerUnavailable: the channel or the consumer was lost.
        """
        if self._stopping.is_set():
            return
        self._ended.clear()
        try:
            while not self._stopping.is_set():
                await _first_of(self._resumed, self._stopping)
                if self._stopping.is_set():
                    return
                await self._consume(await open_channel(connection))
                self._registration = None
        finally:
            self._registration = None
            self._unsettled.clear()
            self._ended.set()

    def pause(self) -> None:
        """Give back all messages, also those of batches begun, and receive none until `resume`."""
        self._resumed.clear()
        self._paused.set()

    def resume(self) -> None:
        """Receive messages again."""
        self._paused.clear()
        self._resumed.set()

    async def stop(self) -> None:
        """Accept no new messages, finish the batches begun, give back the messages that only waited here."""
        self._stopping.set()
        await self._ended.wait()

    async def _consume(self, channel: AbstractChannel) -> None:
        self._arrived = asyncio.Queue()
        self._unsettled.clear()
        with broker_errors(f"consume {self._queue.name}"):
            await channel.set_qos(prefetch_count=self._prefetch)
            self._registration = await _register(channel, self._queue.name, self._receive)
        _log.info("consumer-registered", queue=self._queue.name)
        async with asyncio.TaskGroup() as group:
            watch = group.create_task(self._registration.watch())
            workers = [group.create_task(self._work(channel)) for _ in range(self._concurrency)]
            await _first_of(self._stopping, self._paused)
            watch.cancel()
            if not self._stopping.is_set():
                await self._give_back(channel, workers)
                return
            await self._registration.cancel()
            for _ in range(self._concurrency):
                self._arrived.put_nowait(None)
        with broker_errors("close the channel"):
            await channel.close()

    def _receive(self, delivery: Delivery) -> None:
        self._unsettled[delivery.tag] = delivery.timestamp or datetime.now(UTC)
        self._arrived.put_nowait(delivery)

    async def _give_back(
        self, channel: AbstractChannel, workers: Sequence[asyncio.Task[None]]
    ) -> None:
        """Close the channel, so that the broker delivers all its messages to other instances at once."""
        for worker in workers:
            worker.cancel()
        self._unsettled.clear()
        with broker_errors("close the channel"):
            await channel.close()
        _log.info("consumer-paused", queue=self._queue.name)

    async def _work(self, channel: AbstractChannel) -> None:
        loop = asyncio.get_running_loop()
        while deliveries := await self._next_batch():
            began = loop.time()
            try:
                outcomes = await self._attempts.handle(deliveries)
            except Stopping:
                return
            cumulative = self._concurrency == 1
            letters = await acknowledge(
                channel, self._queue, deliveries, outcomes, cumulative=cumulative
            )
            ended = loop.time()
            self._gathers_until = ended + min(ended - began, self._times.busy)
            for delivery in deliveries:
                self._unsettled.pop(delivery.tag, None)
            if letters and self._index is not None:
                await self._index(letters)

    async def _next_batch(self) -> list[Delivery]:
        """Return the next deliveries, or none if the consumer stops."""
        loop, times = asyncio.get_running_loop(), self._times
        batch = [await self._arrived.get()]
        earliest = max(self._last_closed + times.apart, self._gathers_until)
        latest = max(loop.time() + times.longest, earliest)
        while len(batch) < self._size and not self._stopping.is_set():
            closes = min(latest, max(earliest, loop.time() + times.idle))
            try:
                async with asyncio.timeout_at(closes):
                    batch.append(await self._arrived.get())
            except TimeoutError:
                break
            self._take_arrived(batch)
        self._last_closed = loop.time()
        if self._stopping.is_set():
            return []
        return [delivery for delivery in batch if delivery is not None]

    def _take_arrived(self, batch: list[Delivery | None]) -> None:
        """Fill a batch with messages that have arrived already."""
        while len(batch) < self._size and not self._arrived.empty():
            batch.append(self._arrived.get_nowait())


async def _first_of(*events: asyncio.Event) -> None:
    """Wait until one of the events is set."""
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


class _Registration:
    """The consumer's registration at the broker."""

    def __init__(self, channel: Channel, queue: str, tag: str, closed: asyncio.Event) -> None:
        self._channel = channel
        self._queue = queue
        self._tag = tag
        self._closed = closed

    @property
    def active(self) -> bool:
        """False once the broker has cancelled it (its queue was deleted) or the channel has closed."""
        return not self._channel.is_closed and self._tag in self._channel.consumers

    async def watch(self) -> None:
        """Raise once the registration is lost.

        It is polled: all supported AMQP libraries drop a consumer that the broker cancelled, but only
        the newer ones signal it.
        """
        while self.active:
            with suppress(TimeoutError):
                async with asyncio.timeout(REGISTRATION_CHECK_SECONDS):
                    await self._closed.wait()
        raise BrokerUnavailable(f"The consumer of {self._queue} was lost.")

    async def cancel(self) -> None:
        with broker_errors(f"cancel the consumer of {self._queue}"):
            await self._channel.basic_cancel(self._tag)


async def _register(
    channel: AbstractChannel, name: str, arrived: Callable[[Delivery], None]
) -> _Registration:
    underlay = await channel.get_underlay_channel()
    if not isinstance(underlay, Channel):
        raise TypeError(f"aio-pika changed its channel: {type(underlay).__name__}")
    tag = await consume(underlay, name, arrived)
    return _Registration(underlay, name, tag, when_closed(channel))
