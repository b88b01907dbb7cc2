"""The AsyncAPI 3.0 document of what rs-order hears and says, made from the models of the wire."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from pydantic.json_schema import JsonSchemaMode, models_json_schema

from rs_order.contracts.headers import (
    CONTENT_ENCODING,
    CONTENT_TYPE,
    CONVERTER_HEADER,
    GSON,
    TENANT_HEADER,
    TYPE_HEADER,
)
from rs_order.contracts.notifications import (
    NOTIFICATION,
    NOTIFICATION_REQUEST,
    NotificationEvent,
    NotificationRequest,
)
from rs_order.contracts.order_request import (
    ORDER_CANCEL_REQUEST,
    ORDER_REQUEST,
    OrderCancelRequest,
    OrderRequest,
)
from rs_order.contracts.order_response import ORDER_RESPONSE, OrderResponse
from rs_order.contracts.platform_events import (
    CONNECTION_CREATED,
    CONNECTION_DELETED,
    CONNECTION_UPDATED,
    RESOURCE_ACCESS_EVENT,
    RESOURCE_ACCESS_INIT,
    ROLE_EVENT,
    TENANT_CREATED,
    TENANT_DELETED,
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
from rs_order.contracts.storage import (
    FILE_REFERENCE,
    FILES_RESTORATION_REQUEST,
    FileReferenceEvent,
    FilesRestorationRequest,
)
from rs_order.contracts.wire import WireModel
from rs_order.domain.identity import SERVICE

ASYNCAPI = "3.0.0"
AMQP_BINDING = "0.3.0"
MULTITENANT_VHOST = "regards.multitenant.manager"
INSTANCE_VHOST = "regards.instance.manager"

INSTANCE = "{instance}"
"""Stands in an address for the name of the instance that is running."""

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where messages go in a deployment (amqp.md 1.3, 1.4)."""

    order_requests: str
    """Queue on which we hear them, as the next ones."""
    order_cancels: str
    file_references: str
    processing_results: str
    process_rights: str
    of_instance: Mapping[str, str]
    """Queues that each instance has for itself, by the event's class; ``INSTANCE`` is its name."""
    namespace: str = "regards"
    """First part of the names of exchanges."""

    def exchange_of(self, event: str) -> str:
        """The fanout of an event, by its Java class."""
        return f"{self.namespace}.broadcast.{event}"


@dataclass(frozen=True, slots=True)
class _Message:
    """A message and what somebody who doesn't know it should be told."""

    event: str
    model: type[WireModel]
    text: str
    heard_on: str | None = None
    """Our queue; None for what we say."""
    lasting: bool = True
    """Its queue is shared and stays; else it is of one instance and vanishes with it."""
    headers_required: Sequence[str] = (TENANT_HEADER, CONVERTER_HEADER, TYPE_HEADER)
    vhosts: Sequence[str] = (MULTITENANT_VHOST,)
    correlated: bool = False

    @property
    def name(self) -> str:
        return self.event.rpartition(".")[2]

    @property
    def action(self) -> Literal["receive", "send"]:
        return "send" if self.heard_on is None else "receive"

    @property
    def schema_mode(self) -> JsonSchemaMode:
        return "serialization" if self.heard_on is None else "validation"


def asyncapi_document(addresses: Addresses, version: str) -> Document:
    """The document, ready for JSON.

    A channel is an exchange, or the queue on which we hear what it carries.
    """
    messages = _messages(addresses)
    schemas = _schemas(messages)
    return {
        "asyncapi": ASYNCAPI,
        "info": {
            "title": SERVICE,
            "version": version,
            "description": (
                "Order service of a space-data archive: hears order and cancel requests and "
                "the events of other services, says how far each order has come. Members that are "
                "null are left out; unknown ones are ignored."
            ),
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": CONTENT_TYPE,
        "channels": _channels(messages, addresses),
        "operations": {
            f"{message.action}{message.name}": _operation(message) for message in messages
        },
        "components": {
            "messages": {message.name: _described(message, schemas) for message in messages},
            "schemas": schemas.definitions,
        },
    }


def _messages(addresses: Addresses) -> tuple[_Message, ...]:
    return (
        *_consumed_messages(addresses),
        *_consumed_by_each_instance(addresses.of_instance),
        *_PUBLISHED,
    )


def _consumed_messages(addresses: Addresses) -> tuple[_Message, ...]:
    return (
        _Message(
            ORDER_REQUEST,
            OrderRequest,
            "Order the files that catalog queries find, in the name of a user.",
            heard_on=addresses.order_requests,
            headers_required=(TENANT_HEADER,),
            correlated=True,
        ),
        _Message(
            ORDER_CANCEL_REQUEST,
            OrderCancelRequest,
            "Stop and delete an order; never answered.",
            heard_on=addresses.order_cancels,
            headers_required=(TENANT_HEADER,),
            correlated=True,
        ),
        _Message(
            FILE_REFERENCE,
            FileReferenceEvent,
            "Storage says that a file is available, or can't be had; other types are ignored.",
            heard_on=addresses.file_references,
        ),
        _Message(
            EXECUTION_RESULT,
            ExecutionResult,
            "How an execution of a process ended; those of batches that aren't ours are ignored.",
            heard_on=addresses.processing_results,
        ),
        _Message(
            PROCESS_RIGHTS,
            ProcessRightsEvent,
            "Who may use a process has changed; baskets that may not use it any more lose it.",
            heard_on=addresses.process_rights,
        ),
    )


_PUBLISHED: Final = (
    _Message(
        ORDER_RESPONSE,
        OrderResponse,
        "How far an order has come; for one order in the order in which it became true.",
        correlated=True,
    ),
    _Message(
        FILES_RESTORATION_REQUEST,
        FilesRestorationRequest,
        "Ask storage to make files available for some hours, at most 1000 in a message.",
    ),
    _Message(
        EXECUTION_REQUEST,
        ExecutionRequest,
        "Ask rs-processing to work on the inputs of a sub-order, or of one of its products.",
    ),
    _Message(
        DOWNLOADED_OUTPUTS,
        DownloadedOutputs,
        "Tell rs-processing which of its outputs were delivered, so that it can delete them.",
    ),
    _Message(
        NOTIFICATION,
        NotificationEvent,
        "Tell users or roles of a project, or the operators of the platform.",
        vhosts=(MULTITENANT_VHOST, INSTANCE_VHOST),
    ),
    _Message(
        NOTIFICATION_REQUEST,
        NotificationRequest,
        "A copy of a message of ours for rs-notifier, where RS_ORDER_AMQP_NOTIFIER_EVENTS asks for it.",
    ),
)


_Told = tuple[str, type[WireModel], str]
"""An event, its model and its text."""
_RIGHTS: Sequence[_Told] = (
    (ROLE_EVENT, RoleEvent, "A role has changed: the rights below it are read again."),
    (RESOURCE_ACCESS_EVENT, ResourceAccessEvent, "What a role may use has changed."),
    (RESOURCE_ACCESS_INIT, ResourceAccessInit, "rs-admin is ready: endpoints are registered."),
)
_TENANTS: Sequence[_Told] = (
    (TENANT_CREATED, TenantEvent, "A project came; it is served once it has a connection."),
    (TENANT_DELETED, TenantEvent, "A project went; it isn't served any more, its data stays."),
    (CONNECTION_CREATED, TenantConnectionEvent, "A project is to be served."),
    (CONNECTION_UPDATED, TenantConnectionEvent, "The same, for a connection that was changed."),
    (CONNECTION_DELETED, TenantConnectionEvent, "A project isn't to be served any more."),
)


def _consumed_by_each_instance(queues: Mapping[str, str]) -> Iterator[_Message]:
    """Rights come project by project, tenants on the virtual host of the installation."""
    for vhost, told in ((MULTITENANT_VHOST, _RIGHTS), (INSTANCE_VHOST, _TENANTS)):
        for event, model, text in told:
            yield _Message(
                event, model, text, heard_on=queues[event], vhosts=(vhost,), lasting=False
            )


@dataclass(frozen=True, slots=True)
class _Schemas:
    references: Mapping[type[WireModel], Document]
    """To the schema of a model."""
    definitions: Document


def _schemas(messages: Sequence[_Message]) -> _Schemas:
    by_model, shared = models_json_schema(
        # Several events may be of one model.
        list(dict.fromkeys((message.model, message.schema_mode) for message in messages)),
        ref_template="#/components/schemas/{model}",
    )
    references = {
        message.model: by_model[message.model, message.schema_mode] for message in messages
    }
    return _Schemas(references, shared["$defs"])


def _channels(messages: Sequence[_Message], addresses: Addresses) -> Document:
    channels: Document = {}
    for message in messages:
        exchange = addresses.exchange_of(message.event)
        channels[_exchange_channel(message)] = _channel(
            message,
            exchange,
            f"Fanout exchange on the virtual host {' and '.join(message.vhosts)}.",
            {"is": "routingKey", "exchange": _exchange_binding(exchange, message.vhosts[0])},
        )
        if message.heard_on is not None:
            channels[_queue_channel(message)] = _channel(
                message,
                message.heard_on,
                f"Queue of rs-order, bound to {exchange}.",
                {"is": "queue", "queue": _queue_binding(message, message.heard_on)},
            )
    return channels


def _channel(message: _Message, address: str, text: str, binding: Document) -> Document:
    parameters: Document = {}
    if INSTANCE in address:
        told = {"description": "RS_ORDER_AMQP_MICROSERVICE_INSTANCE_IDENTIFIER, or a made-up name."}
        parameters = {"parameters": {INSTANCE.strip("{}"): told}}
    return {
        "address": address,
        "description": text,
        "messages": {message.name: {"$ref": f"#/components/messages/{message.name}"}},
        "bindings": {"amqp": {**binding, "bindingVersion": AMQP_BINDING}},
        **parameters,
    }


def _exchange_binding(name: str, vhost: str) -> Document:
    return {"name": name, "type": "fanout", "durable": True, "autoDelete": False, "vhost": vhost}


def _queue_binding(message: _Message, name: str) -> Document:
    return {
        "name": name,
        "durable": True,
        "exclusive": False,
        "autoDelete": not message.lasting,
        "vhost": message.vhosts[0],
    }


def _operation(message: _Message) -> Document:
    said = message.heard_on is None
    channel = f"#/channels/{_exchange_channel(message) if said else _queue_channel(message)}"
    return {
        "action": message.action,
        "summary": message.text,
        "channel": {"$ref": channel},
        "messages": [{"$ref": f"{channel}/messages/{message.name}"}],
    }


def _described(message: _Message, schemas: _Schemas) -> Document:
    described: Document = {
        "name": message.event,
        "title": message.name,
        "summary": message.text,
        "contentType": CONTENT_TYPE,
        "headers": _headers(message),
        "payload": schemas.references[message.model],
        "bindings": {"amqp": {"contentEncoding": CONTENT_ENCODING, "bindingVersion": AMQP_BINDING}},
    }
    if message.correlated:
        described["correlationId"] = {"location": "$message.payload#/correlationId"}
    return described


def _headers(message: _Message) -> Document:
    """The headers of amqp.md 1.7 that this message needs or has."""
    return {
        "type": "object",
        "required": list(message.headers_required),
        "properties": {
            TENANT_HEADER: {
                "type": "string",
                "description": "Project; 'instance' on the virtual host of the installation.",
            },
            CONVERTER_HEADER: {"type": "string", "const": GSON},
            TYPE_HEADER: {"type": "string", "const": message.event},
        },
    }


def _exchange_channel(message: _Message) -> str:
    return f"{message.name}Exchange"


def _queue_channel(message: _Message) -> str:
    return f"{message.name}Queue"
