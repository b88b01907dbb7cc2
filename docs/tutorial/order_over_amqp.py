"""Place one order over AMQP and follow it to its final response.

usage: order_over_amqp.py EMAIL QUERY

EMAIL is the owner of the order, a user of the project. QUERY selects products of the catalog, such as
``dataset:SOHO_EIT``. The program ends with exit code 0 if the order ends DONE, and with 1 otherwise.

It needs aio-pika and nothing of rs_order: a service in another language does the same steps.
"""

import asyncio
import json
import os
import sys
from typing import Any
from uuid import uuid4

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractExchange, AbstractQueue

PROJECT = os.environ.get("PROJECT", "demo")
BROKER = os.environ.get("RS_ORDER_AMQP_URL", "amqp://rs_order:rs_order@127.0.0.1:5672")
VIRTUAL_HOST = os.environ.get("RS_ORDER_AMQP_VHOST", "regards.multitenant.manager")

REQUEST = "fr.cnes.regards.modules.order.amqp.input.OrderRequestDtoEvent"
RESPONSE = "fr.cnes.regards.modules.order.amqp.output.OrderResponseDtoEvent"
FINAL = {"DENIED", "DONE", "FAILED"}


async def main(email: str, query: str) -> int:
    """Place the order, print its responses, and return the exit code."""
    correlation_id = f"tutorial-{uuid4()}"
    connection = await aio_pika.connect(f"{BROKER}/{VIRTUAL_HOST}")
    async with connection:
        channel = await connection.channel(on_return_raises=True)
        requests = await declare_exchange(channel, REQUEST)
        responses = await declare_exchange(channel, RESPONSE)

        # Bind the queue before you send the request. A response that finds no queue is lost.
        queue = await channel.declare_queue(exclusive=True)
        await queue.bind(responses)

        await requests.publish(request_message(correlation_id, email, query), routing_key="")
        print(f"REQUESTED      correlation id {correlation_id}", flush=True)

        final = await final_response(correlation_id, queue)
    if final is None:
        print("The connection to the broker was lost. The order goes on without this program.")
        return 1
    link = final.get("downloadLink")
    if link:  # a FAILED order has one too, if some of its files are there
        print(f"DOWNLOAD       {link}")
    return 0 if final["status"] == "DONE" else 1


async def declare_exchange(channel: AbstractChannel, message_class: str) -> AbstractExchange:
    """Declare the exchange of a message as every peer does: the first one creates it."""
    return await channel.declare_exchange(
        f"regards.broadcast.{message_class}", aio_pika.ExchangeType.FANOUT, durable=True
    )


def request_message(correlation_id: str, email: str, query: str) -> aio_pika.Message:
    """Return the order request. rs_order repeats the correlation id in each of its responses."""
    body = {"correlationId": correlation_id, "user": email, "queries": [query]}
    return aio_pika.Message(
        json.dumps(body).encode(),
        headers={
            "regards.tenant": PROJECT,
            "regards.converter": "GSON",
            "regards.type": REQUEST,
        },
        content_type="application/json",
        content_encoding="UTF-8",
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        priority=1,
    )


async def final_response(correlation_id: str, queue: AbstractQueue) -> dict[str, Any] | None:
    """Print each response to our request, and return the last one, or None if the connection ends.

    The exchange carries the responses to all requests of all projects, so the others are skipped.
    """
    async with queue.iterator(no_ack=True) as messages:
        async for message in messages:
            response: dict[str, Any] = json.loads(message.body)
            is_ours = response["correlationId"] == correlation_id
            if not is_ours or message.headers["regards.tenant"] != PROJECT:
                continue
            print(line_of(response), flush=True)
            if response["status"] in FINAL:
                return response
    return None


def line_of(response: dict[str, Any]) -> str:
    """Return a response as one line: its status, then the members that are there."""
    names = ("orderId", "subOrderId", "totalSubOrders", "errorType", "message")
    members = [f"{name}={response[name]}" for name in names if name in response]
    return f"{response['status']:<14} {' '.join(members)}"


if __name__ == "__main__":
    try:
        email, query = sys.argv[1:]
    except ValueError:
        sys.exit("usage: order_over_amqp.py EMAIL QUERY")
    try:
        sys.exit(asyncio.run(main(email, query)))
    except aio_pika.exceptions.PublishError:
        sys.exit("No rs_order has a queue for order requests on this broker. Start one first.")
    except (OSError, aio_pika.exceptions.AMQPError) as error:
        sys.exit(f"The broker can't be used: {error}")
