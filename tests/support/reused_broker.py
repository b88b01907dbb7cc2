"""Virtual hosts that tests use one after the other; the queues of rs_order remain in them.

RabbitMQ keeps 256 queues inside each queue of the platform (decision 0012), so declaring all of them takes
seconds. A test of the whole service finds them declared and empty. Tests of the declaration itself use
new virtual hosts.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage

from rs_order.broker.queue_names import topology
from rs_order.broker.topology import Elements, declare
from rs_order.demo.servers.management_api import Management
from tests.support.polling import eventually
from tests.support.servers import FreshBroker, fresh_broker

INSTANCE: Final = "one"
"""The instance identifier whose queues remain; other instances declare their own queues."""
_PREFIXES: Final = ("regards.", "rs-order.")
"""The beginnings of the names of the queues that remain."""


class _VirtualHost:
    """A virtual host, with a connection that keeps the queues of an instance alive."""

    def __init__(self, name: str, channel: AbstractChannel, management: Management) -> None:
        self._name = name
        self._channel = channel
        self._management = management
        self._unacknowledged: list[AbstractIncomingMessage] = []

    async def fill(self, elements: Elements) -> None:
        """Declare the queues, and consume from those that the broker deletes with their last consumer.

        Each consumer has one message that it never acknowledges, so the broker delivers no other one to it.
        """
        await declare(self._channel, elements)
        auto_deleted = [queue.name for queue in elements.queues if queue.auto_delete]
        await self._channel.set_qos(prefetch_count=1)
        for name in auto_deleted:
            queue = await self._channel.get_queue(name, ensure=False)
            await queue.consume(self._keep)
            await self._channel.default_exchange.publish(aio_pika.Message(b""), name)
        await eventually(
            lambda: len(self._unacknowledged) == len(auto_deleted), "a message of each queue"
        )

    async def empty(self) -> None:
        """Purge the queues that remain once the test's consumers are closed; delete the other queues."""
        for name in await self._management.queue_names(self._name):
            queue = await self._channel.get_queue(name, ensure=False)
            if name.startswith(_PREFIXES):
                await eventually(partial(self._is_unused, name), f"no consumer of {name}")
                await queue.purge()
            else:
                await queue.delete(if_unused=False, if_empty=False)

    async def _is_unused(self, name: str) -> bool:
        queue = await self._channel.declare_queue(name, passive=True)
        own_consumers = sum(message.routing_key == name for message in self._unacknowledged)
        return queue.declaration_result.consumer_count == own_consumers

    async def _keep(self, message: AbstractIncomingMessage) -> None:
        self._unacknowledged.append(message)


@dataclass(frozen=True)
class _VirtualHosts:
    broker: FreshBroker
    hosts: tuple[_VirtualHost, ...]


class ReusedBroker:
    """Provides pairs of virtual hosts, each pair to one test at a time."""

    def __init__(
        self, management: Management, url: str, management_url: str, lifetime: AsyncExitStack
    ) -> None:
        """``lifetime``: closing it deletes the virtual hosts."""
        self._management = management
        self._url = url
        self._management_url = management_url
        self._lifetime = lifetime
        self._unused: list[_VirtualHosts] = []

    @asynccontextmanager
    async def virtual_hosts(self) -> AsyncIterator[FreshBroker]:
        """Provide a pair for the block. It is used again only if the block ends without an error."""
        pair = self._unused.pop() if self._unused else await self._make()
        yield pair.broker
        for host in pair.hosts:
            await host.empty()
        self._unused.append(pair)

    async def _make(self) -> _VirtualHosts:
        broker = await self._lifetime.enter_async_context(
            fresh_broker(self._management, self._url, self._management_url)
        )
        names = topology(instance_identifier=INSTANCE)
        hosts = []
        for name, elements in (
            (broker.vhost, names.multitenant),
            (broker.instance_vhost, names.instance),
        ):
            connection = await self._lifetime.enter_async_context(
                await aio_pika.connect(f"{broker.url}/{name}?heartbeat=0")  # a test may block
            )
            host = _VirtualHost(name, await connection.channel(), self._management)
            await host.fill(elements)
            hosts.append(host)
        return _VirtualHosts(broker, tuple(hosts))


@asynccontextmanager
async def reused_broker(
    management: Management, url: str, management_url: str
) -> AsyncIterator[ReusedBroker]:
    """Provide virtual hosts of a broker until the end of the block."""
    async with AsyncExitStack() as lifetime:
        yield ReusedBroker(management, url, management_url, lifetime)
