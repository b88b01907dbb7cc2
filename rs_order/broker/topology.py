"""The exchanges, queues and bindings of the service as values, and their declaration (amqp.md 1.3-1.5)."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType

from aio_pika.abc import AbstractChannel
from aiormq.abc import AbstractConnection
from aiormq.exceptions import ChannelPreconditionFailed

from rs_order.broker.errors import TopologyConflict
from rs_order.concurrency import together

DEAD_LETTER_EXCHANGE = "regards.DLX"
"""The same in every namespace (amqp.md 1.5)."""
SHARED_DEAD_LETTER_QUEUE = "regards.DLQ"
"""The dead-letter queue of single-message consumers, shared by all services of the platform."""
DECLARED_AT_ONCE = 16
"""Queues that are declared at the same time, each on a channel of its own."""


class Vhost(StrEnum):
    """The two virtual hosts of an installation (amqp.md 1.1)."""

    MULTITENANT = "multitenant"
    """Events of the projects, distinguished by the ``regards.tenant`` header."""
    INSTANCE = "instance"
    """Events of the installation itself."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A durable exchange."""

    name: str
    type: str = "fanout"
    alternate: str | None = None
    """The exchange that receives the messages which this one routes to no queue."""

    @property
    def arguments(self) -> Mapping[str, str]:
        return {} if self.alternate is None else {"alternate-exchange": self.alternate}


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

    def __add__(self, other: "Elements") -> "Elements":
        return Elements(
            (*self.exchanges, *other.exchanges),
            (*self.queues, *other.queues),
            (*self.bindings, *other.bindings),
        )

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
class InputQueue:
    """The two queues for the events of one exchange, and what decides which of them receives the next one.

    The switch is an exchange between the event's exchange and the queues. While the compatible queue is bound
    to it, that one receives each event. Otherwise the event goes to the alternate exchange of the switch, and
    from there to the quorum queue. So an event is in one of them, never in both or in none.
    """

    exchange: Exchange
    """The exchange that peers publish to."""
    compatible: Queue
    """The queue of the Java service."""
    quorum: Queue
    """A queue of our own; it has the same messages, and no priorities."""

    @property
    def switch(self) -> Exchange:
        return Exchange(f"{self.quorum.name}.switch", alternate=self.otherwise.name)

    @property
    def otherwise(self) -> Exchange:
        return Exchange(f"{self.quorum.name}.otherwise")


@dataclass(frozen=True, slots=True)
class InputQueues:
    """The queues that peers' events reach and all instances share, in both modes (decision 0037)."""

    queues: tuple[InputQueue, ...]
    dead_letters: Elements
    """The dead-letter queues of the quorum queues."""
    lock: str
    """An exclusive queue. The connection that declared it may move the queues."""
    in_quorum_mode: Exchange
    """Exists if the quorum queues receive the events. It routes nothing: the broker keeps it as a note."""
    in_compatible_mode: Exchange
    """Exists if the compatible queues receive the events again."""

    @property
    def quorum_elements(self) -> Elements:
        """Everything of the quorum mode, except the bindings that the mode changes."""
        switches = tuple(one.switch for one in self.queues)
        others = tuple(one.otherwise for one in self.queues)
        own = Elements(
            (*switches, *others),
            tuple(one.quorum for one in self.queues),
            tuple(Binding(one.quorum.name, one.otherwise.name) for one in self.queues),
        )
        return self.dead_letters + own

    @property
    def quorum_names(self) -> tuple[str, ...]:
        """The names of the quorum queues and of their dead-letter queues."""
        return tuple(queue.name for queue in self.quorum_elements.queues)


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
    inputs: InputQueues
    """The queues of ``multitenant`` that peers' events reach, with their quorum queues."""
    events: Exchange
    """The topic exchange of the events of orders. It is declared only if they are published."""
    multitenant: Elements
    instance: Elements
    of_each_instance: Elements
    """The part of ``multitenant`` that an instance needs if it consumes no shared queue."""

    def quorum_queue(self, compatible: Queue) -> Queue:
        """Return the quorum queue for the events of a compatible input queue.

        Raises:
            KeyError: the queue is no input queue.
        """
        return {one.compatible.name: one.quorum for one in self.inputs.queues}[compatible.name]

    @property
    def multitenant_without_inputs(self) -> Elements:
        """``multitenant`` without the bindings that the mode of the input queues decides about."""
        inputs = {Binding(one.compatible.name, one.exchange.name) for one in self.inputs.queues}
        bindings = tuple(b for b in self.multitenant.bindings if b not in inputs)
        return replace(self.multitenant, bindings=bindings)

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
        """The names of the dead-letter queues on both virtual hosts, in both modes of the input queues."""
        names = {name for vhost in Vhost for name in self.dead_letter_queues(vhost)}
        return frozenset(names | {queue.name for queue in self.inputs.dead_letters.queues})


async def declare(channel: AbstractChannel, elements: Elements) -> None:
    """Declare the elements that don't exist yet; leave existing ones unchanged.

    Queues are declared together: the broker needs long for a new one with priorities (decision 0012), and
    makes those of different channels at the same time.

    Raises:
        TopologyConflict: an element exists with other attributes. The channel may be closed then.
    """
    for exchange in elements.exchanges:
        try:
            await channel.declare_exchange(
                exchange.name, exchange.type, durable=True, arguments=dict(exchange.arguments)
            )
        except ChannelPreconditionFailed as error:
            raise _conflict("exchange", exchange.name, error) from error
    connection = (await channel.get_underlay_channel()).connection
    await together(
        (_declare_queue(connection, queue) for queue in elements.queues), at_once=DECLARED_AT_ONCE
    )
    for binding in elements.bindings:
        bound = await channel.get_queue(binding.queue, ensure=False)
        await bound.bind(binding.exchange, binding.routing_key)


async def _declare_queue(connection: AbstractConnection, queue: Queue) -> None:
    """Declare a queue on a channel of its own."""
    channel = await connection.channel(publisher_confirms=False)
    try:
        await channel.queue_declare(
            queue.name,
            durable=True,
            auto_delete=queue.auto_delete,
            arguments=dict(queue.arguments),
        )
    except ChannelPreconditionFailed as error:
        raise _conflict("queue", queue.name, error) from error
    await channel.close()


def _conflict(kind: str, name: str, error: Exception) -> TopologyConflict:
    return TopologyConflict(
        f"The {kind} {name} exists with other attributes ({error}). Empty and delete it, "
        "or point the service at another virtual host; it is declared again at once."
    )
