"""Builds the connections of a process to the broker, with their consumers and the relay."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from rs_order.app.application import Application
from rs_order.app.consumers import rights_consumers, shared_consumers, tenant_consumers
from rs_order.broker.batch_consumer import BatchConsumer
from rs_order.broker.connection import Prepare, Session, SupervisedConnection
from rs_order.broker.dead_letter_watch import DeadLetterWatch, IndexDeadLetters
from rs_order.broker.input_queues import (
    InputMover,
    InputQueueSession,
    QueueMode,
    QuorumConsumer,
)
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


def input_queue_session(settings: Settings, names: Topology) -> InputQueueSession:
    """Return the session that keeps the input queues in the mode of the settings."""
    return InputQueueSession(InputMover(names.inputs), QueueMode(settings.queues))


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
    inputs: InputQueueSession,
    index: DeadLetterIndex,
    *,
    is_worker: bool,
) -> Outgoing:
    """Return the relay and its connections. Those of a worker also watch the dead letters."""
    publishers = {vhost: Publisher() for vhost in Vhost}
    queues = _CurrentQueues(names, inputs)
    depths = {vhost: QueueDepths(partial(queues.shared, vhost)) for vhost in Vhost}
    watches = {
        vhost: [_dead_letter_watch(settings, vhost, queues, index)] if is_worker else []
        for vhost in Vhost
    }
    return Outgoing(
        Relay(outbox, _publications(settings, names), publishers),
        [
            _connection(
                settings,
                vhost,
                _published_to(settings, names, vhost),
                [*watches[vhost], publishers[vhost], depths[vhost]],
            )
            for vhost in Vhost
        ],
        depths,
    )


@dataclass(frozen=True, slots=True)
class _CurrentQueues:
    """The names of the queues that exist in the present mode of the input queues."""

    names: Topology
    inputs: InputQueueSession

    def shared(self, vhost: Vhost) -> tuple[str, ...]:
        quorum = self._names_of(vhost, self.names.inputs.quorum_elements)
        return (*self.names.shared_queues(vhost), *quorum)

    def dead_letters(self, vhost: Vhost) -> tuple[str, ...]:
        quorum = self._names_of(vhost, self.names.inputs.dead_letters)
        return (*self.names.dead_letter_queues(vhost), *quorum)

    def _names_of(self, vhost: Vhost, quorum: Elements) -> tuple[str, ...]:
        exist = vhost is Vhost.MULTITENANT and self.inputs.quorum_queues_exist
        return tuple(queue.name for queue in quorum.queues) if exist else ()


def _published_to(settings: Settings, names: Topology, vhost: Vhost) -> Elements:
    """Return what the relay publishes to. Dead letters of order requests need their queue."""
    elements = names.elements(vhost).for_publishing
    if vhost is Vhost.MULTITENANT and QueueMode(settings.queues) is QueueMode.QUORUM:
        return elements + names.inputs.dead_letters
    return elements


@dataclass(frozen=True, slots=True)
class Incoming:
    """The consumers, and the connections that they read from."""

    all_consumers: Sequence[BatchConsumer]
    connections: Sequence[SupervisedConnection]
    all_shared: Sequence[BatchConsumer]
    """The consumers of queues that other instances consume, too."""
    inputs: InputQueueSession
    quorum_queues: frozenset[str]
    """The queues that exist only after the input queues were moved to quorum queues."""

    @property
    def consumers(self) -> Sequence[BatchConsumer]:
        """The consumers whose queue exists."""
        return [one for one in self.all_consumers if self._exists(one)]

    @property
    def shared(self) -> Sequence[BatchConsumer]:
        """The consumers of queues that exist and that other instances consume, too."""
        return [one for one in self.all_shared if self._exists(one)]

    def _exists(self, consumer: BatchConsumer) -> bool:
        return self.inputs.quorum_queues_exist or consumer.queue.name not in self.quorum_queues

    def pause(self) -> None:
        """Give the messages of shared queues back: other instances may be able to handle them."""
        for consumer in self.all_shared:
            consumer.pause()

    def resume(self) -> None:
        """Consume the shared queues again."""
        for consumer in self.all_shared:
            consumer.resume()


def build_incoming(
    settings: Settings,
    names: Topology,
    inputs: InputQueueSession,
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
    quorum_queues = frozenset(names.inputs.quorum_names)
    sessions = [
        QuorumConsumer(inputs, one) if one.queue.name in quorum_queues else one for one in shared
    ]
    multitenant_connection = (
        _connection(
            settings,
            Vhost.MULTITENANT,
            names.multitenant_without_inputs,
            [inputs, *sessions, *rights],
            inputs.prepare,
        )
        if is_worker
        else _connection(settings, Vhost.MULTITENANT, names.of_each_instance, rights)
    )
    return Incoming(
        [*shared, *rights, *tenants],
        [
            multitenant_connection,
            _connection(settings, Vhost.INSTANCE, names.instance, tenants),
        ],
        shared,
        inputs,
        quorum_queues,
    )


def _connection(
    settings: Settings,
    vhost: Vhost,
    elements: Elements,
    sessions: Sequence[Session],
    prepare: Prepare | None = None,
) -> SupervisedConnection:
    return SupervisedConnection(
        settings.amqp_url.get_secret_value(),
        vhost_name(settings, vhost),
        elements,
        sessions,
        prepare=prepare,
    )


def _dead_letter_watch(
    settings: Settings, vhost: Vhost, queues: _CurrentQueues, index: DeadLetterIndex
) -> DeadLetterWatch:
    return DeadLetterWatch(
        settings.amqp_url.get_secret_value(),
        vhost,
        vhost_name(settings, vhost),
        partial(queues.dead_letters, vhost),
        index,
    )


def vhost_name(settings: Settings, vhost: Vhost) -> str:
    return settings.amqp_vhost if vhost is Vhost.MULTITENANT else settings.amqp_instance_vhost


def _publications(settings: Settings, names: Topology) -> Publications:
    requests, quorum = names.order_requests, QueueMode(settings.queues) is QueueMode.QUORUM
    return Publications(
        step_queue=names.steps.name,
        remote_step_queue=names.remote_steps.name,
        remote_steps=step_names(StepQueue.REMOTE),
        request_queue=names.quorum_queue(requests) if quorum else requests,
        event_exchange=names.events.name,
        namespace=settings.amqp_management_namespace,
        instance_name=settings.instance_name,
    )
