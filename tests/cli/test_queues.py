"""``rs-order queues`` on a broker whose queues a service has declared (decision 0037)."""

import json
from collections.abc import AsyncIterator

import aio_pika
import pytest

from rs_order.broker.input_queues import QueueMode
from rs_order.broker.queue_control import QueueState
from rs_order.broker.queue_depths import Depth
from rs_order.broker.queue_names import topology
from rs_order.cli.queue_commands import status_lines
from tests.cli.commands import on_broker, rs_order
from tests.support.quorum_queues import delete_quorum_queues
from tests.support.servers import FreshBroker

INPUTS = topology(instance_identifier="test").inputs
REQUESTS = INPUTS.queues[0]


@pytest.fixture
async def broker(platform_broker: FreshBroker) -> AsyncIterator[FreshBroker]:
    yield platform_broker
    await delete_quorum_queues(platform_broker)


async def publish(broker: FreshBroker, body: bytes) -> None:
    connection = await aio_pika.connect(f"{broker.url}/{broker.vhost}")
    async with connection:
        channel = await connection.channel()
        exchange = await channel.get_exchange(REQUESTS.exchange.name)
        await exchange.publish(aio_pika.Message(body), "")


async def waiting(broker: FreshBroker) -> int | None:
    """Return the number of order requests in the queue of the Java service."""
    connection = await aio_pika.connect(f"{broker.url}/{broker.vhost}")
    async with connection:
        queue = await (await connection.channel()).get_queue(REQUESTS.compatible.name)
    return queue.declaration_result.message_count


async def test_there_and_back_without_an_instance(broker: FreshBroker) -> None:
    """Waiting messages of the quorum queues are moved to the queues that a Java service reads."""
    settings = on_broker(broker)
    disagreed = await rs_order("queues", "quorum", **settings)
    there = await rs_order("queues", "quorum", **settings, queues="quorum")
    await publish(broker, b"1")
    meanwhile = await rs_order("queues", "status", "--json", **settings)
    back = await rs_order("queues", "compatible", **settings)

    disagreed.assert_one_line("RS_ORDER_QUEUES is compatible", "set it to quorum first")
    assert there.out == "The quorum queues receive the messages now\nThe other queues are empty\n"
    assert json.loads(meanwhile.out) == {
        "mode": "quorum",
        "queues": [
            *(_row(one.compatible.name, receives=False, messages=0) for one in INPUTS.queues),
            _row(REQUESTS.quorum.name, receives=True, messages=1),
            *(_row(one.quorum.name, receives=True, messages=0) for one in INPUTS.queues[1:]),
        ],
    }
    assert "1 messages moved; the other queues are empty\n" in back.out, back.err
    assert "Before a Java service starts: stop all instances" in back.out
    assert await waiting(broker) == 1


def test_status_lines() -> None:
    """A queue that doesn't exist has neither messages nor consumers."""
    states = [
        QueueState("old", QueueMode.COMPATIBLE, Depth(messages=12, consumers=2)),
        QueueState("new", QueueMode.QUORUM, None),
    ]

    assert [line.split() for line in status_lines(QueueMode.COMPATIBLE, states)] == [
        ["Mode:", "compatible"],
        ["QUEUE", "RECEIVES", "MESSAGES", "CONSUMERS"],
        ["old", "yes", "12", "2"],
        ["new", "no", "-", "-"],
    ]
    assert next(status_lines(None, states)) == "A move was interrupted: run it again"


def _row(name: str, *, receives: bool, messages: int) -> dict[str, object]:
    return {"queue": name, "receives": receives, "messages": messages, "consumers": 0}
