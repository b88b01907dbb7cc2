"""What tests that share a deployment need to keep out of each other's way."""

import asyncio
from typing import Any
from uuid import uuid4

import aio_pika
from aio_pika.abc import AbstractIncomingMessage

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
    """A known user who has ordered nothing yet, so that no download of his is waited for."""
    user = User(email=email or f"{uuid4().hex[:12]}@example.org")
    platform.sandbox.directory.put(user)
    return user.email


async def letter_with(platform: Platform, queue: str, body: bytes) -> AbstractIncomingMessage:
    """The dead letter of a body; older letters that a failed test left behind are thrown away."""
    async with asyncio.timeout(WAIT_SECONDS):
        while True:
            letter = await platform.peer.dead_letter(f"{queue}.DLQ")
            if letter.body == body:
                return letter


async def put_in_queue(
    platform: Platform, queue: str, body: bytes, headers: dict[str, Any]
) -> None:
    """Publish straight to a queue, by the exchange that has no name."""
    message = aio_pika.Message(body, headers=headers, content_type="application/json")
    await platform.peer.channel.default_exchange.publish(message, routing_key=queue)


async def until_rows(platform: Platform, query: str, *parameters: Any) -> None:
    """Until a query finds something: for what nobody is told, a cancelled order for instance."""
    await eventually(lambda: platform.rows(query, *parameters), query)


async def state_of(platform: Platform, order_id: int) -> str:
    """The status of an order as the database has it."""
    (row,) = await platform.rows("select status from orders where id = $1", order_id)
    return str(row["status"])


async def fence(platform: Platform) -> None:
    """Take another user's order to its end: what was sent before has been handled by then."""
    await platform.peer.until_final(await platform.peer.order(EVE_01, user=new_user(platform)))


def failure_notification(total: int, **by_label: int) -> dict[str, Any]:
    """The body of the notification of amqp.md 1.12; labels by their first word, see LABELS."""
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
