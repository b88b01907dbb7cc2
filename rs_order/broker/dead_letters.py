"""Dead letters for operators: look, send back, throw away (architecture.md 8).

A letter is looked at by taking it without acknowledging it. What was looked at and not acted on
goes back when the channel closes, also when we die: no act here can lose a letter.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Self

import aio_pika
import structlog
from aio_pika.abc import AbstractChannel, AbstractConnection
from aiormq.exceptions import ChannelLockedResource

from rs_order.broker.connection import CONNECT_SECONDS, vhost_url
from rs_order.broker.delivery import Delivery
from rs_order.broker.errors import (
    DeadLetterError,
    DeadLettersBusy,
    NotConfirmed,
    OriginGone,
    UnknownDeadLetter,
    UnknownOrigin,
)
from rs_order.broker.letters import Letter, LetterReader, replayed_message
from rs_order.broker.publishing import broker_trouble, open_publishing_channel, publish
from rs_order.broker.topology import Topology, Vhost

LOCK_QUEUE = "rs-order.dead-letters.lock"
"""Exclusive: the broker gives it to one connection, and frees it when that one dies."""
LOCK_SECONDS = 30.0
"""How long to wait for another operator."""
LOCK_RETRY_SECONDS = 0.2

LIST_LIMIT = 1000
"""Letters in one list."""
LOOK_LIMIT = 100_000
"""Letters looked at in one queue: the broker and we remember each until the end."""
DEFAULT_RATE = 50.0
"""Letters sent back per second."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class LetterFilter:
    """Which letters; what is None does not matter."""

    tenant: str | None = None
    queue: str | None = None
    """Where it lies, or where it came from."""
    reason: str | None = None

    def matches(self, letter: Letter) -> bool:
        return (
            self.tenant in (None, letter.tenant)
            and self.queue in (None, letter.queue, letter.origin)
            and self.reason in (None, letter.reason)
        )


ANY_LETTER = LetterFilter()


@dataclass(frozen=True, slots=True)
class LetterList:
    """Letters found."""

    letters: tuple[Letter, ...]
    complete: bool
    """False when a limit ended the search: there may be more."""


@dataclass(slots=True)
class Replay:
    """What a replay did."""

    replayed: list[str] = field(default_factory=list)
    refused: dict[str, DeadLetterError] = field(default_factory=dict)
    """Letters that stay, and why: UnknownOrigin or OriginGone."""


class DeadLetters:
    """The dead letters of one installation. Each call is alone at work among all operators.

    Any call raises DeadLettersBusy when another operator doesn't end in time, and BrokerAway.
    """

    def __init__(self, url: str, vhosts: Mapping[Vhost, str], topology: Topology) -> None:
        """Remember where they are.

        Args:
            url: broker and credentials.
            vhosts: the names of both virtual hosts.
            topology: says which queues hold dead letters.
        """
        self._url = url
        self._vhosts = vhosts
        self._topology = topology

    async def list(self, wanted: LetterFilter = ANY_LETTER, limit: int = LIST_LIMIT) -> LetterList:
        """Letters that match, queue by queue, ``limit`` at most."""
        found: list[Letter] = []
        async with self._desk() as desk:
            async for held in desk.take(wanted):
                if len(found) == limit:
                    return LetterList(tuple(found), complete=False)
                found.append(held.letter)
            return LetterList(tuple(found), desk.saw_all)

    async def find(self, letter_id: str) -> Letter:
        """One letter.

        Raises:
            UnknownDeadLetter: there is none with this id.
        """
        async with self._desk() as desk:
            held = await desk.take_all([letter_id])
            return held[0].letter

    async def replay(self, wanted: LetterFilter, rate: float = DEFAULT_RATE) -> Replay:
        """Send letters back to the queues they came from, ``rate`` per second at most.

        A letter is acknowledged after the broker confirmed its copy in the other queue. A crash
        in between leaves both, which the inbox takes for one.
        """
        replay = Replay()
        pace = _Pace(rate)
        async with self._desk() as desk:
            async for held in desk.take(wanted):
                await pace.wait()
                await _replay(held, replay)
        return replay

    async def replay_each(self, ids: Collection[str], rate: float = DEFAULT_RATE) -> Replay:
        """As `replay`, for letters by their ids.

        Raises:
            UnknownDeadLetter: an id doesn't exist; nothing was sent.
        """
        replay = Replay()
        pace = _Pace(rate)
        async with self._desk() as desk:
            for held in await desk.take_all(ids):
                await pace.wait()
                await _replay(held, replay)
        return replay

    async def discard(self, ids: Collection[str], because: str) -> tuple[Letter, ...]:
        """Throw letters away; the log keeps what they were and why.

        Raises:
            UnknownDeadLetter: an id doesn't exist; nothing was thrown away.
        """
        async with self._desk() as desk:
            letters = await desk.take_all(ids)
            for held in letters:
                await held.acknowledge()
                _log.info("dead-letter-discarded", because=because, **_facts(held.letter))
        return tuple(held.letter for held in letters)

    @asynccontextmanager
    async def _desk(self) -> AsyncIterator["_Desk"]:
        """All queues of dead letters, with nobody else at them."""
        async with AsyncExitStack() as stack:
            connections = {
                vhost: await stack.enter_async_context(_connected(self._url, name))
                for vhost, name in self._vhosts.items()
            }
            await _lock(connections[Vhost.MULTITENANT])
            boxes = [
                _Box(connection, vhost, queue)
                for vhost, connection in connections.items()
                for queue in self._topology.dead_letter_queues(vhost)
            ]
            yield await stack.enter_async_context(_Desk(boxes))


@dataclass(frozen=True, slots=True)
class _Held:
    """A letter in hand: it goes back unless it is acknowledged."""

    letter: Letter
    delivery: Delivery
    channel: AbstractChannel

    async def acknowledge(self) -> None:
        underlay = await self.channel.get_underlay_channel()
        with broker_trouble("take a dead letter away"):
            await underlay.basic_ack(self.delivery.tag)


class _Desk:
    """Where letters lie that were taken out of their queues, until it is cleared."""

    def __init__(self, boxes: Sequence["_Box"]) -> None:
        self._boxes = boxes

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for box in self._boxes:
            await box.put_back()

    @property
    def saw_all(self) -> bool:
        return all(box.saw_all for box in self._boxes)

    async def take(self, wanted: LetterFilter) -> AsyncIterator[_Held]:
        for box in self._boxes:
            async for held in box.take():
                if wanted.matches(held.letter):
                    yield held

    async def take_all(self, ids: Collection[str]) -> list[_Held]:
        """These letters, once all of them are found."""
        missing = set(ids)
        found = []
        async for held in self.take(ANY_LETTER):
            if held.letter.id in missing:
                missing.discard(held.letter.id)
                found.append(held)
            if not missing:
                return found
        raise UnknownDeadLetter(sorted(missing))


class _Box:
    """A queue of dead letters."""

    def __init__(self, connection: AbstractConnection, vhost: Vhost, name: str) -> None:
        self._connection = connection
        self._vhost = vhost
        self._name = name
        self._channel: AbstractChannel | None = None
        self.saw_all = True
        """False when the limit ended the last look."""

    async def take(self) -> AsyncIterator[_Held]:
        """The letters that lay there when the look began.

        Not those that came later: a letter that is sent back and dies again isn't met twice.
        """
        self._channel = await open_publishing_channel(self._connection)
        reader = LetterReader(self._vhost, self._name)
        with broker_trouble(f"look into {self._name}"):
            queue = await self._channel.get_queue(self._name)
        waiting = queue.declaration_result.message_count or 0
        self.saw_all = waiting <= LOOK_LIMIT
        for _ in range(min(waiting, LOOK_LIMIT)):
            with broker_trouble(f"look into {self._name}"):
                message = await queue.get(fail=False)
            if message is None:
                return
            delivery = Delivery.of(message, self._name)
            yield _Held(reader.read(delivery), delivery, self._channel)

    async def put_back(self) -> None:
        """All that was taken and not acknowledged."""
        if self._channel is not None and not self._channel.is_closed:
            with broker_trouble(f"put letters back into {self._name}"):
                await self._channel.close()


class _Pace:
    """Lets so many through per second."""

    def __init__(self, rate: float) -> None:
        if rate <= 0:
            raise ValueError(f"a rate is more than 0 letters per second, not {rate:g}")
        self._interval = 1.0 / rate
        self._next = 0.0

    async def wait(self) -> None:
        now = asyncio.get_running_loop().time()
        await asyncio.sleep(max(0.0, self._next - now))
        self._next = max(now, self._next) + self._interval


async def _replay(held: _Held, replay: Replay) -> None:
    letter = held.letter
    try:
        await _send_back(held)
    except DeadLetterError as error:
        replay.refused[letter.id] = error
        _log.warning("dead-letter-not-replayed", cause=str(error), **_facts(letter))
        return
    replay.replayed.append(letter.id)
    _log.info("dead-letter-replayed", **_facts(letter))


async def _send_back(held: _Held) -> None:
    letter = held.letter
    if letter.origin is None:
        raise UnknownOrigin(letter.id)
    message = replayed_message(held.delivery)
    try:
        await publish(held.channel, "", letter.origin, message, mandatory=True)
    except NotConfirmed as error:
        raise OriginGone(letter.id, letter.origin) from error
    await held.acknowledge()


@asynccontextmanager
async def _connected(url: str, vhost: str) -> AsyncIterator[AbstractConnection]:
    with broker_trouble("connect"):
        connection = await aio_pika.connect(vhost_url(url, vhost), timeout=CONNECT_SECONDS)
    async with connection:
        yield connection


async def _lock(connection: AbstractConnection) -> None:
    """Wait until this connection alone has the lock; it keeps it until it closes."""
    try:
        async with asyncio.timeout(LOCK_SECONDS):
            while not await _has_lock(connection):  # noqa: ASYNC110 - the broker tells nobody
                await asyncio.sleep(LOCK_RETRY_SECONDS)
    except TimeoutError as error:
        raise DeadLettersBusy(
            f"Somebody else has worked on the dead letters for {LOCK_SECONDS:g} s. Try again when "
            f"that has ended (the connection that holds the queue {LOCK_QUEUE})."
        ) from error


async def _has_lock(connection: AbstractConnection) -> bool:
    channel = await open_publishing_channel(connection)
    with broker_trouble("lock the dead letters"):
        try:
            await channel.declare_queue(LOCK_QUEUE, exclusive=True)
        except ChannelLockedResource:
            return False
    return True


def _facts(letter: Letter) -> dict[str, object]:
    """For the log: which letter it was."""
    return {
        "letter_id": letter.id,
        "queue": letter.queue,
        "origin": letter.origin,
        "reason": letter.reason,
        "tenant": letter.tenant,
        "order_id": letter.order_id,
        "correlation_id": letter.correlation_id,
    }
