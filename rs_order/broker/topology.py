"""The exchanges, queues and bindings of the service as values, and their declaration (amqp.md 1.3-1.5)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from aio_pika.abc import AbstractChannel
from aiormq.exceptions import ChannelPreconditionFailed

from rs_order.broker.errors import TopologyConflict

DEAD_LETTER_EXCHANGE = "regards.DLX"
"""The same in every namespace (amqp.md 1.5)."""
SHARED_DEAD_LETTER_QUEUE = "regards.DLQ"
"""The dead-letter queue of single-message consumers, shared by all services of the platform."""


class Vhost(StrEnum):
    """The two virtual hosts of an installation (amqp.md 1.1)."""

    MULTITENANT = "multitenant"
    """Events of the projects, distinguished by the ``regards.tenant`` header."""
    INSTANCE = "instance"
    """Events of the installation itself."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A durable exchange without arguments."""

    name: str
    type: str = "fanout"


@dataclass(frozen=True, slots=True)
class Queue:
    """A durable queue that is not exclusive."""

    name: str
    auto_delete: bool = False
    arguments: Mapping[str, str | int] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def dead_letter_key(self) -> str | None:
        """The routing key of its dead letters, or None if the broker drops them."""
        key = self.arguments.get("x-dead-letter-routing-key")
        return None if key is None else str(key)


@dataclass(frozen=True, slots=True)
class Binding:
    """Routes messages of an exchange with a routing key to a queue."""

    queue: str
    exchange: str
    routing_key: str = ""


@dataclass(frozen=True, slots=True)
class Elements:
    """The elements that the service declares on one virtual host."""

    exchanges: tuple[Exchange, ...]
    queues: tuple[Queue, ...]
    bindings: tuple[Binding, ...]

    @property
    def for_publishing(self) -> "Elements":
        """The part that a connection declares that only publishes.

        That is every exchange, and the queues that only this service writes to: its steps and dead letters
        need a queue from the first one on.
        """
        subscribed = {b.queue for b in self.bindings if b.exchange != DEAD_LETTER_EXCHANGE}
        return Elements(
            self.exchanges,
            tuple(queue for queue in self.queues if queue.name not in subscribed),
            tuple(binding for binding in self.bindings if binding.queue not in subscribed),
        )


@dataclass(frozen=True, slots=True)
class PlatformEvent:
    """A queue of this instance for an event that every instance receives (amqp.md 3.7, 3.9)."""

    event: str
    """Java class of the event."""
    queue: Queue


@dataclass(frozen=True, slots=True)
class Topology:
    """Everything of the service on the broker, by purpose."""

    order_requests: Queue
    order_cancels: Queue
    file_references: Queue
    file_reference_updates: Queue
    processing_results: Queue
    process_rights: Queue
    steps: Queue
    """Steps that need the database alone."""
    remote_steps: Queue
    """Steps that call other services. A slow service holds up no other steps."""
    security_events: tuple[PlatformEvent, ...]
    """On the multitenant virtual host."""
    tenant_events: tuple[PlatformEvent, ...]
    """On the instance virtual host."""
    multitenant: Elements
    instance: Elements
    of_each_instance: Elements
    """The part of ``multitenant`` that an instance needs if it consumes no shared queue."""

    def elements(self, vhost: Vhost) -> Elements:
        return self.multitenant if vhost is Vhost.MULTITENANT else self.instance

    def shared_queues(self, vhost: Vhost) -> tuple[str, ...]:
        """Return the queues that the instances share, with those of dead letters."""
        queues = self.elements(vhost).queues
        return tuple(queue.name for queue in queues if not queue.auto_delete)

    def dead_letter_queues(self, vhost: Vhost) -> tuple[str, ...]:
        """Return the queues that may hold dead letters of the service."""
        bindings = self.elements(vhost).bindings
        return tuple(b.queue for b in bindings if b.exchange == DEAD_LETTER_EXCHANGE)

    @property
    def all_dead_letter_queues(self) -> frozenset[str]:
        """The names of the dead-letter queues on both virtual hosts."""
        return frozenset(name for vhost in Vhost for name in self.dead_letter_queues(vhost))


async def declare(channel: AbstractChannel, elements: Elements) -> None:
    """Declare the elements that don't exist yet; leave existing ones unchanged.

    Raises:
        TopologyConflict: an element exists with other attributes. The channel is closed then.
    """
    for exchange in elements.exchanges:
        try:
            await channel.declare_exchange(exchange.name, exchange.type, durable=True)
        except ChannelPreconditionFailed as error:
            raise _conflict("exchange", exchange.name, error) from error
    for queue in elements.queues:
        try:
            await channel.declare_queue(
                queue.name,
                durable=True,
                auto_delete=queue.auto_delete,
                arguments=dict(queue.arguments),
            )
        except ChannelPreconditionFailed as error:
            raise _conflict("queue", queue.name, error) from error
    for binding in elements.bindings:
        bound = await channel.get_queue(binding.queue, ensure=False)
        await bound.bind(binding.exchange, binding.routing_key)


def _conflict(kind: str, name: str, error: Exception) -> TopologyConflict:
    return TopologyConflict(
        f"The {kind} {name} exists with other attributes ({error}). Empty and delete it, "
        "or point the service at another virtual host; it is declared again at once."
    )
