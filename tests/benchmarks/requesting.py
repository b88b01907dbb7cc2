"""Peers of the service: one that requests orders, and a storage that answers at once."""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Self

import aio_pika
import orjson
from aio_pika.abc import AbstractChannel, AbstractExchange, AbstractIncomingMessage, AbstractQueue

from rs_order.contracts.platform_messages import FILE_REFERENCE, FILES_RESTORATION_REQUEST
from tests.acceptance.peer import REQUESTS, RESPONSES
from tests.benchmarks.stubs import checksum_of
from tests.support.servers import FreshBroker

PUBLISHED_AT_ONCE = 500
LONGEST_WAIT_SECONDS = 1800
COUNTED_EVERY_SECONDS = 0.02


class Requester:
    """Requests orders of single products, and waits for the responses."""

    def __init__(self, channel: AbstractChannel) -> None:
        self._channel = channel
        self.published: dict[str, float] = {}
        """Times of publication by correlation id, on the monotonic clock."""
        self._arrived: dict[str, dict[str, float]] = defaultdict(dict)
        """Times of arrival by status and correlation id."""
        self._missing: dict[str, set[str]] = defaultdict(set)
        """The ids that are waited for, by status."""
        self._changed = asyncio.Event()

    @classmethod
    @asynccontextmanager
    async def connected(cls, broker: FreshBroker) -> AsyncIterator["Requester"]:
        """Connect to the virtual host, and consume the responses of all tenants."""
        async with opened_channel(broker) as channel:
            requester = cls(channel)
            await consume(channel, RESPONSES, requester)
            yield requester

    async def publish(
        self,
        tenants: Sequence[str],
        count: int,
        prefix: str,
        *,
        queue: str | None = None,
        query: str | None = None,
    ) -> list[str]:
        """Publish requests as fast as the broker confirms them, tenant by tenant in turn.

        Args:
            tenants: the tenants that request.
            count: the number of requests.
            prefix: the beginning of the correlation ids.
            queue: receives the requests instead of the exchange of order requests.
            query: what each request asks for; None: the product with the number of the request.

        Returns:
            The correlation ids, once the broker has all requests.
        """
        ids = [f"{prefix}-{number}" for number in range(count)]
        for start in range(0, count, PUBLISHED_AT_ONCE):
            numbers = range(start, min(start + PUBLISHED_AT_ONCE, count))
            await asyncio.gather(
                *(
                    self._publish(
                        tenants[number % len(tenants)], ids[number], query or str(number), queue
                    )
                    for number in numbers
                )
            )
        return ids

    async def publish_at_rate(
        self,
        tenants: Sequence[str],
        count: int,
        prefix: str,
        *,
        rate: float,
        first: int,
        queue: str | None = None,
    ) -> list[str]:
        """Publish so many requests per second for products from ``first`` on, however slow the answers are.

        ``queue`` receives them instead of the exchange of order requests, see ``publish``.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        async with asyncio.TaskGroup() as publications:
            for number in range(count):
                await asyncio.sleep(began + number / rate - loop.time())
                tenant, id_ = tenants[number % len(tenants)], f"{prefix}-{number}"
                publications.create_task(self._publish(tenant, id_, str(first + number), queue))
        return [f"{prefix}-{number}" for number in range(count)]

    async def _publish(self, tenant: str, id_: str, query: str, queue: str | None) -> None:
        exchange = self._channel.default_exchange
        if queue is None:
            exchange = await self._channel.get_exchange(REQUESTS, ensure=False)
        user = f"user{hash(id_) % 10}@example.org"
        body = {"correlationId": id_, "user": user, "queries": [query]}
        self.published[id_] = time.monotonic()
        await exchange.publish(persistent(orjson.dumps(body), tenant), queue or "")

    async def until_all(self, status: str, ids: Iterable[str]) -> float:
        """Wait until a response with the status has arrived for every id; return the time of the last."""
        expected = set(ids)
        arrived = self._arrived[status]
        self._missing[status] = expected - arrived.keys()
        async with asyncio.timeout(LONGEST_WAIT_SECONDS):
            while self._missing[status]:
                self._changed.clear()
                await self._changed.wait()
        return max(arrived[id_] for id_ in expected)

    def arrival(self, status: str, id_: str) -> float:
        """Return when the response with the status arrived, on the monotonic clock."""
        return self._arrived[status][id_]

    async def __call__(self, message: AbstractIncomingMessage) -> None:
        body = orjson.loads(message.body)
        status, id_ = body["status"], body["correlationId"]
        self._arrived[status][id_] = time.monotonic()
        self._missing[status].discard(id_)
        if not self._missing[status]:
            self._changed.set()


class UnreadResponses:
    """Counts the responses in a queue: a peer that reads them would take CPU time from what is measured."""

    def __init__(self, channel: AbstractChannel, queue: AbstractQueue) -> None:
        self._channel = channel
        self._queue = queue

    @classmethod
    async def bound(cls, channel: AbstractChannel) -> "UnreadResponses":
        """Declare a queue for the responses of all tenants."""
        return cls(channel, await bound_queue(channel, RESPONSES))

    async def until(self, count: int) -> float:
        """Wait until so many responses have arrived; return the time on the monotonic clock."""
        async with asyncio.timeout(LONGEST_WAIT_SECONDS):
            while await self._count() < count:  # noqa: ASYNC110 - nothing signals it
                await asyncio.sleep(COUNTED_EVERY_SECONDS)
        return time.monotonic()

    async def _count(self) -> int:
        declared = await self._channel.declare_queue(self._queue.name, passive=True)
        return declared.declaration_result.message_count or 0

    async def read(self) -> Counter[tuple[str, str]]:
        """Return how often each status was sent for each correlation id. The queue is empty then."""
        number, complete = await self._count(), asyncio.Event()
        read = Counter[tuple[str, str]]()

        async def receive(message: AbstractIncomingMessage) -> None:
            body = orjson.loads(message.body)
            read[body["correlationId"], body["status"]] += 1
            if read.total() >= number:
                complete.set()

        tag = await self._queue.consume(receive, no_ack=True)
        async with asyncio.timeout(LONGEST_WAIT_SECONDS):
            await complete.wait()
        await self._queue.cancel(tag)
        return read


class Storage:
    """Answers each restore request with an event per file, as soon as it arrives."""

    def __init__(self, events: AbstractExchange) -> None:
        self._events = events
        self.published: dict[str, float] = {}
        """Times of publication of the events by checksum, on the monotonic clock."""

    @classmethod
    @asynccontextmanager
    async def connected(cls, broker: FreshBroker) -> AsyncIterator[Self]:
        """Connect to the virtual host, and consume the restore requests of all tenants."""
        async with opened_channel(broker) as channel:
            storage = cls(await fanout(channel, exchange_of(FILE_REFERENCE)))
            await consume(channel, exchange_of(FILES_RESTORATION_REQUEST), storage)
            yield storage

    async def __call__(self, message: AbstractIncomingMessage) -> None:
        tenant = str(message.headers["regards.tenant"])
        checksums = orjson.loads(message.body)["checksums"]
        await self._asked(tenant, checksums)

    async def _asked(self, tenant: str, checksums: Sequence[str]) -> None:
        await asyncio.gather(*(self._publish(tenant, checksum) for checksum in checksums))

    async def _publish(self, tenant: str, checksum: str) -> None:
        body = orjson.dumps({"type": "AVAILABLE", "checksum": checksum, "message": "available"})
        self.published[checksum] = time.monotonic()
        await self._events.publish(persistent(body, tenant), "")

    def published_at(self, product: int) -> float:
        """Return when the event of a product's only file was published."""
        return self.published[checksum_of(product)]


class PatientStorage(Storage):
    """Answers the restore requests when it is told to."""

    def __init__(self, events: AbstractExchange) -> None:
        super().__init__(events)
        self._files: list[tuple[str, str]] = []
        """Tenants and checksums."""
        self._changed = asyncio.Event()

    async def _asked(self, tenant: str, checksums: Sequence[str]) -> None:
        self._files += [(tenant, checksum) for checksum in checksums]
        self._changed.set()

    async def until_asked(self, files: int) -> None:
        """Wait until so many files are asked for."""
        async with asyncio.timeout(LONGEST_WAIT_SECONDS):
            while len(self._files) < files:
                self._changed.clear()
                await self._changed.wait()

    async def answer(self) -> None:
        """Publish the events of all files that were asked for."""
        for start in range(0, len(self._files), PUBLISHED_AT_ONCE):
            some = self._files[start : start + PUBLISHED_AT_ONCE]
            await asyncio.gather(*(self._publish(tenant, checksum) for tenant, checksum in some))
        self._files.clear()


Receive = Requester | Storage


@asynccontextmanager
async def opened_channel(broker: FreshBroker) -> AsyncIterator[AbstractChannel]:
    """Open a connection without heartbeats and a channel with confirms."""
    async with await aio_pika.connect(f"{broker.url}/{broker.vhost}?heartbeat=0") as connection:
        yield await connection.channel()


async def fanout(channel: AbstractChannel, name: str) -> AbstractExchange:
    """Return an exchange of events, which may exist."""
    return await channel.declare_exchange(name, "fanout", durable=True)


async def consume(channel: AbstractChannel, exchange: str, receive: Receive) -> None:
    """Pass the messages of an exchange on, without acknowledgement."""
    queue = await bound_queue(channel, exchange)
    await queue.consume(receive, no_ack=True)


async def bound_queue(channel: AbstractChannel, exchange: str) -> AbstractQueue:
    """Declare a queue of this connection that gets all events of an exchange."""
    queue = await channel.declare_queue(exclusive=True)
    await queue.bind(await fanout(channel, exchange))
    return queue


def exchange_of(event: str) -> str:
    """Return the name of the exchange of an event."""
    return f"regards.broadcast.{event}"


def persistent(body: bytes, tenant: str) -> aio_pika.Message:
    """Return a persistent message with JSON of a tenant."""
    return aio_pika.Message(
        body,
        headers={"regards.tenant": tenant},
        content_type="application/json",
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
    )
