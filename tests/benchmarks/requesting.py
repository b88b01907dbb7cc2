"""A peer that publishes order requests as fast as it can, and notes when the responses arrive."""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager

import aio_pika
import orjson
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage

from tests.acceptance.peer import REQUESTS, RESPONSES
from tests.support.servers import FreshBroker

PUBLISHED_AT_ONCE = 500
LONGEST_WAIT_SECONDS = 900


class Requester:
    """Publishes requests of single products, and waits for their responses."""

    def __init__(self, channel: AbstractChannel) -> None:
        self._channel = channel
        self._arrived: dict[str, dict[str, float]] = defaultdict(dict)
        """Times of arrival by status and correlation id."""
        self._missing: dict[str, set[str]] = defaultdict(set)
        """The ids that are waited for, by status."""
        self._changed = asyncio.Event()

    @classmethod
    @asynccontextmanager
    async def connected(cls, broker: FreshBroker) -> AsyncIterator["Requester"]:
        """Connect to the virtual host, and consume the responses of all tenants."""
        connection = await aio_pika.connect(f"{broker.url}/{broker.vhost}?heartbeat=0")
        async with connection:
            channel = await connection.channel()
            requester = cls(channel)
            queue = await channel.declare_queue(exclusive=True)
            await queue.bind(await channel.declare_exchange(RESPONSES, "fanout", durable=True))
            await queue.consume(requester._receive, no_ack=True)
            yield requester

    async def publish(
        self, tenants: Sequence[str], count: int, prefix: str, *, queue: str | None = None
    ) -> list[str]:
        """Publish requests of one product each, tenant by tenant in turn.

        Args:
            tenants: the tenants that request.
            count: the number of requests.
            prefix: the beginning of the correlation ids.
            queue: receives the requests instead of the exchange of order requests.

        Returns:
            The correlation ids, once the broker has all requests.
        """
        exchange = (
            self._channel.default_exchange
            if queue
            else await self._channel.get_exchange(REQUESTS, ensure=False)
        )
        ids = [f"{prefix}-{number}" for number in range(count)]
        messages = [
            _request(tenants[number % len(tenants)], id_, number) for number, id_ in enumerate(ids)
        ]
        for start in range(0, count, PUBLISHED_AT_ONCE):
            some = messages[start : start + PUBLISHED_AT_ONCE]
            await asyncio.gather(*(exchange.publish(message, queue or "") for message in some))
        return ids

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

    async def _receive(self, message: AbstractIncomingMessage) -> None:
        body = orjson.loads(message.body)
        status, id_ = body["status"], body["correlationId"]
        self._arrived[status][id_] = time.monotonic()
        self._missing[status].discard(id_)
        if not self._missing[status]:
            self._changed.set()


def _request(tenant: str, id_: str, number: int) -> aio_pika.Message:
    body = {
        "correlationId": id_,
        "user": f"user{number % 10}@example.org",
        "queries": [str(number)],
    }
    return aio_pika.Message(
        orjson.dumps(body),
        headers={"regards.tenant": tenant},
        content_type="application/json",
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
    )
