"""A client of rs_order over AMQP: it publishes order requests and receives the responses (amqp.md 2)."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

import aio_pika
import orjson
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage
from pydantic import ValidationError

from rs_order.broker.connection import connect
from rs_order.broker.errors import BrokerUnavailable
from rs_order.broker.publishing import broker_errors, open_channel, publish
from rs_order.contracts.order_messages import (
    ORDER_REQUEST,
    ORDER_RESPONSE,
    OrderRequest,
    OrderResponse,
    ResponseStatus,
)

PRIORITY = 1
FINAL = frozenset({ResponseStatus.DENIED, ResponseStatus.DONE, ResponseStatus.FAILED})


@dataclass(frozen=True, slots=True)
class TimedResponse:
    """A response, with the seconds since its request."""

    response: OrderResponse
    seconds: float

    @property
    def is_final(self) -> bool:
        return self.response.status in FINAL


class PlacedOrder:
    """An order request, and the responses to it."""

    def __init__(self, correlation_id: str) -> None:
        self.correlation_id = correlation_id
        self._requested_at = time.monotonic()
        self._responses: asyncio.Queue[TimedResponse | None] = asyncio.Queue()

    async def responses(
        self, response_timeout: float | None = None
    ) -> AsyncIterator[TimedResponse]:
        """Yield each response as it comes, up to the final one.

        Args:
            response_timeout: seconds to wait for each response; None for no limit.

        Raises:
            TimeoutError: no response came in this time.
            BrokerUnavailable: the connection was lost; the order goes on.
        """
        while True:
            timed = await asyncio.wait_for(self._responses.get(), response_timeout)
            if timed is None:
                raise BrokerUnavailable(
                    f"The connection was lost. The order of {self.correlation_id} goes on, but its "
                    "responses can't be received here any more."
                )
            yield timed
            if timed.is_final:
                return

    def receive(self, response: OrderResponse) -> None:
        seconds = time.monotonic() - self._requested_at
        self._responses.put_nowait(TimedResponse(response, seconds))

    def disconnect(self) -> None:
        """End ``responses`` with an error: no further response can be received."""
        self._responses.put_nowait(None)


class OrderClient:
    """Places orders for users of one tenant."""

    def __init__(self, channel: AbstractChannel, namespace: str, tenant: str) -> None:
        self._channel = channel
        self._namespace = namespace
        self._tenant = tenant
        self._placed: dict[str, PlacedOrder] = {}

    @classmethod
    @asynccontextmanager
    async def connected(
        cls, url: str, vhost: str, *, tenant: str, namespace: str = "regards"
    ) -> AsyncIterator[Self]:
        """Connect, and receive every response from now on.

        Args:
            url: host and credentials.
            vhost: the virtual host of the projects' events.
            tenant: the project of the orders.
            namespace: the first part of the names of exchanges.

        Raises:
            BrokerUnavailable: the broker or the virtual host can't be reached.
        """
        async with await connect(url, vhost) as connection:
            client = cls(await open_channel(connection), namespace, tenant)
            await client._subscribe(connection)
            yield client

    async def place(self, request: OrderRequest) -> PlacedOrder:
        """Publish a request, which must have a correlation id.

        Raises:
            NotConfirmed: the broker didn't accept it, or no rs-order has a queue for it.
            BrokerUnavailable: the connection was lost.
        """
        correlation_id = str(request.correlation_id)
        placed = self._placed[correlation_id] = PlacedOrder(correlation_id)
        await self.publish(orjson.dumps(request.to_wire()))
        return placed

    async def publish(self, body: bytes) -> None:
        """Publish a body as an order request, a correct one or not.

        Raises:
            NotConfirmed: the broker didn't accept it, or no rs-order has a queue for it.
            BrokerUnavailable: the connection was lost.
        """
        message = aio_pika.Message(
            body,
            headers={
                "regards.tenant": self._tenant,
                "regards.converter": "GSON",
                "regards.type": ORDER_REQUEST,
            },
            content_type="application/json",
            content_encoding="UTF-8",
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            priority=PRIORITY,
            timestamp=datetime.now(UTC),
        )
        # Mandatory, unlike the requests of Java services: without a queue the user gets an error at once.
        await publish(self._channel, self._exchange(ORDER_REQUEST), "", message, mandatory=True)

    async def _subscribe(self, connection: AbstractConnection) -> None:
        """Declare both exchanges, as every peer does, and a queue that ends with the connection."""
        with broker_errors("listen to the responses"):
            for event in (ORDER_REQUEST, ORDER_RESPONSE):
                await self._channel.declare_exchange(self._exchange(event), "fanout", durable=True)
            queue = await self._channel.declare_queue(exclusive=True, auto_delete=True)
            await queue.bind(self._exchange(ORDER_RESPONSE), "")
            await queue.consume(self._receive, no_ack=True)
        for link in (connection, self._channel):
            link.close_callbacks.add(lambda *_: self._disconnect_all())

    async def _receive(self, message: AbstractIncomingMessage) -> None:
        """Pass a response to its order. The exchange has the responses of all tenants and clients."""
        if message.headers.get("regards.tenant") != self._tenant:
            return
        try:
            response = OrderResponse.model_validate_json(message.body)
        except ValidationError:
            return  # not a response of the contract, hence not to a request of this client
        placed = self._placed.get(response.correlation_id)
        if placed is not None:
            placed.receive(response)

    def _disconnect_all(self) -> None:
        for placed in self._placed.values():
            placed.disconnect()

    def _exchange(self, event: str) -> str:
        return f"{self._namespace}.broadcast.{event}"


def response_line(timed: TimedResponse) -> str:
    """Return a response as one line, which begins with the seconds since the request."""
    response = timed.response
    parts = [f"+{timed.seconds:6.2f} s", f"{response.status.value:<13}"]
    if response.order_id is not None:
        parts.append(f"order {response.order_id}")
    if response.sub_order_id is not None:
        parts.append(f"sub-order {response.sub_order_id} ({response.total_sub_orders} in all)")
    if response.error_type is not None:
        parts.append(response.error_type.value)
    if response.message:
        parts.append(f"“{response.message}”")
    return "  ".join(parts)
