"""The events of orders in the AsyncAPI document: on the broker, streamed, and to webhooks (E-25)."""

from typing import Any, Final

from pydantic.json_schema import JsonSchemaMode

from rs_order.contracts.asyncapi_messages import MULTITENANT_VHOST, Addresses
from rs_order.contracts.event_bodies import EVENT, MEMBERS, EventDto
from rs_order.contracts.wire import TENANT_HEADER, WireModel
from rs_order.domain.events import EventType

AMQP_BINDING: Final = "0.3.0"
HTTP_BINDING: Final = "0.3.0"
MODEL: Final[tuple[type[WireModel], JsonSchemaMode]] = (EventDto, "serialization")

BROKER: Final = {"$ref": "#/servers/broker"}
_API: Final = {"$ref": "#/servers/api"}
_EVENTS: Final = "events"
_STREAM: Final = "stream"
_WEBHOOK: Final = "webhook"
_SIGNATURE: Final = "webhookSignature"
_WEBHOOK_HEADERS: Final = {
    "webhook-id": "The id of the event.",
    "webhook-timestamp": "The seconds of this attempt, since 1970.",
    "webhook-signature": "`v1,` and the base64 of the HMAC-SHA256 of id, timestamp and body, joined by "
    "dots; two with a blank while a secret is replaced.",
    "rs-order-delivery": "An id of this attempt.",
    "rs-order-attempt": "Its number, from 1.",
    "rs-order-replay": "`true` if the event was sent again on request.",
}
_ATTRIBUTES: Final = ("id", "type", "source", "subject")


def servers() -> dict[str, Any]:
    """Return the two servers. Their hosts are those of a deployment."""
    return {
        "broker": {
            "host": "{host}",
            "protocol": "amqp",
            "description": "RabbitMQ.",
            "variables": {"host": {"description": "As in RS_ORDER_AMQP_URL."}},
        },
        "api": {
            "host": "{host}",
            "pathname": "/api/v1/rs-order",
            "protocol": "https",
            "description": "The gateway of the platform.",
            "variables": {"host": {"description": "Of the project."}},
        },
    }


def event_channels(addresses: Addresses) -> dict[str, Any]:
    """Return the channels on which events of orders are published."""
    exchange = {
        "name": addresses.events,
        "type": "topic",
        "durable": True,
        "autoDelete": False,
        "vhost": MULTITENANT_VHOST,
    }
    return {
        _EVENTS: {
            "address": "{tenant}.{event}.{orderId}",
            "description": f"Routing keys of the topic exchange {addresses.events}. It exists if "
            "RS_ORDER_EVENTS_AMQP is set.",
            "servers": [BROKER],
            "parameters": {
                "tenant": {"description": "Project."},
                "event": {"enum": list(EventType), "description": "Without the prefix of types."},
                "orderId": {"description": "Id of the order."},
            },
            "messages": _references(),
            "bindings": {
                "amqp": {
                    "is": "routingKey",
                    "exchange": exchange,
                    "bindingVersion": AMQP_BINDING,
                }
            },
        },
        _STREAM: {
            "address": "/events/stream",
            "description": "Server-sent events: `id` is the position, `event` the type without prefix, "
            "`data` the CloudEvent.",
            "servers": [_API],
            "messages": _references(),
        },
        _WEBHOOK: {
            "address": "{url}",
            "description": "A receiver that subscribed by POST /subscriptions. 2xx: it has the event.",
            "parameters": {"url": {"description": "Of the subscription."}},
            "messages": _references(),
        },
    }


def event_operations() -> dict[str, Any]:
    return {
        "sendEvent": {
            "action": "send",
            "summary": "An event of an order. Those of one order are published in sequence.",
            **_on(_EVENTS),
        },
        "streamEvents": {
            "action": "send",
            "summary": "The events of the caller's orders, or of a project, as they happen.",
            **_on(_STREAM),
            "bindings": {"http": {"method": "GET", "bindingVersion": HTTP_BINDING}},
        },
        "postEvent": {
            "action": "send",
            "summary": "An event for a webhook. The next one of its order waits for it.",
            **_on(_WEBHOOK),
            "security": [{"$ref": f"#/components/securitySchemes/{_SIGNATURE}"}],
            "bindings": {"http": {"method": "POST", "bindingVersion": HTTP_BINDING}},
        },
    }


def event_security() -> dict[str, Any]:
    """Return how receivers know that an event is ours."""
    return {
        _SIGNATURE: {
            "type": "httpApiKey",
            "in": "header",
            "name": "webhook-signature",
            "description": "As of Standard Webhooks, by the secret of the subscription.",
        }
    }


def event_messages(event_schema: dict[str, Any]) -> dict[str, Any]:
    """Return a message for each type. ``event_schema``: the reference to what they have in common."""
    return {type_.value: _message(type_, event_schema) for type_ in EventType}


def _message(type_: EventType, event_schema: dict[str, Any]) -> dict[str, Any]:
    data = {
        "properties": {"event": {"const": type_}},
        "required": ["event", *MEMBERS[type_]],
    }
    return {
        "name": type_,
        "title": type_,
        "contentType": EVENT,
        "headers": {
            "type": "object",
            "properties": {
                **{
                    name: {"type": "string", "description": "On the broker."}
                    for name in (TENANT_HEADER, *(f"ce-{attribute}" for attribute in _ATTRIBUTES))
                },
                **{
                    name: {"type": "string", "description": f"To webhooks: {meaning}"}
                    for name, meaning in _WEBHOOK_HEADERS.items()
                },
            },
        },
        "payload": {"allOf": [event_schema, {"properties": {"data": data}}]},
    }


def _on(channel: str) -> dict[str, Any]:
    address = f"#/channels/{channel}"
    return {
        "channel": {"$ref": address},
        "messages": [{"$ref": f"{address}/messages/{type_}"} for type_ in EventType],
    }


def _references() -> dict[str, Any]:
    return {type_.value: {"$ref": f"#/components/messages/{type_}"} for type_ in EventType}
