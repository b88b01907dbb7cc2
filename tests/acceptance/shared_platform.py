"""Helpers for tests that share a deployment: own users, own dead letters, and waiting for the service."""

import asyncio
import json
from typing import Any
from uuid import uuid4

import aio_pika
from aio_pika.abc import AbstractIncomingMessage

from rs_order.sandbox.simulated_platform import BUNDLED_ARCHIVE
from rs_order.sandbox.user_directory import User
from tests.acceptance.platform import Platform
from tests.support.polling import WAIT_SECONDS, eventually

EVE_01 = "productId:EVE_01"
"""One nearline RAWDATA file of EVE_01_BYTES."""
EVE_01_BYTES = 4159

REQUEST_QUEUE = (
    "regards.broadcast.rs-order.fr.cnes.regards.modules.order.service.request."
    "OrderRequestEventHandler"
)
CANCEL_QUEUE = REQUEST_QUEUE.replace("OrderRequest", "OrderCancelRequest")
FILE_REFERENCE_QUEUE = (
    "regards.broadcast.rs-order.fr.cnes.regards.modules.filecatalog.client.handler."
    "FileReferenceEventHandler"
)
FILE_REFERENCES = (
    "regards.broadcast.fr.cnes.regards.modules.filecatalog.amqp.output.FileReferenceEvent"
)


def new_user(platform: Platform, email: str | None = None) -> str:
    """Add a user without orders, whose slots are therefore free, and return their e-mail address."""
    user = User(email=email or f"{uuid4().hex[:12]}@example.org")
    platform.sandbox.directory.put(user)
    return user.email


async def dead_letter_with(platform: Platform, queue: str, body: bytes) -> AbstractIncomingMessage:
    """Wait for the dead letter with this body; drop older dead letters, which a failed test may have left."""
    async with asyncio.timeout(WAIT_SECONDS):
        while True:
            dead_letter = await platform.peer.dead_letter(f"{queue}.DLQ")
            if dead_letter.body == body:
                return dead_letter


async def put_in_queue(
    platform: Platform, queue: str, body: bytes, headers: dict[str, Any]
) -> None:
    """Publish directly to a queue, by the default exchange."""
    message = aio_pika.Message(body, headers=headers, content_type="application/json")
    await platform.peer.channel.default_exchange.publish(message, routing_key=queue)


async def until_rows(platform: Platform, query: str, *parameters: Any) -> None:
    """Wait until a query finds a row, where no message signals the change (for example a cancelled order)."""
    async with platform.connection() as connection:
        await eventually(lambda: connection.fetch(query, *parameters), query)


async def state_of(platform: Platform, order_id: int) -> str:
    """Return the status of an order in the database."""
    (row,) = await platform.rows("select status from orders where id = $1", order_id)
    return str(row["status"])


async def fence(platform: Platform) -> None:
    """Wait for an order of another user to end: messages sent before it have been handled by then."""
    await platform.peer.until_final(await platform.peer.order(EVE_01, user=new_user(platform)))


def failure_notification(total: int, **by_label: int) -> dict[str, Any]:
    """Return the body of the notification of amqp.md 1.12; ``by_label`` has counts by keys of LABELS."""
    listed = ",".join(f"'{LABELS[name]}' : {count} errors" for name, count in by_label.items())
    return {
        "title": "AMQP batch processing failure.",
        "message": (
            f"Got a total of {total} errors with the following types, for more information on the "
            f"errors refer to the 'rs-order' microservice logs : ['{listed}]."
        ),
        "sender": "rs-order",
        "level": "ERROR",
        "roleRecipients": ["EXPLOIT"],
        "projectUserRecipients": [],
        "mimeType": "text/plain",
    }


LABELS = {
    "tenant": "Missing tenant in AMQP message header.",
    "invalid": "Invalid AMQP message.",
    "conversion": "Failed AMQP message conversion.",
    "unknown": "Unknown tenant in AMQP message header.",
    "batch": "Unexpected AMQP batch processing failure.",
}


def md5_of(filename: str) -> str:
    """Return the checksum of a file of the packaged archive."""
    manifest: dict[str, Any] = json.loads((BUNDLED_ARCHIVE / "manifest.json").read_text())
    (found,) = {
        file["md5"]
        for dataset in manifest["datasets"]
        for product in dataset["products"]
        for file in product["files"]
        if file["filename"] == filename
    }
    return str(found)
