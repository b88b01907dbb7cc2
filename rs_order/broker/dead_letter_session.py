"""An operator's session with the dead letters, in which they are read without being lost.

A dead letter is read by receiving it without an acknowledgement. If it is not acknowledged, it goes back
into its queue when the channel closes, also when this process dies.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Self

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection
from aiormq.exceptions import ChannelLockedResource

from rs_order.broker.connection import CONNECT_SECONDS, vhost_url
from rs_order.broker.delivery import Delivery
from rs_order.broker.errors import DeadLettersBusy, UnknownDeadLetter
from rs_order.broker.publishing import broker_errors, open_channel
from rs_order.broker.stored_dead_letters import DeadLetterParser, StoredDeadLetter
from rs_order.broker.topology import Topology, Vhost

LOCK_QUEUE = "rs-order.dead-letters.lock"
"""An exclusive queue. The broker gives it to one connection, and deletes it when that connection closes."""
LOCK_SECONDS = 30.0
"""How long to wait for another operator."""
LOCK_RETRY_SECONDS = 0.2
READ_LIMIT = 100_000
"""Dead letters read from one queue: broker and process keep each in memory until the session ends."""

Wanted = Callable[[StoredDeadLetter], bool]


@dataclass(frozen=True, slots=True)
class UnacknowledgedDeadLetter:
    """A dead letter that goes back into its queue unless it is acknowledged."""

    dead_letter: StoredDeadLetter
    delivery: Delivery
    channel: AbstractChannel

    async def acknowledge(self) -> None:
        """Delete it from its queue."""
        underlay = await self.channel.get_underlay_channel()
        with broker_errors("acknowledge a dead letter"):
            await underlay.basic_ack(self.delivery.tag)


class DeadLetterSession:
    """Reads all queues of dead letters; puts back what was not acknowledged when it ends."""

    def __init__(self, readers: Sequence["_QueueReader"]) -> None:
        self._readers = readers

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for reader in self._readers:
            await reader.close()

    @property
    def complete(self) -> bool:
        """False if the limit ended the reading of a queue."""
        return all(reader.complete for reader in self._readers)

    async def read(self, wanted: Wanted) -> AsyncIterator[UnacknowledgedDeadLetter]:
        """Yield the dead letters that are wanted, queue by queue."""
        for reader in self._readers:
            async for unacknowledged in reader.read():
                if wanted(unacknowledged.dead_letter):
                    yield unacknowledged

    async def read_all(self, ids: Collection[str]) -> list[UnacknowledgedDeadLetter]:
        """Return the dead letters with these ids.

        Raises:
            UnknownDeadLetter: one of them doesn't exist.
        """
        missing = set(ids)
        found: list[UnacknowledgedDeadLetter] = []
        if not missing:
            return found
        async for unacknowledged in self.read(lambda dead_letter: dead_letter.id in missing):
            missing.discard(unacknowledged.dead_letter.id)
            found.append(unacknowledged)
            if not missing:
                return found
        raise UnknownDeadLetter(sorted(missing))


@asynccontextmanager
async def open_session(
    url: str,
    vhosts: Mapping[Vhost, str],
    topology: Topology,
    *,
    lock_seconds: float = LOCK_SECONDS,
) -> AsyncIterator[DeadLetterSession]:
    """Connect, wait until no other operator works on the dead letters, and read them.

    Raises:
        DeadLettersBusy: another operator didn't finish in time.
        BrokerUnavailable: the broker can't be reached.
    """
    async with AsyncExitStack() as stack:
        connections = {
            vhost: await stack.enter_async_context(_connected(url, name))
            for vhost, name in vhosts.items()
        }
        await _lock(connections[Vhost.MULTITENANT], lock_seconds)
        readers = [
            _QueueReader(connection, vhost, queue)
            for vhost, connection in connections.items()
            for queue in topology.dead_letter_queues(vhost)
        ]
        yield await stack.enter_async_context(DeadLetterSession(readers))


class _QueueReader:
    """Reads one queue of dead letters."""

    def __init__(self, connection: AbstractConnection, vhost: Vhost, name: str) -> None:
        self._connection = connection
        self._vhost = vhost
        self._name = name
        self._channel: AbstractChannel | None = None
        self.complete = True
        """False if the limit ended the last reading."""

    async def read(self) -> AsyncIterator[UnacknowledgedDeadLetter]:
        """Yield the dead letters that were in the queue when the reading began.

        Later ones are left out, so that one that is replayed and fails again is not read twice.
        """
        self._channel = await open_channel(self._connection)
        parser = DeadLetterParser(self._vhost, self._name)
        with broker_errors(f"read {self._name}"):
            queue = await self._channel.get_queue(self._name)
        waiting = queue.declaration_result.message_count or 0
        self.complete = waiting <= READ_LIMIT
        for _ in range(min(waiting, READ_LIMIT)):
            with broker_errors(f"read {self._name}"):
                message = await queue.get(fail=False)
            if message is None:
                return
            delivery = Delivery.of(message, self._name)
            yield UnacknowledgedDeadLetter(parser.parse(delivery), delivery, self._channel)

    async def close(self) -> None:
        """Give back what was read and not acknowledged."""
        if self._channel is not None and not self._channel.is_closed:
            with broker_errors(f"put dead letters back into {self._name}"):
                await self._channel.close()


@asynccontextmanager
async def _connected(url: str, vhost: str) -> AsyncIterator[AbstractConnection]:
    with broker_errors("connect"):
        connection = await aio_pika.connect(vhost_url(url, vhost), timeout=CONNECT_SECONDS)
    async with connection:
        yield connection


async def _lock(connection: AbstractConnection, seconds: float) -> None:
    """Wait for the lock. The connection keeps it until it closes."""
    try:
        async with asyncio.timeout(seconds):
            while not await _has_lock(connection):  # noqa: ASYNC110 - the broker doesn't signal it
                await asyncio.sleep(LOCK_RETRY_SECONDS)
    except TimeoutError as error:
        raise DeadLettersBusy(
            f"Another operator has worked on the dead letters for {seconds:g} s. Try again when "
            f"that has ended (the connection that holds the queue {LOCK_QUEUE})."
        ) from error


async def _has_lock(connection: AbstractConnection) -> bool:
    channel = await open_channel(connection)
    with broker_errors("lock the dead letters"):
        try:
            await channel.declare_queue(LOCK_QUEUE, exclusive=True)
        except ChannelLockedResource:
            return False
    return True
