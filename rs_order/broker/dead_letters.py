"""Lists, replays and discards dead letters for operators (architecture.md 8)."""

import asyncio
from collections.abc import Collection, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

import structlog

from rs_order.broker.dead_letter_session import (
    LOCK_SECONDS,
    DeadLetterSession,
    UnacknowledgedDeadLetter,
    open_session,
)
from rs_order.broker.errors import DeadLetterError, MissingOrigin, NotConfirmed, UnknownOrigin
from rs_order.broker.publishing import publish
from rs_order.broker.stored_dead_letters import StoredDeadLetter, replayed_message
from rs_order.broker.topology import Topology, Vhost

LIST_LIMIT = 1000
"""Dead letters in one list."""
DEFAULT_RATE = 50.0
"""Dead letters sent back per second."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class DeadLetterFilter:
    """Selects dead letters; a member that is None matches all."""

    tenant: str | None = None
    queue: str | None = None
    """The queue that holds it, or the queue it came from."""
    reason: str | None = None

    def matches(self, dead_letter: StoredDeadLetter) -> bool:
        return (
            self.tenant in (None, dead_letter.tenant)
            and self.queue in (None, dead_letter.queue, dead_letter.origin)
            and self.reason in (None, dead_letter.reason)
        )


ANY_DEAD_LETTER = DeadLetterFilter()


@dataclass(frozen=True, slots=True)
class DeadLetterList:
    """Dead letters that match."""

    dead_letters: tuple[StoredDeadLetter, ...]
    complete: bool
    """False if a limit ended the search and there may be more."""


@dataclass(slots=True)
class Replay:
    """The result of a replay."""

    replayed: list[str] = field(default_factory=list)
    rejected: dict[str, DeadLetterError] = field(default_factory=dict)
    """Dead letters that stay, and why: UnknownOrigin or MissingOrigin."""


class DeadLetters:
    """The dead letters of one installation. Only one operator at a time works on them.

    All methods raise DeadLettersBusy if another operator doesn't finish in time, and BrokerUnavailable.
    """

    def __init__(
        self,
        url: str,
        vhosts: Mapping[Vhost, str],
        topology: Topology,
        *,
        lock_seconds: float = LOCK_SECONDS,
    ) -> None:
        """Set where they are.

        Args:
            url: broker and credentials.
            vhosts: the names of both virtual hosts.
            topology: names the queues that hold dead letters.
            lock_seconds: how long to wait for another operator.
        """
        self._url = url
        self._vhosts = vhosts
        self._topology = topology
        self._lock_seconds = lock_seconds

    async def list(
        self, wanted: DeadLetterFilter = ANY_DEAD_LETTER, limit: int = LIST_LIMIT
    ) -> DeadLetterList:
        """Return the dead letters that match, queue by queue, ``limit`` at most."""
        found: list[StoredDeadLetter] = []
        async with self._session() as session:
            async for unacknowledged in session.read(wanted.matches):
                if len(found) == limit:
                    return DeadLetterList(tuple(found), complete=False)
                found.append(unacknowledged.dead_letter)
            return DeadLetterList(tuple(found), session.complete)

    async def find(self, letter_id: str) -> StoredDeadLetter:
        """Return one dead letter.

        Raises:
            UnknownDeadLetter: no dead letter has this id.
        """
        async with self._session() as session:
            found = await session.read_all([letter_id])
            return found[0].dead_letter

    async def replay(self, wanted: DeadLetterFilter, rate: float = DEFAULT_RATE) -> Replay:
        """Send dead letters back to the queues they came from, ``rate`` per second at most.

        A dead letter is acknowledged after the broker has confirmed its copy in the other queue. A crash
        in between leaves both; the inbox recognises the duplicate.
        """
        replay = Replay()
        pace = _Pace(rate)
        async with self._session() as session:
            async for unacknowledged in session.read(wanted.matches):
                await pace.wait()
                await _replay(unacknowledged, replay)
        return replay

    async def replay_each(self, ids: Collection[str], rate: float = DEFAULT_RATE) -> Replay:
        """Send the dead letters with these ids back.

        Raises:
            UnknownDeadLetter: an id doesn't exist; nothing was sent.
        """
        replay = Replay()
        pace = _Pace(rate)
        async with self._session() as session:
            for unacknowledged in await session.read_all(ids):
                await pace.wait()
                await _replay(unacknowledged, replay)
        return replay

    async def discard(self, ids: Collection[str], because: str) -> tuple[StoredDeadLetter, ...]:
        """Delete dead letters; the log keeps their facts and the operator's reason.

        Raises:
            UnknownDeadLetter: an id doesn't exist; nothing was deleted.
        """
        async with self._session() as session:
            found = await session.read_all(ids)
            for unacknowledged in found:
                await unacknowledged.acknowledge()
                _log.info(
                    "dead-letter-discarded", because=because, **_facts(unacknowledged.dead_letter)
                )
        return tuple(unacknowledged.dead_letter for unacknowledged in found)

    def _session(self) -> AbstractAsyncContextManager[DeadLetterSession]:
        return open_session(
            self._url, self._vhosts, self._topology, lock_seconds=self._lock_seconds
        )


class _Pace:
    """Limits a rate: waits until the next dead letter may be sent."""

    def __init__(self, rate: float) -> None:
        if rate <= 0:
            raise ValueError(f"a rate is more than 0 dead letters per second, not {rate:g}")
        self._interval = 1.0 / rate
        self._next = 0.0

    async def wait(self) -> None:
        now = asyncio.get_running_loop().time()
        await asyncio.sleep(max(0.0, self._next - now))
        self._next = max(now, self._next) + self._interval


async def _replay(unacknowledged: UnacknowledgedDeadLetter, replay: Replay) -> None:
    dead_letter = unacknowledged.dead_letter
    try:
        await _send_back(unacknowledged)
    except DeadLetterError as error:
        replay.rejected[dead_letter.id] = error
        _log.warning("dead-letter-not-replayed", cause=str(error), **_facts(dead_letter))
        return
    replay.replayed.append(dead_letter.id)
    _log.info("dead-letter-replayed", **_facts(dead_letter))


async def _send_back(unacknowledged: UnacknowledgedDeadLetter) -> None:
    dead_letter = unacknowledged.dead_letter
    if dead_letter.origin is None:
        raise UnknownOrigin(dead_letter.id)
    message = replayed_message(unacknowledged.delivery)
    try:
        await publish(unacknowledged.channel, "", dead_letter.origin, message, mandatory=True)
    except NotConfirmed as error:
        raise MissingOrigin(dead_letter.id, dead_letter.origin) from error
    await unacknowledged.acknowledge()


def _facts(dead_letter: StoredDeadLetter) -> dict[str, object]:
    """Return the log members that identify a dead letter."""
    return {
        "letter_id": dead_letter.id,
        "queue": dead_letter.queue,
        "origin": dead_letter.origin,
        "reason": dead_letter.reason,
        "tenant": dead_letter.tenant,
        "order_id": dead_letter.order_id,
        "correlation_id": dead_letter.correlation_id,
    }
