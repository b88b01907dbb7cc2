"""A REGARDS service that orders: publishes requests and hears the responses (amqp.md 2).

It knows names and headers, and nothing of how the orders are made.
"""

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

from rs_order.broker.connection import CONNECT_SECONDS, vhost_url
from rs_order.broker.errors import BrokerAway
from rs_order.broker.publishing import broker_trouble, open_publishing_channel, publish
from rs_order.contracts.order_request import ORDER_REQUEST, OrderRequest
from rs_order.contracts.order_response import ORDER_RESPONSE, OrderResponse, ResponseStatus

PRIORITY = 1
FINAL = frozenset({ResponseStatus.DENIED, ResponseStatus.DONE, ResponseStatus.FAILED})


@dataclass(frozen=True, slots=True)
class Heard:
    """A response, and how long after its request it came."""

    response: OrderResponse
    seconds: float

    @property
    def is_final(self) -> bool:
        return self.response.status in FINAL


class Placed:
    """A request that the broker has, and the responses to it."""

    def __init__(self, correlation_id: str) -> None:
        self.correlation_id = correlation_id
        self._asked_at = time.monotonic()
        self._heard: asyncio.Queue[Heard | None] = asyncio.Queue()

    async def responses(self, patience_seconds: float | None = None) -> AsyncIterator[Heard]:
        """Each response as it comes, up to the final one.

        Args:
            patience_seconds: how long to wait for each of them; None for as long as it takes.

        Raises:
            TimeoutError: none came for that long.
            BrokerAway: the connection was lost; the order goes on without us.
        """
        while True:
            heard = await asyncio.wait_for(self._heard.get(), patience_seconds)
            if heard is None:
                raise BrokerAway(
                    f"The connection was lost. The order of {self.correlation_id} goes on, but its "
                    "responses are not heard here any more."
                )
            yield heard
            if heard.is_final:
                return

    def hear(self, response: OrderResponse) -> None:
        self._heard.put_nowait(Heard(response, time.monotonic() - self._asked_at))

    def lose(self) -> None:
        """Nothing will be heard any more."""
        self._heard.put_nowait(None)


class Peer:
    """Orders in the name of users of one tenant."""

    def __init__(self, channel: AbstractChannel, namespace: str, tenant: str) -> None:
        self._channel = channel
        self._namespace = namespace
        self._tenant = tenant
        self._placed: dict[str, Placed] = {}

    @classmethod
    @asynccontextmanager
    async def connected(
        cls, url: str, vhost: str, *, tenant: str, namespace: str = "regards"
    ) -> AsyncIterator[Self]:
        """A peer that hears every response from now on.

        Args:
            url: host and credentials.
            vhost: that of the projects' events.
            tenant: in whose name it orders.
            namespace: first part of the names of exchanges.

        Raises:
            BrokerAway: the broker or the virtual host can't be reached.
        """
        with broker_trouble("connect"):
            connection = await aio_pika.connect(vhost_url(url, vhost), timeout=CONNECT_SECONDS)
        async with connection:
            peer = cls(await open_publishing_channel(connection), namespace, tenant)
            await peer._listen(connection)
            yield peer

    async def order(self, request: OrderRequest) -> Placed:
        """Publish a request; it must have a correlation id.

        Raises:
            NotConfirmed: the broker didn't take it, or no rs-order has a queue for it.
            BrokerAway: the connection was lost.
        """
        correlation_id = str(request.correlation_id)
        placed = self._placed[correlation_id] = Placed(correlation_id)
        message = aio_pika.Message(
            orjson.dumps(request.to_wire()),
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
        # A Java peer would not know that nobody listens. Here somebody waits, and is told.
        await publish(self._channel, self._exchange(ORDER_REQUEST), "", message, mandatory=True)
        return placed

    async def _listen(self, connection: AbstractConnection) -> None:
        """Declare both exchanges, as every side does, and a queue that ends with us."""
        with broker_trouble("listen to the responses"):
            for event in (ORDER_REQUEST, ORDER_RESPONSE):
                await self._channel.declare_exchange(self._exchange(event), "fanout", durable=True)
            queue = await self._channel.declare_queue(exclusive=True, auto_delete=True)
            await queue.bind(self._exchange(ORDER_RESPONSE), "")
            await queue.consume(self._take, no_ack=True)
        for link in (connection, self._channel):
            link.close_callbacks.add(lambda *_: self._lose_all())

    async def _take(self, message: AbstractIncomingMessage) -> None:
        """The exchange carries the responses of all tenants and all peers."""
        if message.headers.get("regards.tenant") != self._tenant:
            return
        try:
            response = OrderResponse.model_validate_json(message.body)
        except ValidationError:
            return  # not of our contract, hence not of an order of ours
        placed = self._placed.get(response.correlation_id)
        if placed is not None:
            placed.hear(response)

    def _lose_all(self) -> None:
        for placed in self._placed.values():
            placed.lose()

    def _exchange(self, event: str) -> str:
        return f"{self._namespace}.broadcast.{event}"
