"""The AsyncAPI 3.0 document of the messages that rs-order consumes and publishes, made from their models."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic.json_schema import models_json_schema

from rs_order.contracts.asyncapi_events import (
    BROKER,
    MODEL,
    event_channels,
    event_messages,
    event_operations,
    event_security,
    servers,
)
from rs_order.contracts.asyncapi_messages import INSTANCE, Addresses, Message, messages_of
from rs_order.contracts.wire import (
    CONTENT_ENCODING,
    CONTENT_TYPE,
    CONVERTER_HEADER,
    GSON,
    TENANT_HEADER,
    TYPE_HEADER,
    WireModel,
)
from rs_order.domain.identity import SERVICE

ASYNCAPI = "3.0.0"
AMQP_BINDING = "0.3.0"

Document = dict[str, Any]


def asyncapi_document(addresses: Addresses, version: str) -> Document:
    """Return the document, ready for JSON.

    A channel is an exchange, or the queue from which the service consumes the messages of an exchange.
    """
    messages = messages_of(addresses)
    schemas = _schemas(messages)
    described = {message.name: _described(message, schemas) for message in messages}
    return {
        "asyncapi": ASYNCAPI,
        "info": {
            "title": SERVICE,
            "version": version,
            "description": (
                "Order service of a space-data archive. It consumes order and cancel requests and the "
                "events of other services, and publishes the progress of each order. Events of orders are "
                "CloudEvents, on the broker, over HTTP and to webhooks. Members that are null are left out; "
                "unknown members are ignored."
            ),
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": CONTENT_TYPE,
        "servers": servers(),
        "channels": _channels(messages, addresses) | event_channels(addresses),
        "operations": {
            **{f"{message.action}{message.name}": _operation(message) for message in messages},
            **event_operations(),
        },
        "components": {
            "messages": described | event_messages(schemas.event),
            "schemas": schemas.definitions,
            "securitySchemes": event_security(),
        },
    }


@dataclass(frozen=True, slots=True)
class _Schemas:
    references: Mapping[type[WireModel], Document]
    """The reference to the schema of each model."""
    event: Document
    """The reference to the schema of the events of orders."""
    definitions: Document


def _schemas(messages: Sequence[Message]) -> _Schemas:
    by_model, shared = models_json_schema(
        # Several events may have the same model.
        [*dict.fromkeys((message.model, message.schema_mode) for message in messages), MODEL],
        ref_template="#/components/schemas/{model}",
    )
    references = {
        message.model: by_model[message.model, message.schema_mode] for message in messages
    }
    return _Schemas(references, by_model[MODEL], shared["$defs"])


def _channels(messages: Sequence[Message], addresses: Addresses) -> Document:
    channels: Document = {}
    for message in messages:
        exchange = addresses.exchange_of(message.event)
        channels[_exchange_channel(message)] = _channel(
            message,
            exchange,
            f"Fanout exchange on the virtual host {' and '.join(message.vhosts)}.",
            {"is": "routingKey", "exchange": _exchange_binding(exchange, message.vhosts[0])},
        )
        if message.queue is not None:
            channels[_queue_channel(message)] = _channel(
                message,
                message.queue,
                f"Queue of rs-order, bound to {exchange}.",
                {"is": "queue", "queue": _queue_binding(message, message.queue)},
            )
    return channels


def _channel(message: Message, address: str, text: str, binding: Document) -> Document:
    parameters: Document = {}
    if INSTANCE in address:
        text_of_name = "RS_ORDER_AMQP_MICROSERVICE_INSTANCE_IDENTIFIER, or a generated name."
        parameters = {"parameters": {INSTANCE.strip("{}"): {"description": text_of_name}}}
    return {
        "address": address,
        "description": text,
        "servers": [BROKER],
        "messages": {message.name: {"$ref": f"#/components/messages/{message.name}"}},
        "bindings": {"amqp": {**binding, "bindingVersion": AMQP_BINDING}},
        **parameters,
    }


def _exchange_binding(name: str, vhost: str) -> Document:
    return {"name": name, "type": "fanout", "durable": True, "autoDelete": False, "vhost": vhost}


def _queue_binding(message: Message, name: str) -> Document:
    return {
        "name": name,
        "durable": True,
        "exclusive": False,
        "autoDelete": not message.permanent,
        "vhost": message.vhosts[0],
    }


def _operation(message: Message) -> Document:
    published = message.queue is None
    channel = f"#/channels/{_exchange_channel(message) if published else _queue_channel(message)}"
    return {
        "action": message.action,
        "summary": message.text,
        "channel": {"$ref": channel},
        "messages": [{"$ref": f"{channel}/messages/{message.name}"}],
    }


def _described(message: Message, schemas: _Schemas) -> Document:
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


def _headers(message: Message) -> Document:
    """Return the schema of the headers that the message needs or has (amqp.md 1.7)."""
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


def _exchange_channel(message: Message) -> str:
    return f"{message.name}Exchange"


def _queue_channel(message: Message) -> str:
    return f"{message.name}Queue"
