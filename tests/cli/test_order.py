"""``order`` on the wire, against a service that is played by the test."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aio_pika
import pytest
from aio_pika.abc import AbstractExchange, AbstractIncomingMessage

from tests.cli.commands import Ended, line_with, on_broker, rs_order, started
from tests.support.servers import FreshBroker

REQUEST = "fr.cnes.regards.modules.order.amqp.input.OrderRequestDtoEvent"
RESPONSE = "fr.cnes.regards.modules.order.amqp.output.OrderResponseDtoEvent"
JANE = ("--tenant", "project1", "--user", "jane@example.org")
REQUEST_SECONDS = 30


class FakeService:
    """Takes requests, answers what the test says."""

    def __init__(self, responses: AbstractExchange) -> None:
        self._responses = responses
        self.requests: asyncio.Queue[AbstractIncomingMessage] = asyncio.Queue()

    async def request(self) -> AbstractIncomingMessage:
        return await asyncio.wait_for(self.requests.get(), REQUEST_SECONDS)

    async def answer(self, correlation_id: str, status: str, **more: Any) -> None:
        tenant = more.pop("tenant", "project1")
        body = {"status": status, "correlationId": correlation_id, **more}
        message = aio_pika.Message(json.dumps(body).encode(), headers={"regards.tenant": tenant})
        await self._responses.publish(message, "")


@asynccontextmanager
async def _service(broker: FreshBroker) -> AsyncIterator[FakeService]:
    connection = await aio_pika.connect(f"{broker.url}/{broker.vhost}")
    async with connection:
        channel = await connection.channel()
        exchanges = [
            await channel.declare_exchange(f"regards.broadcast.{event}", "fanout", durable=True)
            for event in (REQUEST, RESPONSE)
        ]
        queue = await channel.declare_queue(exclusive=True)
        await queue.bind(exchanges[0])
        service = FakeService(exchanges[1])
        await queue.consume(service.requests.put, no_ack=True)
        yield service


async def _watched(
    service: FakeService, broker: FreshBroker, *responses: dict[str, Any]
) -> tuple[AbstractIncomingMessage, Ended]:
    """Run ``order --watch`` while the service gives these answers."""
    command = asyncio.create_task(
        rs_order("order", *JANE, "--query", "*", "--watch", **on_broker(broker))
    )
    request = await service.request()
    correlation_id = json.loads(request.body)["correlationId"]
    for response in responses:
        await service.answer(**({"correlation_id": correlation_id} | response))
    return request, await command


async def test_request_as_any_service_sends_it(broker: FreshBroker) -> None:
    """Body, headers and properties of amqp.md 1.6, 1.7 and 2.2; what isn't given is left out."""
    options = (
        *("--query", "dataset:A", "--query", "dataset:B", "--correlation-id", "my-id"),
        *("--data-type", "QUICKLOOK", "--filename-pattern", r".*\.jp2", "--size-limit", "1000"),
    )
    async with _service(broker) as service:
        ended = await rs_order("order", *JANE, *options, **on_broker(broker))
        message = await service.request()

    assert (ended.code, ended.out) == (0, "Requested, correlation id my-id\n")
    assert json.loads(message.body) == {
        "correlationId": "my-id",
        "user": "jane@example.org",
        "queries": ["dataset:A", "dataset:B"],
        "filters": {"dataTypes": ["QUICKLOOK"], "filenameRegExp": r".*\.jp2"},
        "sizeLimitInBytes": 1000,
    }
    assert message.headers == {
        "regards.tenant": "project1",
        "regards.converter": "GSON",
        "regards.type": REQUEST,
    }
    assert message.content_type == "application/json"
    assert message.priority == 1
    assert message.routing_key == ""


async def test_watch_ends_with_done(broker: FreshBroker) -> None:
    """Each response of its own request, and no other's, until the final one."""
    async with _service(broker) as service:
        _, ended = await _watched(
            service,
            broker,
            {"status": "GRANTED", "orderId": 7},
            {"status": "FAILED", "correlation_id": "somebody-else"},
            {"status": "FAILED", "tenant": "project2"},
            {"status": "SUBORDER_DONE", "orderId": 7, "subOrderId": 3, "totalSubOrders": 1},
            {"status": "DONE", "orderId": 7, "downloadLink": "https://host/7/download"},
            {"status": "FAILED", "orderId": 7},
        )

    assert ended.code == 0, ended.err
    lines = ended.out.splitlines()[1:]
    statuses = [line.partition(" s ")[2].split()[0] for line in lines[:3]]
    assert statuses == ["GRANTED", "SUBORDER_DONE", "DONE"]
    assert lines[3].strip() == "https://host/7/download"
    assert len(lines) == 4


@pytest.mark.parametrize("status", ["FAILED", "DENIED"])
async def test_watch_fails_with_the_order(status: str, broker: FreshBroker) -> None:
    async with _service(broker) as service:
        _, ended = await _watched(
            service, broker, {"status": status, "errorType": "EMPTY_ORDER", "message": "nothing"}
        )

    assert ended.code == 1
    assert "EMPTY_ORDER" in ended.out
    assert "nothing" in ended.out


async def test_nobody_serves(broker: FreshBroker) -> None:
    """A request that no service would ever get is an error, not a silent loss."""
    ended = await rs_order("order", *JANE, "--query", "*", **on_broker(broker))

    assert ended.code == 1
    ended.assert_one_line("rs-order serve")


async def test_interrupted_while_watching(broker: FreshBroker) -> None:
    """Ctrl-C ends the watch, in silence."""
    async with (
        _service(broker) as service,
        started("order", *JANE, "--query", "*", "--watch", **on_broker(broker)) as command,
    ):
        await line_with(command, "Requested")
        await service.request()

        command.send_signal(2)
        _, err = await command.communicate()

    assert command.returncode == 130
    assert b"Traceback" not in err
