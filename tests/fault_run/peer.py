"""A service that orders over AMQP; it survives the loss of its connection, and keeps every response."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from aio_pika.abc import AbstractChannel, AbstractIncomingMessage

from rs_order.sandbox.amqp_wire import Event
from rs_order.sandbox.broker_link import Link
from rs_order.sandbox.records import Changes
from tests.acceptance.peer import CANCELS, REQUESTS, RESPONSES, Received

_PREFIX: Final = "regards.broadcast."
_QUEUE: Final = "fault-run.responses"


class DurablePeer:
    """Sends requests at least once. Its queue is durable, so that it misses no response."""

    def __init__(self, amqp_url: str, vhost: str) -> None:
        self.responses: dict[str, list[Received]] = defaultdict(list)
        """All responses by correlation id, in the order of their arrival."""
        self._changes = Changes()
        self._link = Link(amqp_url, vhost, self._subscribe)

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        running = asyncio.create_task(self._link.run())
        await self._link.up.wait()
        try:
            yield
        finally:
            running.cancel()
            await asyncio.wait({running})

    def order(self, tenant: str, body: dict[str, Any]) -> None:
        self._link.send(Event(REQUESTS.removeprefix(_PREFIX), tenant, body))

    def cancel(self, tenant: str, order_id: int) -> None:
        body = {"orderId": order_id, "correlationId": f"cancel-{order_id}"}
        self._link.send(Event(CANCELS.removeprefix(_PREFIX), tenant, body))

    async def order_id(self, correlation_id: str) -> int:
        """Wait for the response with the order's number, and return it."""

        def granted() -> list[int]:
            return [
                one.body["orderId"]
                for one in self.responses[correlation_id]
                if one.body.get("orderId") is not None
            ]

        await self._changes.until(lambda: bool(granted()))
        return granted()[0]

    async def until_statuses(self, correlation_id: str, count: int, *statuses: str) -> None:
        """Wait for different responses with one of these statuses."""
        await self._changes.until(
            lambda: (
                len(
                    {
                        one.message_id
                        for one in self.responses[correlation_id]
                        if one.status in statuses
                    }
                )
                >= count
            )
        )

    async def _subscribe(self, channel: AbstractChannel) -> None:
        for name in (REQUESTS, CANCELS, RESPONSES):
            await channel.declare_exchange(name, "fanout", durable=True)
        queue = await channel.declare_queue(_QUEUE, durable=True)
        await queue.bind(RESPONSES)
        await queue.consume(self._receive)

    async def _receive(self, message: AbstractIncomingMessage) -> None:
        response = Received(message)
        self.responses[response.body["correlationId"]].append(response)
        self._changes.notify()
        await message.ack()
