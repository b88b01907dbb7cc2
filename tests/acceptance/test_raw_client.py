"""A client written from amqp.md alone: it spells out every name and imports nothing of rs_order.

Only the addresses of the servers come from the deployment.
"""

import asyncio
import hashlib
import io
import json
import time
import zipfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import aio_pika
import asyncpg
import httpx
import jwt
from aio_pika.abc import AbstractIncomingMessage

from tests.support.polling import eventually

KEY = "!!!!!==========abcdefghijklmnopqrstuvwxyz0123456789==========!!!!!"
RESPONSE = "fr.cnes.regards.modules.order.amqp.output.OrderResponseDtoEvent"
RESPONSES = f"regards.broadcast.{RESPONSE}"
REQUESTS = "regards.broadcast.fr.cnes.regards.modules.order.amqp.input.OrderRequestDtoEvent"
CANCELS = "regards.broadcast.fr.cnes.regards.modules.order.amqp.input.OrderCancelRequestDtoEvent"
FILE_EVENTS = "regards.broadcast.fr.cnes.regards.modules.filecatalog.amqp.output.FileReferenceEvent"
EVE_01_MD5 = "e4653cb5da28bfeacedfade2d67b9404"


class Client:
    """Publishes messages, and collects responses in a queue of its own."""

    def __init__(self, channel: aio_pika.abc.AbstractChannel) -> None:
        self.channel = channel
        self._arrived = asyncio.Condition()
        self.messages: list[AbstractIncomingMessage] = []

    @classmethod
    @asynccontextmanager
    async def connected(cls, url: str) -> AsyncIterator["Client"]:
        async with await aio_pika.connect(url) as connection:
            client = cls(await connection.channel())
            exchange = await client.channel.declare_exchange(RESPONSES, "fanout", durable=True)
            queue = await client.channel.declare_queue(exclusive=True)
            await queue.bind(exchange, "")
            await queue.consume(client.receive, no_ack=True)
            yield client

    async def publish(self, exchange: str, body: dict[str, Any], **headers: str) -> None:
        target = await self.channel.declare_exchange(exchange, "fanout", durable=True)
        message = aio_pika.Message(
            json.dumps(body).encode(),
            headers={"regards.tenant": "project1", **headers},
            delivery_mode=2,
        )
        await target.publish(message, routing_key="")

    async def until(self, correlation_id: str, status: str) -> dict[str, Any]:
        """Wait for the first response with a status, and return its body."""
        async with self._arrived, asyncio.timeout(60):
            await self._arrived.wait_for(
                lambda: any(body["status"] == status for body in self.bodies(correlation_id))
            )
        return next(body for body in self.bodies(correlation_id) if body["status"] == status)

    def of(self, correlation_id: str) -> list[AbstractIncomingMessage]:
        return [
            message
            for message in self.messages
            if json.loads(message.body)["correlationId"] == correlation_id
        ]

    def bodies(self, correlation_id: str) -> list[dict[str, Any]]:
        return [json.loads(message.body) for message in self.of(correlation_id)]

    async def receive(self, message: AbstractIncomingMessage) -> None:
        async with self._arrived:
            self.messages.append(message)
            self._arrived.notify_all()


async def test_a_client_written_from_the_amqp_chapter_alone_works(platform: Any) -> None:
    """It orders, follows and downloads; it cancels another order whose restore requests stay unanswered."""
    settings = platform.settings
    url = f"{settings.amqp_url.get_secret_value().rstrip('/')}/{settings.amqp_vhost}"
    async with Client.connected(url) as client:
        order_id = await _order_and_download(client, platform.port)
        await _cancel(client, platform, last_order=order_id)


async def _order_and_download(client: Client, port: int) -> int:
    began = datetime.now(UTC).replace(microsecond=0)
    await client.publish(
        REQUESTS,
        {
            "correlationId": "raw-1",
            "queries": ["productId:EVE_01"],
            "user": "jane@example.org",
            "sizeLimitInBytes": 10_000_000,
            "filters": {"dataTypes": ["RAWDATA", "QUICKLOOK"], "filenameRegExp": r"eve.*\.txt"},
        },
    )
    done = await client.until("raw-1", "DONE")
    granted, sub_order_done, _ = client.bodies("raw-1")
    order_id: int = granted["orderId"]
    link = done["downloadLink"]

    assert granted == {"status": "GRANTED", "orderId": order_id, "correlationId": "raw-1"}
    assert sub_order_done == {
        "status": "SUBORDER_DONE",
        "orderId": order_id,
        "correlationId": "raw-1",
        "message": "A sub-order of user jane@example.org is finished and ready to download.",
        "downloadLink": link,
        "totalSubOrders": 1,
        "subOrderId": sub_order_done["subOrderId"],
    }
    assert done == {
        "status": "DONE",
        "orderId": order_id,
        "correlationId": "raw-1",
        "message": "Order of user jane@example.org is finished",
        "downloadLink": link,
        "totalSubOrders": 1,
    }
    for message in client.of("raw-1"):
        _check_envelope(message, began)
    assert len({message.message_id for message in client.of("raw-1")}) == 3
    content = await _download(link, port)
    assert {name: hashlib.md5(data).hexdigest() for name, data in content.items()} == {  # noqa: S324
        "eve_01.txt": EVE_01_MD5
    }
    return order_id


def _check_envelope(message: AbstractIncomingMessage, began: datetime) -> None:
    """Check the properties of amqp.md 1.6 and the headers of 1.7."""
    assert message.headers == {
        "regards.tenant": "project1",
        "regards.converter": "GSON",
        "regards.type": RESPONSE,
    }
    assert message.content_type == "application/json"
    assert message.content_encoding == "UTF-8"
    assert message.delivery_mode == 2
    assert message.priority == 1
    assert message.app_id == "REGARDS"
    assert message.correlation_id == "raw-1"
    assert message.message_id
    assert message.timestamp is not None
    assert began <= message.timestamp <= datetime.now(UTC)
    assert (message.type, message.reply_to, message.user_id) == (None, None, None)
    assert message.expiration is None
    assert message.routing_key == ""


async def _download(link: str, port: int) -> dict[str, bytes]:
    """Follow a link, with the port of the service in place of the project's public address."""
    token = jwt.encode(
        {
            "tenant": "project1",
            "role": "REGISTERED_USER",
            "sub": "jane@example.org",
            "email": "jane@example.org",
            "exp": int(time.time()) + 60,
        },
        KEY,
        algorithm="HS512",
    )
    async with httpx.AsyncClient(timeout=60) as http:
        answer = await http.get(
            httpx.URL(link).copy_with(host="127.0.0.1", port=port),
            headers={"Authorization": f"Bearer {token}"},
        )
    assert answer.status_code == 200, answer.text
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


async def _cancel(client: Client, platform: Any, *, last_order: int) -> None:
    """Cancel an order of three sub-orders; storage was asked for two of them and answered none."""
    platform.sandbox.faults.silence = True
    asked_before = platform.sandbox.restores.requested
    await client.publish(
        REQUESTS,
        {
            "correlationId": "raw-2",
            "queries": [
                "productId:EVE_02",
                "productId:PSP_MAG_20200104",
                "productId:GOES13_20170901",
            ],
            "user": "john@example.org",
        },
    )
    order_id = (await client.until("raw-2", "GRANTED"))["orderId"]
    await platform.sandbox.restores.wait_for_requests(asked_before + 2)
    checksums = [one for request in platform.sandbox.restores.requests for one in request.checksums]

    assert order_id != last_order

    await client.publish(CANCELS, {"orderId": order_id, "correlationId": "raw-2"})
    await _until(platform, order_id, lambda order: order == ("DELETED", 0))
    for checksum in checksums:
        await client.publish(
            FILE_EVENTS,
            {"type": "AVAILABLE", "checksum": checksum, "owners": [], "groupIds": []},
            **{
                "regards.converter": "GSON",
                "regards.type": (
                    "fr.cnes.regards.modules.filecatalog.amqp.output.FileReferenceEvent"
                ),
            },
        )
    platform.sandbox.faults.silence = False
    # The next order of the user ends only after the late events were handled.
    await client.publish(
        REQUESTS,
        {"correlationId": "raw-3", "queries": ["productId:EVE_03"], "user": "john@example.org"},
    )
    await client.until("raw-3", "DONE")

    assert client.bodies("raw-2") == [
        {"status": "GRANTED", "orderId": order_id, "correlationId": "raw-2"}
    ]
    assert await _order(platform, order_id) == ("DELETED", 0)
    assert platform.sandbox.restores.requested == asked_before + 3


async def _order(platform: Any, order_id: int) -> tuple[str, int]:
    """Return the status of the order and the number of its files."""
    connection = await asyncpg.connect(platform.database_url)
    try:
        (row,) = await connection.fetch(
            "select status, (select count(*) from order_project1.data_file where order_id = $1)"
            " from order_project1.orders where id = $1",
            order_id,
        )
        return row[0], row[1]
    finally:
        await connection.close()


async def _until(
    platform: Any, order_id: int, condition: Callable[[tuple[str, int]], bool]
) -> None:
    """Poll the order: a cancel gets no response (amqp.md 2.5)."""

    async def reached() -> bool:
        return condition(await _order(platform, order_id))

    await eventually(reached, "the expected state of the order")
