"""Removes the quorum queues from virtual hosts that other tests use afterwards."""

import aio_pika

from rs_order.broker.queue_names import topology
from tests.support.servers import FreshBroker


async def delete_quorum_queues(broker: FreshBroker) -> None:
    """Delete all that the quorum mode declared. The next start of an instance binds its queues again."""
    inputs = topology(instance_identifier="test").inputs
    notes = (inputs.in_quorum_mode, inputs.in_compatible_mode)
    switches = [one for pair in inputs.queues for one in (pair.switch, pair.otherwise)]
    connection = await aio_pika.connect(f"{broker.url}/{broker.vhost}")
    async with connection:
        channel = await connection.channel()
        for exchange in (*switches, *notes):
            await channel.exchange_delete(exchange.name)
        for name in inputs.quorum_names:
            await channel.queue_delete(name)
