"""Helpers of the tests of the broker package: connections, and handlers that a test controls."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage

from rs_order.broker.batch_consumer import BatchConsumer, BatchTimes
from rs_order.broker.bounded_attempts import BatchHandler
from rs_order.broker.connection import BACKOFF, Prepare, Session, SupervisedConnection
from rs_order.broker.delivery import Delivery, Done, Outcome
from rs_order.broker.topology import Elements, Queue, Topology
from rs_order.domain.retry import Backoff
from tests.support.polling import WAIT_SECONDS, eventually


def only(full: Topology, *queues: str) -> Topology:
    """Return the topology reduced to these queues of the multitenant virtual host.

    A durable queue costs the broker a tenth of a second, and few tests need more than one.
    """
    names = {getattr(full, queue).name for queue in queues}
    names |= {f"{name}.DLQ" for name in names} | {"regards.DLQ"}
    return replace(
        full,
        multitenant=_with_queues(full.multitenant, names),
        instance=_with_queues(full.instance, names),
    )


def _with_queues(elements: Elements, names: set[str]) -> Elements:
    bindings = tuple(binding for binding in elements.bindings if binding.queue in names)
    bound = {binding.exchange for binding in bindings}
    return Elements(
        exchanges=tuple(exchange for exchange in elements.exchanges if exchange.name in bound),
        queues=tuple(queue for queue in elements.queues if queue.name in names),
        bindings=bindings,
    )


@asynccontextmanager
async def raw_channel(url: str, vhost: str) -> AsyncIterator[AbstractChannel]:
    """Open a channel on a connection of its own, without rs_order."""
    connection = await aio_pika.connect(f"{url}/{vhost}")
    async with connection:
        yield await connection.channel(on_return_raises=True)


@asynccontextmanager
async def supervised(
    url: str,
    vhost: str,
    elements: Elements,
    sessions: Sequence[Session],
    backoff: Backoff = BACKOFF,
    *,
    prepare: Prepare | None = None,
) -> AsyncIterator[SupervisedConnection]:
    """Run a supervised connection inside the context, and stop it as the service does."""
    connection = SupervisedConnection(
        url, vhost, elements, sessions, backoff=backoff, prepare=prepare
    )
    running = asyncio.create_task(connection.run())
    try:
        yield connection
        await connection.stop()
        async with asyncio.timeout(WAIT_SECONDS):
            await running
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


class RecordingHandler:
    """Returns the outcomes that a test chooses, and lets it wait for deliveries."""

    def __init__(self, outcome: Callable[[Delivery], Outcome] = lambda _: Done()) -> None:
        self.batches: list[list[Delivery]] = []
        self.failures: list[Exception] = []
        """Exceptions to raise, one per call."""
        self.gate = asyncio.Event()
        """While it is cleared, calls wait before they return."""
        self.gate.set()
        self._outcome = outcome
        self._called = asyncio.Condition()

    @property
    def bodies(self) -> list[bytes]:
        return [delivery.body for batch in self.batches for delivery in batch]

    async def __call__(self, deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
        async with self._called:
            self.batches.append(list(deliveries))
            self._called.notify_all()
        if self.failures:
            raise self.failures.pop(0)
        await self.gate.wait()
        return [self._outcome(delivery) for delivery in deliveries]

    async def received(self, count: int) -> None:
        """Wait for so many deliveries, repeated ones included."""
        async with asyncio.timeout(WAIT_SECONDS), self._called:
            await self._called.wait_for(lambda: len(self.bodies) >= count)

    async def called(self, times: int) -> None:
        async with asyncio.timeout(WAIT_SECONDS), self._called:
            await self._called.wait_for(lambda: len(self.batches) >= times)


SLOW_BATCHES = BatchTimes(idle=0.05, apart=0, longest=0.5)


def new_consumer(
    queue: Queue,
    handler: BatchHandler,
    *,
    size: int = 1000,
    times: BatchTimes = SLOW_BATCHES,
    concurrency: int = 1,
    ahead: int = 0,
) -> BatchConsumer:
    """Return a consumer that waits while its handler raises ConnectionError."""
    return BatchConsumer(
        queue,
        handler,
        unavailable=(ConnectionError,),
        size=size,
        times=times,
        concurrency=concurrency,
        ahead=ahead,
    )


async def message_count(channel: AbstractChannel, queue: str) -> int:
    """Return the number of ready messages in a queue, without those that a consumer holds."""
    declared = await channel.declare_queue(queue, passive=True)
    return declared.declaration_result.message_count or 0


async def send(channel: AbstractChannel, queue: Queue | str, *bodies: bytes) -> None:
    """Publish persistent messages to a queue, in this order."""
    name = queue if isinstance(queue, str) else queue.name
    for body in bodies:
        await channel.default_exchange.publish(
            aio_pika.Message(body, delivery_mode=aio_pika.DeliveryMode.PERSISTENT), name
        )


async def take(channel: AbstractChannel, queue: str) -> AbstractIncomingMessage:
    """Wait for the next message of a queue and remove it."""
    taken: list[AbstractIncomingMessage] = []

    async def arrived() -> bool:
        opened = await channel.get_queue(queue, ensure=False)
        message = await opened.get(no_ack=True, fail=False)
        if message is not None:
            taken.append(message)
        return bool(taken)

    await eventually(arrived, f"a message in {queue}")
    return taken[0]
