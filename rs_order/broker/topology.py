"""Every exchange, queue and binding of ours, as values (amqp.md 1.3-1.5, 4).

Names and arguments are contract: a declaration that differs in one argument from what a Java
rs-order left on the broker is refused (406).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from aio_pika.abc import AbstractChannel
from aiormq.exceptions import ChannelPreconditionFailed
from pamqp import constants

from rs_order.broker.errors import TopologyConflict
from rs_order.contracts.notification import NOTIFICATION
from rs_order.contracts.notifier import NOTIFICATION_REQUEST
from rs_order.contracts.order_request import ORDER_CANCEL_REQUEST, ORDER_REQUEST
from rs_order.contracts.order_response import ORDER_RESPONSE
from rs_order.contracts.platform_events import (
    CONNECTION_CREATED,
    CONNECTION_DELETED,
    CONNECTION_FAILED,
    CONNECTION_UPDATED,
    RESOURCE_ACCESS_EVENT,
    RESOURCE_ACCESS_INIT,
    ROLE_EVENT,
    TENANT_CREATED,
    TENANT_DELETED,
)
from rs_order.contracts.processing import (
    DOWNLOADED_OUTPUTS,
    EXECUTION_REQUEST,
    EXECUTION_RESULT,
    PROCESS_RIGHTS,
)
from rs_order.contracts.storage import (
    FILE_REFERENCE,
    FILE_REFERENCE_UPDATE,
    FILES_RESTORATION_REQUEST,
)

DEAD_LETTER_EXCHANGE = "regards.DLX"
"""Never follows the namespace (amqp.md 1.5)."""
SHARED_DEAD_LETTER_QUEUE = "regards.DLQ"
"""Of single-message consumers, of all services of the platform."""

MAX_PRIORITY = 255
STEP_DELIVERY_LIMIT = 20
"""Deliveries of one step before the broker dead-letters it: it keeps killing its workers."""
PEEKS_WITHOUT_END = 1_000_000_000
"""Delivery limit of the steps' dead letters. Looking at a letter is a delivery, and RabbitMQ 4
drops a message of a quorum queue after 20 of them unless told otherwise."""


_QUEUE_NAMES = re.compile(r"[a-zA-Z0-9-_.:@#,/+ $]*")
"""What pamqp lets pass, and the dollar sign of nested Java classes (amqp.md 1.4): RabbitMQ takes
any name, pamqp refuses ours before the broker sees it, and has no option for it."""
constants.DOMAIN_REGEX["queue-name"] = _QUEUE_NAMES


class Vhost(StrEnum):
    """The two virtual hosts of an installation (amqp.md 1.1)."""

    MULTITENANT = "multitenant"
    """Events of the projects, told apart by the ``regards.tenant`` header."""
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
        """Under which key its dead letters go to the dead-letter exchange; None: it has none."""
        key = self.arguments.get("x-dead-letter-routing-key")
        return None if key is None else str(key)


@dataclass(frozen=True, slots=True)
class Binding:
    """A queue receives what an exchange routes under a key."""

    queue: str
    exchange: str
    routing_key: str = ""


@dataclass(frozen=True, slots=True)
class Elements:
    """What one virtual host holds of us."""

    exchanges: tuple[Exchange, ...]
    queues: tuple[Queue, ...]
    bindings: tuple[Binding, ...]

    @property
    def exchanges_only(self) -> "Elements":
        """What somebody who only publishes has to declare."""
        return Elements(self.exchanges, (), ())


@dataclass(frozen=True, slots=True)
class PlatformEvent:
    """A queue of this instance for an event that every instance must hear (amqp.md 3.7, 3.9)."""

    event: str
    """Java class of the event."""
    queue: Queue


@dataclass(frozen=True, slots=True)
class Topology:
    """All that is ours on the broker, by what it is for."""

    order_requests: Queue
    order_cancels: Queue
    file_references: Queue
    file_reference_updates: Queue
    processing_results: Queue
    process_rights: Queue
    steps: Queue
    """What the database alone is needed for."""
    remote_steps: Queue
    """What asks other services: a slow one holds up nothing else."""
    security_events: tuple[PlatformEvent, ...]
    """On the multitenant virtual host."""
    tenant_events: tuple[PlatformEvent, ...]
    """On the instance virtual host."""
    multitenant: Elements
    instance: Elements
    heard_by_each: Elements
    """The part of ``multitenant`` that an instance needs which takes no work from others."""

    def elements(self, vhost: Vhost) -> Elements:
        return self.multitenant if vhost is Vhost.MULTITENANT else self.instance

    def dead_letter_queues(self, vhost: Vhost) -> tuple[str, ...]:
        """Where dead letters of ours may lie."""
        bindings = self.elements(vhost).bindings
        return tuple(b.queue for b in bindings if b.exchange == DEAD_LETTER_EXCHANGE)


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
    namespace: str = "regards", type_identifier: str = "rs-order", *, instance_identifier: str
) -> Topology:
    """What rs-order declares on both virtual hosts (amqp.md 4).

    Left out, because a drop-in may (amqp.md 3.5, 3.6, 3.8): the job queues (internal to the Java
    service), the model queues (they feed its typed JSON parser), the workspace queue, and the
    retry exchange (1.5; no handler of rs-order retries through it).

    The queues of one instance (``security_events``, ``tenant_events``) vanish with their last
    consumer, so **each of them needs one**: without, it stays on the broker for ever and fills.
    That holds for the second and third queue of one event too; what they feed in the Java
    service is one cache here, so their consumers just drop.
    """
    return _Names(namespace, type_identifier, instance_identifier).topology()


async def declare(channel: AbstractChannel, elements: Elements) -> None:
    """Make sure that everything exists; changes nothing that does.

    Raises:
        TopologyConflict: something exists with other attributes. The channel is closed then.
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


_Heard = tuple[str, Queue]
"""An event's class and the queue it is heard on."""


@dataclass(frozen=True, slots=True)
class _Names:
    """The naming rules of amqp.md 1.3 and 1.4, for targets met here."""

    namespace: str
    type_identifier: str
    instance_identifier: str

    def exchange(self, event: str) -> Exchange:
        return Exchange(f"{self.namespace}.broadcast.{event}")

    def batch_queue(self, handler: str) -> Queue:
        """One per microservice type, with a dead-letter queue of its own."""
        name = f"{self.namespace}.broadcast.{self.type_identifier}.{handler}"
        return Queue(name, arguments=_dead_lettering_to(f"{name}.DLQ"))

    def single_queue(self, handler: str) -> Queue:
        """One per microservice type; its dead letters share ``regards.DLQ``."""
        name = f"{self.namespace}.broadcast.{self.type_identifier}.{handler}"
        return Queue(name, arguments=_dead_lettering_to(SHARED_DEAD_LETTER_QUEUE))

    def instance_queue(self, handler: str) -> Queue:
        """One per running instance; the broker deletes it with its last consumer."""
        service = f"{self.type_identifier}.{self.instance_identifier}"
        return Queue(
            f"{self.namespace}.broadcast.{service}.{handler}",
            auto_delete=True,
            arguments=_dead_lettering_to(SHARED_DEAD_LETTER_QUEUE),
        )

    def step_queue(self, name: str) -> Queue:
        """Our own, so no priority; a step is safe on it or refused, never dropped."""
        name = f"{self.type_identifier}.{name}"
        return Queue(
            name,
            arguments=_frozen(
                {
                    "x-queue-type": "quorum",
                    "x-delivery-limit": STEP_DELIVERY_LIMIT,
                    "x-dead-letter-exchange": DEAD_LETTER_EXCHANGE,
                    "x-dead-letter-routing-key": f"{name}.DLQ",
                    "x-dead-letter-strategy": "at-least-once",
                    "x-overflow": "reject-publish",
                }
            ),
        )

    def topology(self) -> Topology:
        requests = self.batch_queue(f"{_REQUEST_HANDLERS}.OrderRequestEventHandler")
        cancels = self.batch_queue(f"{_REQUEST_HANDLERS}.OrderCancelRequestEventHandler")
        references = self.batch_queue(f"{_CATALOG_HANDLERS}.FileReferenceEventHandler")
        updates = self.batch_queue(f"{_CATALOG_HANDLERS}.FileReferenceUpdateEventHandler")
        results = self.single_queue(f"{_PROCESSING_HANDLERS}.ProcessingExecutionResultEventHandler")
        rights = self.single_queue(f"{_PROCESSING_HANDLERS}.RightsPluginConfigurationEventHandler")
        steps = self.step_queue("steps")
        remote_steps = self.step_queue("remote-steps")
        heard = (
            (ORDER_REQUEST, requests),
            (ORDER_CANCEL_REQUEST, cancels),
            (FILE_REFERENCE, references),
            (FILE_REFERENCE_UPDATE, updates),
            (EXECUTION_RESULT, results),
            (PROCESS_RIGHTS, rights),
        )
        security = self._instance_queues(_SECURITY_HANDLERS)
        tenants = self._instance_queues(_TENANT_HANDLERS)
        said = (
            ORDER_RESPONSE,
            FILES_RESTORATION_REQUEST,
            NOTIFICATION,
            EXECUTION_REQUEST,
            NOTIFICATION_REQUEST,
            DOWNLOADED_OUTPUTS,
        )
        return Topology(
            order_requests=requests,
            order_cancels=cancels,
            file_references=references,
            file_reference_updates=updates,
            processing_results=results,
            process_rights=rights,
            steps=steps,
            remote_steps=remote_steps,
            security_events=tuple(PlatformEvent(*heard) for heard in security),
            tenant_events=tuple(PlatformEvent(*heard) for heard in tenants),
            multitenant=self._elements((*heard, *security), said, (steps, remote_steps)),
            instance=self._elements(tenants, (NOTIFICATION,), ()),
            heard_by_each=self._elements(security, (), ()),
        )

    def _instance_queues(self, handlers: tuple[tuple[str, str], ...]) -> tuple[_Heard, ...]:
        return tuple((event, self.instance_queue(handler)) for event, handler in handlers)

    def _elements(
        self, heard: tuple[_Heard, ...], said: tuple[str, ...], internal: tuple[Queue, ...]
    ) -> Elements:
        """Of one virtual host: what is heard there, what is said there, and our own queues."""
        exchanges = dict.fromkeys(self.exchange(event) for event in (*(e for e, _ in heard), *said))
        letters = _dead_letter_queues((*(queue for _, queue in heard), *internal))
        return Elements(
            exchanges=(Exchange(DEAD_LETTER_EXCHANGE, "topic"), *exchanges),
            # Dead-letter queues first: nothing is consumed before its failures have a place.
            queues=(*letters, *(queue for _, queue in heard), *internal),
            bindings=(
                *(Binding(letter.name, DEAD_LETTER_EXCHANGE, letter.name) for letter in letters),
                *(Binding(queue.name, self.exchange(event).name) for event, queue in heard),
            ),
        )


def _dead_letter_queues(queues: tuple[Queue, ...]) -> tuple[Queue, ...]:
    """The shared one, and those that queues have for themselves."""
    own = [queue for queue in queues if queue.dead_letter_key != SHARED_DEAD_LETTER_QUEUE]
    return (_classic_letters(SHARED_DEAD_LETTER_QUEUE), *(_letters_of(queue) for queue in own))


def _letters_of(queue: Queue) -> Queue:
    """As safe as the queue itself: a quorum queue dead-letters into a quorum queue."""
    name = f"{queue.name}.DLQ"
    if queue.arguments.get("x-queue-type") != "quorum":
        return _classic_letters(name)
    return Queue(
        name,
        arguments=_frozen({"x-queue-type": "quorum", "x-delivery-limit": PEEKS_WITHOUT_END}),
    )


def _classic_letters(name: str) -> Queue:
    return Queue(name, arguments=_frozen({"x-max-priority": MAX_PRIORITY}))


def _dead_lettering_to(key: str) -> Mapping[str, str | int]:
    """The arguments of every subscription queue (amqp.md 1.4)."""
    return _frozen(
        {
            "x-max-priority": MAX_PRIORITY,
            "x-dead-letter-exchange": DEAD_LETTER_EXCHANGE,
            "x-dead-letter-routing-key": key,
        }
    )


def _frozen(arguments: dict[str, str | int]) -> Mapping[str, str | int]:
    return MappingProxyType(arguments)
