"""Shows the input queues, moves them, and empties those that were left (``rs-order queues``)."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aio_pika import DeliveryMode, Message
from aio_pika.abc import AbstractConnection

from rs_order.broker.connection import connect
from rs_order.broker.dead_letter_reader import reading
from rs_order.broker.delivery import Delivery
from rs_order.broker.input_queues import InputMover, QueueMode
from rs_order.broker.publishing import broker_errors, open_channel, publish
from rs_order.broker.queue_depths import Depth, depth_of
from rs_order.broker.topology import InputQueues, Queue

_OF_THE_BROKER = frozenset({"x-delivery-count", "x-acquired-count", "CC", "BCC"})
"""Headers that a quorum queue adds, and those by which the broker would route a message to other queues."""


@dataclass(frozen=True, slots=True)
class QueueState:
    """An input queue and what waits in it."""

    name: str
    mode: QueueMode
    """The mode in which it receives events."""
    depth: Depth | None
    """None if it doesn't exist."""


class QueueControl:
    """Acts on the input queues for an operator, whether or not instances of the service run."""

    def __init__(self, connection: AbstractConnection, inputs: InputQueues) -> None:
        self._connection = connection
        self._inputs = inputs
        self._mover = InputMover(inputs)

    async def mode(self) -> QueueMode | None:
        """Return the mode, or None if a move was interrupted."""
        found = await self._mover.mode(self._connection)
        if found is None and not await self._mover.quorum_queues_exist(self._connection):
            return QueueMode.COMPATIBLE
        return found

    async def states(self) -> list[QueueState]:
        """Return the input queues, those of one mode after those of the other."""
        return [
            QueueState(queue.name, mode, await self._depth(queue))
            for mode in QueueMode
            for queue in self._queues(mode)
        ]

    async def move(self, mode: QueueMode) -> None:
        """Make the queues of a mode receive the events. Repair wrong bindings if they should already."""
        await self._mover.move(self._connection, mode)

    async def transfer(self, mode: QueueMode) -> int:
        """Move the messages that wait in the queues of the other mode to those of a mode.

        Returns:
            The number of messages. If the process dies meanwhile, those under way are in both queues.
        """
        transferred = 0
        for one in self._inputs.queues:
            queues = {QueueMode.COMPATIBLE: one.compatible, QueueMode.QUORUM: one.quorum}
            target = queues.pop(mode)
            (source,) = queues.values()
            transferred += await self._transfer(source, target)
        return transferred

    async def _transfer(self, source: Queue, target: Queue) -> int:
        transferred = 0
        channel = await open_channel(self._connection)
        async with reading(self._connection, source.name) as queue:
            async for batch in queue.batches():
                messages = map(_message, batch)
                await asyncio.gather(
                    *(publish(channel, "", target.name, one, mandatory=True) for one in messages)
                )
                await queue.acknowledge(batch)
                transferred += len(batch)
        with broker_errors("close the channel"):
            await channel.close()
        return transferred

    async def _depth(self, queue: Queue) -> Depth | None:
        channel = await open_channel(self._connection)
        depth = await depth_of(channel, queue.name)
        if depth is not None:
            with broker_errors("close the channel"):
                await channel.close()
        return depth

    def _queues(self, mode: QueueMode) -> Sequence[Queue]:
        quorum = mode is QueueMode.QUORUM
        return [one.quorum if quorum else one.compatible for one in self._inputs.queues]


@asynccontextmanager
async def queue_control(url: str, vhost: str, inputs: InputQueues) -> AsyncIterator[QueueControl]:
    """Connect to the virtual host of the input queues.

    Raises:
        BrokerUnavailable: the broker can't be reached.
    """
    async with await connect(url, vhost) as connection:
        yield QueueControl(connection, inputs)


def _message(delivery: Delivery) -> Message:
    headers = {
        name: value for name, value in delivery.headers.items() if name not in _OF_THE_BROKER
    }
    return Message(
        delivery.body, headers=headers, delivery_mode=DeliveryMode.PERSISTENT, **delivery.properties
    )
