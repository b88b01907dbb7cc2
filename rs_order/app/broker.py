"""Builds the connections of a process to the broker, with their consumers and the relay."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rs_order.app.application import Application
from rs_order.app.consumers import rights_consumers, shared_consumers, tenant_consumers
from rs_order.broker.batch_consumer import BatchConsumer
from rs_order.broker.connection import Session, SupervisedConnection
from rs_order.broker.dead_letter_watch import DeadLetterWatch, IndexDeadLetters
from rs_order.broker.publications import Publications
from rs_order.broker.publishing import Publisher
from rs_order.broker.queue_depths import QueueDepths
from rs_order.broker.relay import Relay
from rs_order.broker.topology import Elements, Topology, Vhost
from rs_order.broker.virtual_hosts import create_missing_vhosts
from rs_order.core.steps import StepQueue, step_names
from rs_order.settings import Settings
from rs_order.store.dead_letters import DeadLetterIndex
from rs_order.store.outbox import Outbox


async def provision_vhosts(settings: Settings) -> None:
    """Create the missing virtual hosts if the address of the management API is set."""
    if settings.amqp_management_url is not None:
        await create_missing_vhosts(
            settings.amqp_management_url.get_secret_value(),
            settings.amqp_url.get_secret_value(),
            [settings.amqp_vhost, settings.amqp_instance_vhost],
        )


@dataclass(frozen=True, slots=True)
class Outgoing:
    """The relay, and its connection to each virtual host."""

    relay: Relay
    connections: Sequence[SupervisedConnection]
    depths: Mapping[Vhost, QueueDepths]
    """Reads the depths of shared queues and dead-letter queues."""


def build_outgoing(
    settings: Settings,
    names: Topology,
    outbox: Outbox,
    index: DeadLetterIndex,
    *,
    is_worker: bool,
) -> Outgoing:
    """Return the relay and its connections. Those of a worker also watch the dead letters."""
    publishers = {vhost: Publisher() for vhost in Vhost}
    depths = {vhost: QueueDepths(names.shared_queues(vhost)) for vhost in Vhost}
    watches = {
        vhost: [_dead_letter_watch(settings, vhost, names, index)] if is_worker else []
        for vhost in Vhost
    }
    return Outgoing(
        Relay(outbox, _publications(settings, names), publishers),
        [
            _connection(
                settings,
                vhost,
                names.elements(vhost).for_publishing,
                [*watches[vhost], publishers[vhost], depths[vhost]],
            )
            for vhost in Vhost
        ],
        depths,
    )


@dataclass(frozen=True, slots=True)
class Incoming:
    """The consumers, and the connections that they read from."""

    consumers: Sequence[BatchConsumer]
    connections: Sequence[SupervisedConnection]
    shared: Sequence[BatchConsumer]
    """The consumers of queues that other instances consume, too."""

    def pause(self) -> None:
        """Give the messages of shared queues back: other instances may be able to handle them."""
        for consumer in self.shared:
            consumer.pause()

    def resume(self) -> None:
        """Consume the shared queues again."""
        for consumer in self.shared:
            consumer.resume()


def build_incoming(
    settings: Settings,
    names: Topology,
    application: Application,
    index: DeadLetterIndex,
    *,
    is_worker: bool,
) -> Incoming:
    """Return the consumers. A process that is no worker consumes only the events for every instance."""
    multitenant = IndexDeadLetters(Vhost.MULTITENANT, index)
    shared = shared_consumers(names, application, multitenant) if is_worker else []
    rights = rights_consumers(names, application, multitenant)
    tenants = tenant_consumers(names, application, IndexDeadLetters(Vhost.INSTANCE, index))
    elements = names.multitenant if is_worker else names.of_each_instance
    return Incoming(
        [*shared, *rights, *tenants],
        [
            _connection(settings, Vhost.MULTITENANT, elements, [*shared, *rights]),
            _connection(settings, Vhost.INSTANCE, names.instance, tenants),
        ],
        shared,
    )


def _connection(
    settings: Settings,
    vhost: Vhost,
    elements: Elements,
    sessions: Sequence[Session],
) -> SupervisedConnection:
    return SupervisedConnection(
        settings.amqp_url.get_secret_value(),
        _vhost_name(settings, vhost),
        elements,
        sessions,
    )


def _dead_letter_watch(
    settings: Settings, vhost: Vhost, names: Topology, index: DeadLetterIndex
) -> DeadLetterWatch:
    return DeadLetterWatch(
        settings.amqp_url.get_secret_value(),
        vhost,
        _vhost_name(settings, vhost),
        names.dead_letter_queues(vhost),
        index,
    )


def _vhost_name(settings: Settings, vhost: Vhost) -> str:
    return settings.amqp_vhost if vhost is Vhost.MULTITENANT else settings.amqp_instance_vhost


def _publications(settings: Settings, names: Topology) -> Publications:
    return Publications(
        step_queue=names.steps.name,
        remote_step_queue=names.remote_steps.name,
        remote_steps=step_names(StepQueue.REMOTE),
        request_queue=names.order_requests,
        namespace=settings.amqp_management_namespace,
        instance_name=settings.instance_name,
    )
