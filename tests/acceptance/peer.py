"""A service that orders over AMQP; it uses the names of amqp.md and imports nothing of rs_order."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractExchange, AbstractIncomingMessage

from tests.support.polling import WAIT_SECONDS

REQUESTS = "regards.broadcast.fr.cnes.regards.modules.order.amqp.input.OrderRequestDtoEvent"
CANCELS = "regards.broadcast.fr.cnes.regards.modules.order.amqp.input.OrderCancelRequestDtoEvent"
RESPONSES = "regards.broadcast.fr.cnes.regards.modules.order.amqp.output.OrderResponseDtoEvent"
NOTIFICATIONS = (
    "regards.broadcast.fr.cnes.regards.framework.amqp.event.notification.NotificationEvent"
)
REQUEST_DEAD_LETTERS = (
    "regards.broadcast.rs-order.fr.cnes.regards.modules.order.service.request."
    "OrderRequestEventHandler.DLQ"
)
CANCEL_DEAD_LETTERS = REQUEST_DEAD_LETTERS.replace("OrderRequest", "OrderCancelRequest")
FINAL = {"DONE", "FAILED", "DENIED"}


class Received:
    """A response with its time of arrival."""

    def __init__(self, message: AbstractIncomingMessage) -> None:
        self.body: dict[str, Any] = json.loads(message.body)
        self.headers = dict(message.headers)
        self.correlation_id = message.correlation_id
        self.message_id = message.message_id
        self.properties = message.properties
        self.at = time.monotonic()

    @property
    def status(self) -> str:
        return str(self.body["status"])


class Peer:
    """Publishes requests and keeps all responses in the order of arrival."""

    def __init__(self, channel: AbstractChannel, tenant: str) -> None:
        self.channel = channel
        self._tenant = tenant
        self._changed = asyncio.Condition()
        self.received: list[Received] = []

    @classmethod
    @asynccontextmanager
    async def connected(cls, url: str, vhost: str, tenant: str) -> AsyncIterator["Peer"]:
        connection = await aio_pika.connect(f"{url.rstrip('/')}/{vhost}")
        async with connection:
            channel = await connection.channel()
            peer = cls(channel, tenant)
            exchange = await peer.exchange(RESPONSES)
            queue = await channel.declare_queue(f"test.{uuid4()}", exclusive=True)
            await queue.bind(exchange)
            await queue.consume(peer.receive, no_ack=True)
            yield peer

    async def exchange(self, name: str) -> AbstractExchange:
        return await self.channel.declare_exchange(name, "fanout", durable=True)

    async def receive(self, message: AbstractIncomingMessage) -> None:
        async with self._changed:
            self.received.append(Received(message))
            self._changed.notify_all()

    async def send(self, exchange: str, body: bytes, headers: dict[str, Any] | None = None) -> None:
        """Publish a body unchanged; the default headers hold only the tenant."""
        target = await self.exchange(exchange)
        message = aio_pika.Message(
            body,
            headers={"regards.tenant": self._tenant} if headers is None else headers,
            content_type="application/json",
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        )
        await target.publish(message, routing_key="")

    async def order(
        self,
        *queries: str,
        correlation_id: str | None = None,
        tenant: str | None = None,
        **fields: Any,
    ) -> str:
        """Request an order for jane, and return the correlation id of its responses."""
        correlation_id = correlation_id or f"test-{uuid4()}"
        body = {
            "correlationId": correlation_id,
            "queries": list(queries),
            "user": "jane@example.org",
            **fields,
        }
        headers = {"regards.tenant": tenant or self._tenant}
        await self.send(REQUESTS, json.dumps(body).encode(), headers)
        return correlation_id

    async def cancel(self, order_id: int, correlation_id: str = "cancel-1") -> None:
        body = {"orderId": order_id, "correlationId": correlation_id}
        await self.send(CANCELS, json.dumps(body).encode())

    def responses(self, correlation_id: str) -> list[Received]:
        return [one for one in self.received if one.body["correlationId"] == correlation_id]

    def statuses(self, correlation_id: str) -> list[str]:
        return [one.status for one in self.responses(correlation_id)]

    async def until(
        self, correlation_id: str, status: str, count: int = 1, *, seconds: float = WAIT_SECONDS
    ) -> Received:
        """Wait for the n-th response with a status."""
        return (await self._wait(correlation_id, {status}, count, seconds))[count - 1]

    async def until_final(self, correlation_id: str, *, seconds: float = WAIT_SECONDS) -> Received:
        return (await self._wait(correlation_id, FINAL, 1, seconds))[0]

    async def until_count(self, status: str, count: int, *, seconds: float) -> float:
        """Wait for so many responses with a status, of any orders; return the time on the monotonic clock."""
        async with self._changed, asyncio.timeout(seconds):
            await self._changed.wait_for(
                lambda: sum(one.status == status for one in self.received) >= count
            )
        return time.monotonic()

    async def _wait(
        self, correlation_id: str, statuses: set[str], count: int, seconds: float
    ) -> list[Received]:
        def matching() -> list[Received]:
            return [one for one in self.responses(correlation_id) if one.status in statuses]

        async with self._changed:
            try:
                async with asyncio.timeout(seconds):
                    await self._changed.wait_for(lambda: len(matching()) >= count)
            except TimeoutError:
                raise AssertionError(
                    f"waited for {count} of {statuses}, got {self.statuses(correlation_id)}"
                ) from None
        return matching()

    async def dead_letter(
        self, queue: str, *, seconds: float = WAIT_SECONDS
    ) -> AbstractIncomingMessage:
        """Wait for the oldest message of a dead-letter queue, and take it."""
        declared = await self.channel.get_queue(queue, ensure=False)
        arrived: asyncio.Future[AbstractIncomingMessage] = (
            asyncio.get_running_loop().create_future()
        )

        async def take(message: AbstractIncomingMessage) -> None:
            if arrived.done():
                await message.nack(requeue=True)
            else:
                arrived.set_result(message)
                await message.ack()

        tag = await declared.consume(take)
        try:
            return await asyncio.wait_for(arrived, seconds)
        finally:
            await declared.cancel(tag)
