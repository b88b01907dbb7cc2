"""The messages that rs-order consumes and publishes, as the AsyncAPI document lists them (amqp.md 2, 3)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from pydantic.json_schema import JsonSchemaMode

from rs_order.contracts.notifications import (
    NOTIFICATION,
    NOTIFICATION_REQUEST,
    NotificationEvent,
    NotificationRequest,
)
from rs_order.contracts.order_messages import (
    ORDER_CANCEL_REQUEST,
    ORDER_REQUEST,
    ORDER_RESPONSE,
    OrderCancelRequest,
    OrderRequest,
    OrderResponse,
)
from rs_order.contracts.platform_messages import (
    CONNECTION_CREATED,
    CONNECTION_DELETED,
    CONNECTION_UPDATED,
    FILE_REFERENCE,
    FILES_RESTORATION_REQUEST,
    RESOURCE_ACCESS_EVENT,
    RESOURCE_ACCESS_INIT,
    ROLE_EVENT,
    TENANT_CREATED,
    TENANT_DELETED,
    FileReferenceEvent,
    FilesRestorationRequest,
    ResourceAccessEvent,
    ResourceAccessInit,
    RoleEvent,
    TenantConnectionEvent,
    TenantEvent,
)
from rs_order.contracts.processing_messages import (
    DOWNLOADED_OUTPUTS,
    EXECUTION_REQUEST,
    EXECUTION_RESULT,
    PROCESS_RIGHTS,
    DownloadedOutputs,
    ExecutionRequest,
    ExecutionResult,
    ProcessRightsEvent,
)
from rs_order.contracts.wire import CONVERTER_HEADER, TENANT_HEADER, TYPE_HEADER, WireModel

MULTITENANT_VHOST = "regards.multitenant.manager"
INSTANCE_VHOST = "regards.instance.manager"

INSTANCE = "{instance}"
"""Placeholder for the name of the running instance in an address."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """The queues and exchanges of a deployment (amqp.md 1.3, 1.4).

    A name such as ``order_requests`` is the queue of these messages.
    """

    order_requests: str
    order_cancels: str
    file_references: str
    processing_results: str
    process_rights: str
    events: str
    """The topic exchange of the events of orders."""
    of_instance: Mapping[str, str]
    """Queues of each single instance by the Java class of the event; they contain ``INSTANCE``."""
    namespace: str = "regards"
    """First part of the names of exchanges."""

    def exchange_of(self, event: str) -> str:
        """Return the fanout exchange of an event, by its Java class."""
        return f"{self.namespace}.broadcast.{event}"


@dataclass(frozen=True, slots=True)
class Message:
    """A message and its description."""

    event: str
    model: type[WireModel]
    text: str
    queue: str | None = None
    """The queue of a consumed message; None if the message is published."""
    permanent: bool = True
    """True if all instances share the queue. False if one instance has it, and it ends with the instance."""
    headers_required: Sequence[str] = (TENANT_HEADER, CONVERTER_HEADER, TYPE_HEADER)
    vhosts: Sequence[str] = (MULTITENANT_VHOST,)
    correlated: bool = False

    @property
    def name(self) -> str:
        """The simple name of the Java class."""
        return self.event.rpartition(".")[2]

    @property
    def action(self) -> Literal["receive", "send"]:
        return "send" if self.queue is None else "receive"

    @property
    def schema_mode(self) -> JsonSchemaMode:
        return "serialization" if self.queue is None else "validation"


def messages_of(addresses: Addresses) -> tuple[Message, ...]:
    return (
        *_consumed_messages(addresses),
        *_consumed_by_each_instance(addresses.of_instance),
        *_PUBLISHED,
    )


def _consumed_messages(addresses: Addresses) -> tuple[Message, ...]:
    return (
        Message(
            ORDER_REQUEST,
            OrderRequest,
            "Order the files that catalog queries find, in the name of a user.",
            queue=addresses.order_requests,
            headers_required=(TENANT_HEADER,),
            correlated=True,
        ),
        Message(
            ORDER_CANCEL_REQUEST,
            OrderCancelRequest,
            "Stop and delete an order; never answered.",
            queue=addresses.order_cancels,
            headers_required=(TENANT_HEADER,),
            correlated=True,
        ),
        Message(
            FILE_REFERENCE,
            FileReferenceEvent,
            "A file of storage is available or unavailable; other types are ignored.",
            queue=addresses.file_references,
        ),
        Message(
            EXECUTION_RESULT,
            ExecutionResult,
            "Result of an execution of a process; executions of unknown batches are ignored.",
            queue=addresses.processing_results,
        ),
        Message(
            PROCESS_RIGHTS,
            ProcessRightsEvent,
            "The rights of a process changed; it is removed from baskets that may not use it any more.",
            queue=addresses.process_rights,
        ),
    )


_PUBLISHED: Final = (
    Message(
        ORDER_RESPONSE,
        OrderResponse,
        "Progress of an order; the responses of one order are published in sequence.",
        correlated=True,
    ),
    Message(
        FILES_RESTORATION_REQUEST,
        FilesRestorationRequest,
        "Ask storage to make files available for some hours, at most 1000 in a message.",
    ),
    Message(
        EXECUTION_REQUEST,
        ExecutionRequest,
        "Ask rs-processing to work on the inputs of a sub-order, or of one of its products.",
    ),
    Message(
        DOWNLOADED_OUTPUTS,
        DownloadedOutputs,
        "Outputs of rs-processing that were downloaded, so that it can delete them.",
    ),
    Message(
        NOTIFICATION,
        NotificationEvent,
        "Notify users or roles of a project, or the operators of the platform.",
        vhosts=(MULTITENANT_VHOST, INSTANCE_VHOST),
    ),
    Message(
        NOTIFICATION_REQUEST,
        NotificationRequest,
        "Copy of a published message for rs-notifier, if RS_ORDER_AMQP_NOTIFIER_EVENTS selects it.",
    ),
)


_Event = tuple[str, type[WireModel], str]
"""The Java class of an event, its model and its description."""
_RIGHTS: Sequence[_Event] = (
    (ROLE_EVENT, RoleEvent, "A role has changed: the rights below it are read again."),
    (RESOURCE_ACCESS_EVENT, ResourceAccessEvent, "The resources that a role may use changed."),
    (RESOURCE_ACCESS_INIT, ResourceAccessInit, "rs-admin is ready: endpoints are registered."),
)
_TENANTS: Sequence[_Event] = (
    (TENANT_CREATED, TenantEvent, "A project was created; it is served once it has a connection."),
    (TENANT_DELETED, TenantEvent, "A project was deleted; it is no longer served, its data stays."),
    (
        CONNECTION_CREATED,
        TenantConnectionEvent,
        "A project was connected; it is served from now on.",
    ),
    (CONNECTION_UPDATED, TenantConnectionEvent, "The connection of a project was changed."),
    (
        CONNECTION_DELETED,
        TenantConnectionEvent,
        "A project was disconnected; it is no longer served.",
    ),
)


def _consumed_by_each_instance(queues: Mapping[str, str]) -> Iterator[Message]:
    """Yield the events on rights of one project, and the events on tenants of the instance virtual host."""
    for vhost, events in ((MULTITENANT_VHOST, _RIGHTS), (INSTANCE_VHOST, _TENANTS)):
        for event, model, text in events:
            yield Message(event, model, text, queue=queues[event], vhosts=(vhost,), permanent=False)
