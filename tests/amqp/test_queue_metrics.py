"""The metrics of queues: messages that wait, consumers, and the age of the oldest message."""

from datetime import UTC, datetime, timedelta

import aio_pika
from prometheus_client import REGISTRY

from rs_order.app.metric_sources import queues_source
from rs_order.broker.queue_depths import Depth, QueueDepths
from rs_order.broker.queue_names import topology
from rs_order.broker.topology import Vhost
from tests.amqp.support import RecordingHandler, new_consumer, only, raw_channel, send, supervised
from tests.support.polling import eventually
from tests.support.servers import FreshBroker

TOPOLOGY = only(topology(instance_identifier="test"), "order_requests")
QUEUE = TOPOLOGY.order_requests.name


async def test_depths_of_queues(broker: FreshBroker) -> None:
    """A queue that doesn't exist is left out. Dead letters have a metric of their own."""
    queues = ["absent", *TOPOLOGY.shared_queues(Vhost.MULTITENANT)]
    depths, handler = QueueDepths(lambda: queues), RecordingHandler()
    handler.gate.clear()
    consumer = new_consumer(TOPOLOGY.order_requests, handler, size=1)
    source = queues_source({Vhost.MULTITENANT: depths}, TOPOLOGY.all_dead_letter_queues)
    async with supervised(broker.url, broker.vhost, TOPOLOGY.multitenant, [depths, consumer]):
        await eventually(lambda: consumer.registered, "the consumer")
        async with raw_channel(broker.url, broker.vhost) as channel:
            await send(channel, QUEUE, b"1", b"2", b"3")
            await send(channel, f"{QUEUE}.DLQ", b"4")
            await handler.received(1)
            found = await depths.read()
            await source.sample()
            handler.gate.set()
            await handler.received(3)

    assert found[QUEUE] == Depth(messages=2, consumers=1)
    assert found[f"{QUEUE}.DLQ"] == Depth(messages=1, consumers=0)
    assert set(found) == set(queues) - {"absent"}
    assert _value("rs_order_queue_messages", queue=QUEUE) == 2
    assert _value("rs_order_dead_letters", vhost="multitenant", queue=f"{QUEUE}.DLQ") == 1


async def test_the_oldest_message_is_that_of_a_consumer(broker: FreshBroker) -> None:
    """Its age is that of its publication. Once it is acknowledged, the next one is the oldest."""
    published = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    handler = RecordingHandler()
    handler.gate.clear()
    consumer = new_consumer(TOPOLOGY.order_requests, handler, size=1)
    async with supervised(broker.url, broker.vhost, TOPOLOGY.multitenant, [consumer]):
        await eventually(lambda: consumer.registered, "the consumer")
        before = consumer.oldest_unsettled
        async with raw_channel(broker.url, broker.vhost) as channel:
            await channel.default_exchange.publish(
                aio_pika.Message(b"old", timestamp=published), QUEUE
            )
            await handler.received(1)
            oldest = consumer.oldest_unsettled
            handler.gate.set()
            await eventually(lambda: consumer.oldest_unsettled is None, "the acknowledgement")

    assert before is None
    assert oldest == published


def _value(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(name, labels)
