"""Events of orders over AMQP, from a real broker to the SDK of CloudEvents (faces.md E-24)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import httpx
from aio_pika.abc import AbstractIncomingMessage
from cloudevents.core.bindings.rabbitmq import RabbitMQMessage, from_rabbitmq_event

from tests.acceptance.platform import TENANT, Platform, running_platform
from tests.acceptance.shared_platform import EVE_01, new_user
from tests.support.polling import WAIT_SECONDS
from tests.support.servers import FreshBroker

EXCHANGE = "rs-order.events"
KEYS = (
    "order.created",
    "order.listed",
    "suborder.started",
    "suborder.ready",
    "order.done",
)


async def test_events_reach_who_binds_a_queue(broker: FreshBroker, database_url: str) -> None:
    """Those that the keys choose, in the order of the order, as the log has them, and for the SDK."""
    async with (
        running_platform(broker, database_url, events_amqp=True) as platform,
        platform.service(),
        bound(platform, f"{TENANT}.#") as everything,
        bound(platform, f"{TENANT}.order.done.*", "project2.#") as ends,
    ):
        user = new_user(platform)
        correlation_id = await platform.peer.order(EVE_01, user=user)
        order = (await platform.peer.until_final(correlation_id)).body["orderId"]
        messages = [await next_of(everything) for _ in KEYS]
        end = await next_of(ends)
        async with platform.client(user) as client:
            logged = await client.get("/events")

    assert [message.routing_key for message in messages] == [
        f"{TENANT}.{key}.{order}" for key in KEYS
    ]
    assert bodies(logged) == b"[%s]" % b",".join(message.body for message in messages)
    assert (end.body, ends.empty()) == (messages[-1].body, True)
    for message, key in zip(messages, KEYS, strict=True):
        read = from_rabbitmq_event(as_the_sdk_wants_it(message))
        assert (read.get_type(), read.get_subject()) == (f"rsorder.{key}", f"orders/{order}")
        assert read.get_id() == message.message_id == message.headers["ce-id"]
        assert read.get_source() == message.headers["ce-source"]
        assert read.get_type() == message.headers["ce-type"]
        assert message.headers["regards.tenant"] == TENANT


async def test_events_of_an_outage_come_afterwards(broker: FreshBroker, database_url: str) -> None:
    """A process that has numbered events and ends leaves them in the outbox: the next one publishes them."""
    async with running_platform(broker, database_url, events_amqp=True) as platform:
        async with platform.service():
            pass  # creates the tables and the exchange
        await platform.execute(AN_EVENT)
        async with bound(platform, f"{TENANT}.#") as queue, platform.service():
            message = await next_of(queue)

    assert (message.routing_key, message.message_id) == (f"{TENANT}.order.done.7", EVENT_ID)


EVENT_ID = "0192f3c1-7e1a-7c3a-9d0a-5a4b7c1d2e3f"
AN_EVENT = """
insert into rs_order.outbox (partition, kind, tenant, stream, message_id, body)
values (3, 'ORDER_EVENT', 'project1', 'project1/events/7', '0192f3c1-7e1a-7c3a-9d0a-5a4b7c1d2e3f',
        '{"id":"i","type":"rsorder.order.done","source":"s","subject":"orders/7",'
        '"data":{"event":"order.done","orderId":7}}')
"""


@asynccontextmanager
async def bound(
    platform: Platform, *keys: str
) -> AsyncIterator[asyncio.Queue[AbstractIncomingMessage]]:
    """Bind a queue to the exchange with these keys, and yield what it receives. Then delete the exchange."""
    arrived: asyncio.Queue[AbstractIncomingMessage] = asyncio.Queue()
    channel = platform.peer.channel
    queue = await channel.declare_queue(f"test.{uuid4()}", exclusive=True)
    for key in keys:
        await queue.bind(EXCHANGE, key)
    await queue.consume(arrived.put, no_ack=True)
    yield arrived
    await channel.exchange_delete(EXCHANGE)


async def next_of(queue: asyncio.Queue[AbstractIncomingMessage]) -> AbstractIncomingMessage:
    return await asyncio.wait_for(queue.get(), WAIT_SECONDS)


def bodies(response: httpx.Response) -> bytes:
    assert response.status_code == 200, response.text
    return response.content


def as_the_sdk_wants_it(message: AbstractIncomingMessage) -> RabbitMQMessage:
    headers = {name: str(value) for name, value in message.headers.items()}
    return RabbitMQMessage(headers, message.content_type, message.body)
