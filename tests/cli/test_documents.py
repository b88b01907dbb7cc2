"""The contracts that the commands print hold together and say what the code does."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from rs_order.domain.events import EventType
from tests.cli.commands import rs_order

REQUESTS = (
    "regards.broadcast.rs-order.fr.cnes.regards.modules.order.service.request."
    "OrderRequestEventHandler"
)
RESPONSE = "fr.cnes.regards.modules.order.amqp.output.OrderResponseDtoEvent"
Document = dict[str, Any]


@pytest.fixture(scope="module")
async def asyncapi() -> Document:
    return await _printed("asyncapi")


@pytest.fixture(scope="module")
async def openapi() -> Document:
    return await _printed("openapi")


async def _printed(command: str) -> Document:
    ended = await rs_order(command)
    assert ended.code == 0, ended.err
    document: Document = json.loads(ended.out)
    return document


def _references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if "$ref" in part:
            yield part["$ref"]
        part = list(part.values())
    if isinstance(part, list):
        for inner in part:
            yield from _references(inner)


def _at(document: Document, reference: str) -> Any:
    part: Any = document
    for name in reference.removeprefix("#/").split("/"):
        part = part[name]
    return part


async def test_references_lead_somewhere(asyncapi: Document, openapi: Document) -> None:
    for document in (asyncapi, openapi):
        references = list(_references(document))

        assert references
        assert all(_at(document, reference) is not None for reference in references)


async def test_asyncapi_has_the_structure_of_its_version(asyncapi: Document) -> None:
    """What the AsyncAPI 3.0 specification demands of a document, a channel, an operation."""
    assert asyncapi["asyncapi"] == "3.0.0"
    assert {"title", "version"} <= asyncapi["info"].keys()
    for channel in asyncapi["channels"].values():
        assert isinstance(channel["address"], str)
        if channel["address"] == "{url}":  # of a receiver, so it is on none of these servers
            continue
        (server,) = channel["servers"]
        if server["$ref"] == "#/servers/api":
            continue
        binding = channel["bindings"]["amqp"]
        assert binding[{"routingKey": "exchange", "queue": "queue"}[binding["is"]]]["durable"]
    for operation in asyncapi["operations"].values():
        assert operation["action"] in {"send", "receive"}
        channel = operation["channel"]["$ref"]
        for message in operation["messages"]:
            assert message["$ref"].startswith(f"{channel}/messages/")
    for message in asyncapi["components"]["messages"].values():
        assert message["headers"]["type"] == "object"
        assert message["payload"]


async def test_asyncapi_says_where_requests_are_heard(asyncapi: Document) -> None:
    operation = asyncapi["operations"]["receiveOrderRequestDtoEvent"]
    channel = _at(asyncapi, operation["channel"]["$ref"])
    message = asyncapi["components"]["messages"]["OrderRequestDtoEvent"]
    payload = _at(asyncapi, message["payload"]["$ref"])

    assert channel["address"] == REQUESTS
    assert message["headers"]["required"] == ["regards.tenant"]
    assert {"correlationId", "user", "queries", "filters"} <= payload["properties"].keys()


async def test_asyncapi_says_what_is_answered(asyncapi: Document) -> None:
    operation = asyncapi["operations"]["sendOrderResponseDtoEvent"]
    channel = _at(asyncapi, operation["channel"]["$ref"])
    message = asyncapi["components"]["messages"]["OrderResponseDtoEvent"]
    payload = _at(asyncapi, message["payload"]["$ref"])

    assert channel["address"] == f"regards.broadcast.{RESPONSE}"
    assert message["headers"]["properties"]["regards.type"]["const"] == RESPONSE
    assert payload["required"] == ["status", "correlationId"]
    assert "subOrderId" in payload["properties"]


@pytest.mark.parametrize(
    ("event", "vhost"),
    [
        ("RoleEvent", "regards.multitenant.manager"),
        ("TenantConnectionConfigurationCreated", "regards.instance.manager"),
    ],
)
async def test_asyncapi_says_what_every_instance_hears(
    asyncapi: Document, event: str, vhost: str
) -> None:
    """On a queue of its own, which vanishes with it."""
    operation = asyncapi["operations"][f"receive{event}"]
    channel = _at(asyncapi, operation["channel"]["$ref"])
    queue = channel["bindings"]["amqp"]["queue"]

    assert channel["address"].startswith("regards.broadcast.rs-order.{instance}.fr.cnes.regards")
    assert channel["parameters"].keys() == {"instance"}
    assert queue["autoDelete"] is True
    assert queue["vhost"] == vhost


async def test_asyncapi_has_every_event_of_orders(asyncapi: Document) -> None:
    """On the broker, as a stream and for webhooks, each with the members of its type."""
    for operation, address in (
        ("sendEvent", "{tenant}.{event}.{orderId}"),
        ("streamEvents", "/events/stream"),
        ("postEvent", "{url}"),
    ):
        channel = _at(asyncapi, asyncapi["operations"][operation]["channel"]["$ref"])
        assert channel["address"] == address
        assert channel["messages"].keys() == set(EventType)
    exchange = asyncapi["channels"]["events"]["bindings"]["amqp"]["exchange"]
    message = asyncapi["components"]["messages"]["suborder.ready"]
    base, own = message["payload"]["allOf"]

    assert (exchange["name"], exchange["type"]) == ("rs-order.events", "topic")
    assert message["contentType"] == "application/cloudevents+json"
    assert "webhook-signature" in message["headers"]["properties"]
    (security,) = asyncapi["operations"]["postEvent"]["security"]
    assert _at(asyncapi, security["$ref"])["name"] == "webhook-signature"
    assert {"specversion", "id", "source", "type", "data"} <= set(
        _at(asyncapi, base["$ref"])["required"]
    )
    assert own["properties"]["data"]["properties"]["event"] == {"const": "suborder.ready"}
    assert {"subOrderId", "totalSubOrders"} <= set(own["properties"]["data"]["required"])


async def test_openapi_has_the_download(openapi: Document) -> None:
    download = openapi["paths"]["/user/orders/{orderId}/download"]["get"]

    assert {"200", "204"} <= download["responses"].keys()
    assert download["parameters"][0]["name"] == "orderId"
