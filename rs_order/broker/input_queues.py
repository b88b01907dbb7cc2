"""Moves the events of peers between the queues of the Java service and quorum queues (decision 0037).

A move loses no event and puts none into both queues, whatever is published meanwhile, and wherever an earlier
move was interrupted. Each binding that changes either leads to a queue that receives the event anyway, or is
that of the switch (see `InputQueue`), which changes the queue at once.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from enum import StrEnum

import structlog
from aio_pika.abc import AbstractChannel, AbstractConnection
from aiormq.exceptions import ChannelLockedResource, ChannelNotFoundEntity

from rs_order.broker.batch_consumer import BatchConsumer
from rs_order.broker.errors import BrokerUnavailable
from rs_order.broker.publishing import broker_errors, open_channel
from rs_order.broker.topology import Binding, Elements, Exchange, InputQueues, declare

LOCK_SECONDS = 60.0
LOCK_RETRY_SECONDS = 0.2
ROUTING_SECONDS = 1.0
"""The broker routes a message by the bindings of several exchanges, which it reads one after the other. After
this time it has routed every message that it began to route before a binding changed."""
CHECK_SECONDS = 5.0

_log = structlog.get_logger(__name__)


class QueueMode(StrEnum):
    """The queues that receive the events of peers; the value is that of ``RS_ORDER_QUEUES``."""

    COMPATIBLE = "compatible"
    QUORUM = "quorum"


class InputMover:
    """Declares and moves the input queues, by one process at a time."""

    def __init__(self, inputs: InputQueues, *, routing_seconds: float = ROUTING_SECONDS) -> None:
        self._inputs = inputs
        self._routing_seconds = routing_seconds

    async def quorum_queues_exist(self, connection: AbstractConnection) -> bool:
        """True if the queues have been moved to quorum queues before, at least in part."""
        return await _exists(connection, self._inputs.queues[0].switch)

    async def mode(self, connection: AbstractConnection) -> QueueMode | None:
        """Return the mode, or None if the queues were never moved, or a move was interrupted."""
        if not await self.quorum_queues_exist(connection):
            return None
        if await _exists(connection, self._inputs.in_quorum_mode):
            return QueueMode.QUORUM
        if await _exists(connection, self._inputs.in_compatible_mode):
            return QueueMode.COMPATIBLE
        return None

    async def keep(self, connection: AbstractConnection, otherwise: QueueMode) -> QueueMode:
        """Declare the queues in their mode, which is ``otherwise`` if they have none. Return the mode."""
        async with self._lock(connection) as channel:
            found = await self.mode(connection)
            if found is None:
                await self._move(connection, channel, otherwise)
            else:
                await self._declare(channel, found)
            return found or otherwise

    async def apply(self, connection: AbstractConnection, mode: QueueMode) -> None:
        """Declare the queues, and move them to a mode unless they are in it."""
        async with self._lock(connection) as channel:
            if await self.mode(connection) is mode:
                await self._declare(channel, mode)
            else:
                await self._move(connection, channel, mode)

    async def move(self, connection: AbstractConnection, mode: QueueMode) -> None:
        """Move the queues to a mode, even if they seem to be in it.

        That repairs bindings which another service made, for example a Java service that was started.
        """
        async with self._lock(connection) as channel:
            await self._move(connection, channel, mode)

    async def _declare(self, channel: AbstractChannel, mode: QueueMode) -> None:
        """Declare everything that exists in a mode, with the bindings that the mode needs."""
        await declare(channel, self._inputs.quorum_elements)
        if mode is QueueMode.COMPATIBLE:
            await declare(channel, _bindings(self._to_compatible_queue()))
        else:
            await self._bind_switches(channel)

    async def _move(
        self, connection: AbstractConnection, channel: AbstractChannel, mode: QueueMode
    ) -> None:
        if mode is QueueMode.QUORUM:
            await self._to_quorum(channel)
        elif await self.quorum_queues_exist(connection):
            await self._to_compatible(channel)
        else:
            await declare(channel, _bindings(self._to_compatible_queue()))
            return
        _log.info("input-queues-moved", mode=mode.value)

    async def _to_quorum(self, channel: AbstractChannel) -> None:
        await channel.exchange_delete(self._inputs.in_compatible_mode.name)
        await declare(channel, self._inputs.quorum_elements)
        # Each event still reaches the compatible queue, and once: a queue receives one copy by any ways.
        await declare(channel, _bindings(self._switched_to_compatible()))
        await self._bind_switches(channel)
        await _unbind(channel, self._to_compatible_queue())
        await asyncio.sleep(self._routing_seconds)
        await _unbind(channel, self._switched_to_compatible())
        await declare(channel, _exchanges(self._inputs.in_quorum_mode))

    async def _to_compatible(self, channel: AbstractChannel) -> None:
        await channel.exchange_delete(self._inputs.in_quorum_mode.name)
        await declare(channel, self._inputs.quorum_elements)
        await declare(channel, _bindings(self._switched_to_compatible()))
        await declare(channel, _bindings(self._to_compatible_queue()))
        for one in self._inputs.queues:
            switch = await channel.get_exchange(one.switch.name, ensure=False)
            await switch.unbind(one.exchange.name)
        await declare(channel, _exchanges(self._inputs.in_compatible_mode))

    async def _bind_switches(self, channel: AbstractChannel) -> None:
        for one in self._inputs.queues:
            switch = await channel.get_exchange(one.switch.name, ensure=False)
            await switch.bind(one.exchange.name)

    def _to_compatible_queue(self) -> tuple[Binding, ...]:
        return tuple(Binding(one.compatible.name, one.exchange.name) for one in self._inputs.queues)

    def _switched_to_compatible(self) -> tuple[Binding, ...]:
        return tuple(Binding(one.compatible.name, one.switch.name) for one in self._inputs.queues)

    @asynccontextmanager
    async def _lock(self, connection: AbstractConnection) -> AsyncIterator[AbstractChannel]:
        """Let one process at a time declare and move the queues, and yield a channel for that.

        Raises:
            BrokerUnavailable: another process has kept the lock for too long, or the connection was lost.
        """
        with broker_errors("move the input queues"):
            channel = await _locked_channel(connection, self._inputs.lock)
            try:
                yield channel
                await channel.queue_delete(self._inputs.lock)
            finally:
                await channel.close()


class InputQueueSession:
    """A session that keeps the input queues in their mode, and notices the quorum queues of other instances.

    The first connection of a process applies the mode of its settings. Later ones keep the mode that the
    queues have, so that the instance that started last decides.
    """

    def __init__(
        self, mover: InputMover, mode: QueueMode, *, check_seconds: float = CHECK_SECONDS
    ) -> None:
        self._mover = mover
        self._mode = mode
        self._check_seconds = check_seconds
        self._applied = False
        self._stopping = asyncio.Event()
        self.quorum_queues_exist = mode is QueueMode.QUORUM

    async def prepare(self, connection: AbstractConnection) -> None:
        """Declare the queues with their bindings."""
        if self._applied:
            mode = await self._mover.keep(connection, self._mode)
        else:
            mode = self._mode
            await self._mover.apply(connection, mode)
            self._applied = True
        self.quorum_queues_exist = (
            mode is QueueMode.QUORUM or await self._mover.quorum_queues_exist(connection)
        )

    async def run(self, connection: AbstractConnection) -> None:
        """Watch for quorum queues of another instance, until `stop`.

        Raises:
            BrokerUnavailable: there are some. The next connection consumes them, too.
        """
        while not self._stopping.is_set() and not self.quorum_queues_exist:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._check_seconds):
                    await self._stopping.wait()
            if await self._mover.quorum_queues_exist(connection):
                raise BrokerUnavailable("Another instance has moved the input queues.")

    async def stop(self) -> None:
        self._stopping.set()


class QuorumConsumer:
    """A session that consumes a quorum queue once it exists."""

    def __init__(self, inputs: InputQueueSession, consumer: BatchConsumer) -> None:
        self._inputs = inputs
        self._consumer = consumer

    async def run(self, connection: AbstractConnection) -> None:
        if self._inputs.quorum_queues_exist:
            await self._consumer.run(connection)

    async def stop(self) -> None:
        await self._consumer.stop()


async def _locked_channel(connection: AbstractConnection, lock: str) -> AbstractChannel:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + LOCK_SECONDS
    while True:
        channel = await open_channel(connection)
        try:
            await channel.declare_queue(lock, exclusive=True)
        except ChannelLockedResource as error:
            if loop.time() >= deadline:
                raise BrokerUnavailable("Another process moves the input queues.") from error
            await asyncio.sleep(LOCK_RETRY_SECONDS)
        else:
            return channel


async def _exists(connection: AbstractConnection, exchange: Exchange) -> bool:
    channel = await open_channel(connection)
    with broker_errors(f"find the exchange {exchange.name}"):
        try:
            await channel.get_exchange(exchange.name)
        except ChannelNotFoundEntity:
            return False
        await channel.close()
    return True


async def _unbind(channel: AbstractChannel, bindings: Sequence[Binding]) -> None:
    for binding in bindings:
        queue = await channel.get_queue(binding.queue, ensure=False)
        await queue.unbind(binding.exchange, binding.routing_key)


def _bindings(bindings: tuple[Binding, ...]) -> Elements:
    return Elements((), (), bindings)


def _exchanges(*exchanges: Exchange) -> Elements:
    return Elements(exchanges, (), ())
