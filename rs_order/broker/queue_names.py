"""The names and arguments of all exchanges and queues of the service (amqp.md 1.3-1.5, 4).

Names and arguments are contract: the broker rejects (406) a declaration that differs in one argument from
the queue that a Java rs-order declared.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from pamqp import constants

from rs_order.broker.topology import (
    DEAD_LETTER_EXCHANGE,
    SHARED_DEAD_LETTER_QUEUE,
    Binding,
    Elements,
    Exchange,
    InputQueue,
    InputQueues,
    PlatformEvent,
    Queue,
    Topology,
)
from rs_order.contracts.notifications import NOTIFICATION, NOTIFICATION_REQUEST
from rs_order.contracts.order_messages import ORDER_CANCEL_REQUEST, ORDER_REQUEST, ORDER_RESPONSE
from rs_order.contracts.platform_messages import (
    CONNECTION_CREATED,
    CONNECTION_DELETED,
    CONNECTION_FAILED,
    CONNECTION_UPDATED,
    FILE_REFERENCE,
    FILE_REFERENCE_UPDATE,
    FILES_RESTORATION_REQUEST,
    RESOURCE_ACCESS_EVENT,
    RESOURCE_ACCESS_INIT,
    ROLE_EVENT,
    TENANT_CREATED,
    TENANT_DELETED,
)
from rs_order.contracts.processing_messages import (
    DOWNLOADED_OUTPUTS,
    EXECUTION_REQUEST,
    EXECUTION_RESULT,
    PROCESS_RIGHTS,
)
from rs_order.domain.identity import SERVICE

MAX_PRIORITY = 255
STEP_DELIVERY_LIMIT = 20
"""Deliveries of one step before the broker dead-letters it, because it crashes the process each time."""
INPUT_DELIVERY_LIMIT = 1000
"""Deliveries of one event from a quorum queue. A lost connection or database counts as one, for all messages
that an instance has, so the 20 of RabbitMQ 4 would make dead letters of them in an outage. A message that
crashes each process ends as a dead letter, which it doesn't in a compatible queue."""
UNLIMITED_DELIVERIES = 1_000_000_000
"""Delivery limit of the steps' dead letters. Each time an operator lists a dead letter is a delivery, and by
default RabbitMQ 4 drops a message of a quorum queue after 20 deliveries."""

_QUEUE_NAMES = re.compile(r"[a-zA-Z0-9-_.:@#,/+ $]*")
"""The names that pamqp accepts, and the dollar sign of nested Java classes (amqp.md 1.4). RabbitMQ accepts
any name; pamqp rejects ours on the client's side and has no option for that."""
constants.DOMAIN_REGEX["queue-name"] = _QUEUE_NAMES

_PUBLISHED = (
    ORDER_RESPONSE,
    FILES_RESTORATION_REQUEST,
    NOTIFICATION,
    EXECUTION_REQUEST,
    NOTIFICATION_REQUEST,
    DOWNLOADED_OUTPUTS,
)
"""Events that the service publishes on the multitenant virtual host."""

_REQUEST_HANDLERS = "fr.cnes.regards.modules.order.service.request"
_CATALOG_HANDLERS = "fr.cnes.regards.modules.filecatalog.client.handler"
_PROCESSING_HANDLERS = "fr.cnes.regards.modules.order.service.processing"

_SECURITY_HANDLER = "fr.cnes.regards.framework.security.event.SecurityEventHandler"
_SECURITY_HANDLERS = (
    (ROLE_EVENT, f"{_SECURITY_HANDLER}$RoleEventHandler"),
    (
        ROLE_EVENT,
        "fr.cnes.regards.modules.accessrights.client.cache.RoleEventHandler$RoleEventListener",
    ),
    (RESOURCE_ACCESS_EVENT, f"{_SECURITY_HANDLER}$ResourceAccessUpdateHandler"),
    (RESOURCE_ACCESS_INIT, f"{_SECURITY_HANDLER}$ResourceAccessInitHandler"),
)
_CONNECTION_HANDLER = "fr.cnes.regards.framework.jpa.multitenant.event.MultitenantJpaEventHandler"
_LISTENING_HANDLER = "fr.cnes.regards.framework.amqp.autoconfigure.AmqpEventHandler"
_TENANT_CACHE_HANDLER = "fr.cnes.regards.microservices.administration.RemoteTenantEventHandler"
_MAINTENANCE_HANDLER = (
    "fr.cnes.regards.framework.microservice.maintenance.MaintenanceHealthIndicator"
)
_TENANT_HANDLERS = (
    (TENANT_CREATED, f"{_LISTENING_HANDLER}$TenantCreationHandler"),
    (TENANT_CREATED, f"{_TENANT_CACHE_HANDLER}$TenantCreatedEventHandler"),
    (TENANT_CREATED, f"{_MAINTENANCE_HANDLER}$TenantCreatedEventHandler"),
    (TENANT_DELETED, f"{_LISTENING_HANDLER}$TenantDeletionHandler"),
    (TENANT_DELETED, f"{_TENANT_CACHE_HANDLER}$TenantDeletedEventHandler"),
    (
        CONNECTION_CREATED,
        f"{_CONNECTION_HANDLER}$ConfigurationCreatedHandler",
    ),
    (
        CONNECTION_UPDATED,
        f"{_CONNECTION_HANDLER}$ConfigurationUpdatedHandler",
    ),
    (
        CONNECTION_DELETED,
        f"{_CONNECTION_HANDLER}$ConfigurationDeletedHandler",
    ),
    (
        CONNECTION_FAILED,
        f"{_CONNECTION_HANDLER}$TenantConnectionFailedHandler",
    ),
)


def topology(
    namespace: str = "regards",
    type_identifier: str = SERVICE,
    *,
    instance_identifier: str,
    publishes_events: bool = False,
) -> Topology:
    """Return the elements that rs-order declares on both virtual hosts (amqp.md 4).

    Some of the Java service's elements are left out, which a drop-in may do (amqp.md 3.5, 3.6, 3.8): the
    job queues (internal to the Java service), the model queues (for its typed JSON parser), the workspace
    queue, and the retry exchange (1.5; no handler of rs-order retries through it).

    The broker deletes the queues of one instance (``security_events``, ``tenant_events``) with their last
    consumer, so **each of them needs one**. Without a consumer it stays on the broker for ever and fills.
    That also holds for the second and third queue of one event. In the Java service each feeds a cache of
    its own; here they feed one, so the further consumers drop their messages.

    ``publishes_events``: declare the exchange of the events of orders (faces.md E-24).
    """
    return _Names(namespace, type_identifier, instance_identifier, publishes_events).topology()


_Subscription = tuple[str, Queue]
"""An event's class and the queue that receives it."""


@dataclass(frozen=True, slots=True)
class _Names:
    """Applies the naming rules of amqp.md 1.3 and 1.4."""

    namespace: str
    type_identifier: str
    instance_identifier: str
    publishes_events: bool

    @property
    def events(self) -> Exchange:
        """The exchange of the events of orders. Subscribers choose by routing keys."""
        return Exchange(f"{self.type_identifier}.events", "topic")

    def exchange(self, event: str) -> Exchange:
        return Exchange(f"{self.namespace}.broadcast.{event}")

    @property
    def shared_prefix(self) -> str:
        return f"{self.namespace}.broadcast.{self.type_identifier}."

    def batch_queue(self, handler: str) -> Queue:
        """Return a queue shared by all instances, with its own dead-letter queue."""
        name = f"{self.shared_prefix}{handler}"
        return Queue(name, arguments=_dead_lettering_to(f"{name}.DLQ"))

    def single_queue(self, handler: str) -> Queue:
        """Return a queue shared by all instances; its dead letters go to ``regards.DLQ``."""
        name = f"{self.shared_prefix}{handler}"
        return Queue(name, arguments=_dead_lettering_to(SHARED_DEAD_LETTER_QUEUE))

    def instance_queue(self, handler: str) -> Queue:
        """Return a queue of this instance; the broker deletes it with its last consumer."""
        service = f"{self.type_identifier}.{self.instance_identifier}"
        return Queue(
            f"{self.namespace}.broadcast.{service}.{handler}",
            auto_delete=True,
            arguments=_dead_lettering_to(SHARED_DEAD_LETTER_QUEUE),
        )

    def quorum_queue(self, name: str, delivery_limit: int) -> Queue:
        """Return a queue without priorities that stores or rejects a message, but never drops one."""
        name = f"{self.type_identifier}.{name}"
        return Queue(
            name,
            arguments=_frozen(
                {
                    "x-queue-type": "quorum",
                    "x-delivery-limit": delivery_limit,
                    "x-dead-letter-exchange": DEAD_LETTER_EXCHANGE,
                    "x-dead-letter-routing-key": f"{name}.DLQ",
                    "x-dead-letter-strategy": "at-least-once",
                    "x-overflow": "reject-publish",
                }
            ),
        )

    def inputs(self, subscriptions: tuple[_Subscription, ...]) -> InputQueues:
        """Return the shared queues of peers' events with a quorum queue for each.

        The quorum queue's name ends with the class of the handler, too: by that a consumer recognises its own
        dead letters (amqp.md 1.9 step 4), whichever of the two queues they died in.
        """
        queues = []
        for event, compatible in subscriptions:
            handler = compatible.name.removeprefix(self.shared_prefix)
            quorum = self.quorum_queue(f"quorum.{handler}", INPUT_DELIVERY_LIMIT)
            queues.append(InputQueue(self.exchange(event), compatible, quorum))
        dead_letters = tuple(_dead_letter_queue_of(one.quorum) for one in queues)
        return InputQueues(
            tuple(queues),
            Elements(
                (Exchange(DEAD_LETTER_EXCHANGE, "topic"),),
                dead_letters,
                _letter_bindings(dead_letters),
            ),
            lock=f"{self.type_identifier}.queues.lock",
            in_quorum_mode=Exchange(f"{self.type_identifier}.queues.quorum"),
            in_compatible_mode=Exchange(f"{self.type_identifier}.queues.compatible"),
        )

    def topology(self) -> Topology:
        requests = self.batch_queue(f"{_REQUEST_HANDLERS}.OrderRequestEventHandler")
        cancels = self.batch_queue(f"{_REQUEST_HANDLERS}.OrderCancelRequestEventHandler")
        references = self.batch_queue(f"{_CATALOG_HANDLERS}.FileReferenceEventHandler")
        updates = self.batch_queue(f"{_CATALOG_HANDLERS}.FileReferenceUpdateEventHandler")
        results = self.single_queue(f"{_PROCESSING_HANDLERS}.ProcessingExecutionResultEventHandler")
        rights = self.single_queue(f"{_PROCESSING_HANDLERS}.RightsPluginConfigurationEventHandler")
        steps = self.quorum_queue("steps", STEP_DELIVERY_LIMIT)
        remote_steps = self.quorum_queue("remote-steps", STEP_DELIVERY_LIMIT)
        shared = (
            (ORDER_REQUEST, requests),
            (ORDER_CANCEL_REQUEST, cancels),
            (FILE_REFERENCE, references),
            (FILE_REFERENCE_UPDATE, updates),
            (EXECUTION_RESULT, results),
            (PROCESS_RIGHTS, rights),
        )
        security = self._instance_queues(_SECURITY_HANDLERS)
        tenants = self._instance_queues(_TENANT_HANDLERS)
        multitenant = self._elements((*shared, *security), _PUBLISHED, (steps, remote_steps))
        if self.publishes_events:
            multitenant += Elements((self.events,), (), ())
        return Topology(
            order_requests=requests,
            order_cancels=cancels,
            file_references=references,
            file_reference_updates=updates,
            processing_results=results,
            process_rights=rights,
            steps=steps,
            remote_steps=remote_steps,
            security_events=tuple(PlatformEvent(*subscription) for subscription in security),
            tenant_events=tuple(PlatformEvent(*subscription) for subscription in tenants),
            inputs=self.inputs(shared),
            events=self.events,
            multitenant=multitenant,
            instance=self._elements(tenants, (NOTIFICATION,), ()),
            of_each_instance=self._elements(security, (), ()),
        )

    def _instance_queues(self, handlers: tuple[tuple[str, str], ...]) -> tuple[_Subscription, ...]:
        return tuple((event, self.instance_queue(handler)) for event, handler in handlers)

    def _elements(
        self,
        subscriptions: tuple[_Subscription, ...],
        published: tuple[str, ...],
        internal: tuple[Queue, ...],
    ) -> Elements:
        """Return the elements of a virtual host for subscriptions, published events and internal queues."""
        events = (*(event for event, _ in subscriptions), *published)
        exchanges = dict.fromkeys(self.exchange(event) for event in events)
        subscribed = tuple(queue for _, queue in subscriptions)
        dead_letters = _dead_letter_queues((*subscribed, *internal))
        return Elements(
            exchanges=(Exchange(DEAD_LETTER_EXCHANGE, "topic"), *exchanges),
            # Dead-letter queues first: they must exist before the first message is consumed.
            queues=(*dead_letters, *subscribed, *internal),
            bindings=(
                *_letter_bindings(dead_letters),
                *(Binding(queue.name, self.exchange(event).name) for event, queue in subscriptions),
            ),
        )


def _letter_bindings(queues: tuple[Queue, ...]) -> tuple[Binding, ...]:
    return tuple(Binding(queue.name, DEAD_LETTER_EXCHANGE, queue.name) for queue in queues)


def _dead_letter_queues(queues: tuple[Queue, ...]) -> tuple[Queue, ...]:
    """Return the shared dead-letter queue, and those that belong to one queue."""
    own = [queue for queue in queues if queue.dead_letter_key != SHARED_DEAD_LETTER_QUEUE]
    return (
        _classic_dead_letter_queue(SHARED_DEAD_LETTER_QUEUE),
        *(_dead_letter_queue_of(queue) for queue in own),
    )


def _dead_letter_queue_of(queue: Queue) -> Queue:
    """Return a queue as durable as the given one: a quorum queue for a quorum queue."""
    name = f"{queue.name}.DLQ"
    if queue.arguments.get("x-queue-type") != "quorum":
        return _classic_dead_letter_queue(name)
    return Queue(
        name,
        arguments=_frozen({"x-queue-type": "quorum", "x-delivery-limit": UNLIMITED_DELIVERIES}),
    )


def _classic_dead_letter_queue(name: str) -> Queue:
    return Queue(name, arguments=_frozen({"x-max-priority": MAX_PRIORITY}))


def _dead_lettering_to(key: str) -> Mapping[str, str | int]:
    """Return the arguments of a subscription queue (amqp.md 1.4)."""
    return _frozen(
        {
            "x-max-priority": MAX_PRIORITY,
            "x-dead-letter-exchange": DEAD_LETTER_EXCHANGE,
            "x-dead-letter-routing-key": key,
        }
    )


def _frozen(arguments: dict[str, str | int]) -> Mapping[str, str | int]:
    return MappingProxyType(arguments)
