"""Lists, replays, corrects and discards dead letters.

A replay is one commit: the dead letter becomes ``replayed``, and an outbox row publishes its message to the
queue that it came from. So an interrupted replay loses nothing and doubles nothing, and only one of two
operators replays a dead letter. The watcher then deletes it from its queue.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from uuid import UUID

import structlog

from rs_order.broker.stored_dead_letters import replay_content
from rs_order.contracts.dead_letter_bodies import DEFAULT_RATE, MOST_IDS
from rs_order.core.errors import DeadLetterRejected, InvalidInput, UnknownDeadLetter
from rs_order.domain.dead_letters import (
    DeadLetterFilter,
    LetterState,
    Operator,
    StoredDeadLetter,
)
from rs_order.domain.identity import INSTANCE
from rs_order.domain.ids import Tenant
from rs_order.ports import Clock, MessageKind
from rs_order.store.audit import AuditAction, AuditActor, AuditEntry, Door
from rs_order.store.dead_letters import DeadLetterStore, DeadLetterUnit
from rs_order.store.outbox import OutgoingMessage

BodyCheck = Callable[[bytes], Sequence[str]]
"""Returns what is wrong with the body of a message: one sentence for each member, with its name."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class LetterPage:
    """A page of a list."""

    letters: Sequence[StoredDeadLetter]
    more: bool
    """True if there are more after the last one."""


@dataclass(slots=True)
class Handled:
    """The result of a replay or a discard."""

    done: list[str] = field(default_factory=list)
    rejected: dict[str, str] = field(default_factory=dict)
    """Dead letters that stay as they are, and why."""
    messages: list[UUID] = field(default_factory=list)
    """The ids of the outbox rows, by which the relay's progress can be followed."""


class DeadLetterActs:
    """The acts of operators on single dead letters. Each method raises StoreError."""

    def __init__(
        self, store: DeadLetterStore, clock: Clock, checks: Mapping[str, BodyCheck]
    ) -> None:
        """``checks`` has the contract of each queue of this service, for corrected bodies."""
        self._store = store
        self._clock = clock
        self._checks = checks

    async def list(
        self, wanted: DeadLetterFilter, operator: Operator, limit: int, after: str | None = None
    ) -> LetterPage:
        """Return open dead letters that match, the oldest first.

        Args:
            wanted: selects them.
            operator: sees only those of their tenant, if they have one.
            limit: the most on the page.
            after: the id of the last one on the page before; None: the first page.

        Raises:
            UnknownDeadLetter: no dead letter has the id ``after``.
        """
        async with self._store.unit() as unit:
            start = (await _find(unit, [after], operator))[0].number if after else 0
            letters = await unit.page(visible(wanted, operator), limit + 1, after=start)
        return LetterPage(letters[:limit], more=len(letters) > limit)

    async def count(self, wanted: DeadLetterFilter, operator: Operator) -> int:
        """Return how many open dead letters match that the operator may see.

        Raises:
            InvalidInput: the filter names another project than the operator's.
        """
        async with self._store.unit() as unit:
            letters, _ = await unit.count(visible(wanted, operator))
        return letters

    async def find(self, letter_id: str, operator: Operator) -> StoredDeadLetter:
        """Return a dead letter in any state.

        Raises:
            UnknownDeadLetter: the operator can see no dead letter with this id.
        """
        async with self._store.unit() as unit:
            (letter,) = await _find(unit, [letter_id], operator)
        return letter

    async def replay(
        self, ids: Collection[str], operator: Operator, rate: float = DEFAULT_RATE
    ) -> Handled:
        """Send dead letters back to the queues that they came from, ``rate`` per second at most.

        Raises:
            UnknownDeadLetter: an id doesn't exist; nothing was changed.
        """
        async with self._store.unit() as unit:
            letters = await _find(unit, _unique(ids), operator, lock=True)
            result = await replay_letters(unit, letters, operator, self._clock.now(), rate)
        log_replay(letters, result, operator)
        return result

    async def replay_corrected(self, letter_id: str, body: bytes, operator: Operator) -> Handled:
        """Send one dead letter back with another body.

        Raises:
            UnknownDeadLetter: the id doesn't exist.
            InvalidInput: the body breaks the contract of the queue; a message names each member.
            DeadLetterRejected: see the text.
        """
        async with self._store.unit() as unit:
            (letter,) = await _find(unit, [letter_id], operator, lock=True)
            self.check(letter, body)
            result = await replay_letters(
                unit, [replace(letter, body=body)], operator, self._clock.now(), DEFAULT_RATE
            )
            if result.rejected:
                raise DeadLetterRejected(result.rejected[letter.id])
            await unit.audit([_correction(letter, body, operator)])
        log.info("dead-letter-corrected", user=operator.name, **_facts(letter))
        log_replay([letter], result, operator)
        return result

    def check(self, letter: StoredDeadLetter, body: bytes) -> None:
        """Check a body against the contract of the queue that the dead letter came from.

        Raises:
            InvalidInput: it breaks the contract; a message names each member.
        """
        check = self._checks.get(letter.origin or "")
        faults = check(body) if check else ()
        if faults:
            raise InvalidInput(*faults)

    async def discard(
        self, ids: Collection[str], operator: Operator, because: str
    ) -> Sequence[StoredDeadLetter]:
        """Discard dead letters; index and log keep their facts and the operator's reason.

        Raises:
            UnknownDeadLetter: an id doesn't exist; nothing was changed.
            DeadLetterRejected: one was replayed or discarded before; nothing was changed.
        """
        async with self._store.unit() as unit:
            letters = await _find(unit, _unique(ids), operator, lock=True)
            for letter in letters:
                if letter.state is not LetterState.OPEN:
                    raise DeadLetterRejected(_closed(letter))
            await discard_letters(unit, letters, operator, self._clock.now(), because)
        log_discards(letters, operator, because)
        return letters

    async def waiting(self, message_ids: Sequence[UUID]) -> int:
        """Return how many replayed messages no relay has published so far."""
        async with self._store.unit() as unit:
            return await unit.waiting(message_ids)


def visible(wanted: DeadLetterFilter, operator: Operator) -> DeadLetterFilter:
    """Return the filter, restricted to the dead letters that the operator may see."""
    if operator.tenant is None or wanted.tenant == operator.tenant:
        return wanted
    if wanted.tenant is None:
        return replace(wanted, tenant=operator.tenant)
    raise InvalidInput(f"tenant: only dead letters of {operator.tenant} can be seen")


async def replay_letters(
    unit: DeadLetterUnit,
    letters: Sequence[StoredDeadLetter],
    operator: Operator,
    now: datetime,
    rate: float,
) -> Handled:
    """Replay locked dead letters within a transaction. Their messages are due one after the other."""
    missing = await unit.missing_queues()
    result = Handled()
    messages, entries = list[OutgoingMessage](), list[AuditEntry]()
    for letter in letters:
        if reason := _rejection(letter, missing):
            result.rejected[letter.id] = reason
            continue
        due_at = now + timedelta(seconds=len(messages) / rate)
        messages.append(_message(letter, due_at if messages else None))
        entries.append(_entry(letter, LetterState.REPLAYED, operator))
        result.done.append(letter.id)
    result.messages += [message.message_id for message in messages]
    await unit.send(messages)
    await unit.close(result.done, LetterState.REPLAYED, now, operator.name, None)
    await unit.audit(entries)
    return result


async def discard_letters(
    unit: DeadLetterUnit,
    letters: Sequence[StoredDeadLetter],
    operator: Operator,
    now: datetime,
    because: str,
) -> Handled:
    """Discard locked dead letters, which are open, within a transaction."""
    ids = [letter.id for letter in letters]
    await unit.close(ids, LetterState.DISCARDED, now, operator.name, because)
    await unit.audit([_entry(one, LetterState.DISCARDED, operator, because) for one in letters])
    return Handled(ids)


def log_replay(letters: Sequence[StoredDeadLetter], result: Handled, operator: Operator) -> None:
    """Write a line for each dead letter of a committed replay."""
    replayed = set(result.done)
    for letter in letters:
        if letter.id in replayed:
            log.info("dead-letter-replayed", user=operator.name, **_facts(letter))
        else:
            cause = result.rejected[letter.id]
            log.warning("dead-letter-not-replayed", cause=cause, **_facts(letter))


def log_discards(letters: Sequence[StoredDeadLetter], operator: Operator, because: str) -> None:
    """Write a line for each dead letter that was discarded."""
    for letter in letters:
        log.info("dead-letter-discarded", because=because, user=operator.name, **_facts(letter))


async def _find(
    unit: DeadLetterUnit, ids: Sequence[str], operator: Operator, *, lock: bool = False
) -> list[StoredDeadLetter]:
    """Return the dead letters with these ids that the operator may see.

    Raises:
        UnknownDeadLetter: there is none with one of the ids.
    """
    found = [
        letter
        for letter in await unit.find(ids, lock=lock)
        if operator.tenant in (None, letter.tenant)
    ]
    unknown = sorted(set(ids) - {letter.id for letter in found})
    if unknown:
        raise UnknownDeadLetter(unknown)
    return found


def _unique(ids: Collection[str]) -> list[str]:
    """Return the ids once each.

    Raises:
        InvalidInput: there are too many for one commit.
    """
    unique = list(dict.fromkeys(ids))
    if len(unique) > MOST_IDS:
        raise InvalidInput(f"ids: at most {MOST_IDS} can be named; use a filter for more")
    return unique


def _rejection(letter: StoredDeadLetter, missing: Collection[tuple[str, str]]) -> str | None:
    """Return why a dead letter can't be replayed, or None if it can."""
    if letter.state is not LetterState.OPEN:
        return _closed(letter)
    if letter.origin is None:
        return (
            f"Dead letter {letter.id} does not say which queue it came from (neither x-death-queue nor "
            "x-death): publish its body by hand, or discard it."
        )
    if (letter.vhost, letter.origin) in missing:
        return (
            f"Dead letter {letter.id} came from {letter.origin}, which does not exist: start the service "
            "that owns it, or discard it."
        )
    return None


def _closed(letter: StoredDeadLetter) -> str:
    if letter.state is LetterState.GONE:
        return f"Dead letter {letter.id} is not in its queue any more: something else removed it."
    at = letter.changed_at.isoformat(timespec="seconds") if letter.changed_at else "an unknown time"
    return f"Dead letter {letter.id} was {letter.state} by {letter.changed_by} at {at}."


def _message(letter: StoredDeadLetter, due_at: datetime | None) -> OutgoingMessage:
    return OutgoingMessage(
        kind=MessageKind.REPLAY,
        tenant=Tenant(letter.tenant) if letter.tenant else INSTANCE,
        body=replay_content(letter, letter.body),
        due_at=due_at,
    )


_ACTIONS = {
    LetterState.REPLAYED: AuditAction.DEAD_LETTER_REPLAYED,
    LetterState.DISCARDED: AuditAction.DEAD_LETTER_DISCARDED,
}


def _entry(
    letter: StoredDeadLetter, state: LetterState, operator: Operator, because: str | None = None
) -> AuditEntry:
    """Return the audit entry of a replay or a discard. It names the message, not its content."""
    facts = {name: value for name, value in _facts(letter).items() if value is not None}
    return AuditEntry(
        action=_ACTIONS[state],
        by=_actor(operator),
        tenant=Tenant(letter.tenant) if letter.tenant else None,
        object_id=letter.id,
        before={**facts, "state": letter.state},
        after={"state": state},
        reason=because,
    )


def _correction(letter: StoredDeadLetter, body: bytes, operator: Operator) -> AuditEntry:
    return AuditEntry(
        action=AuditAction.DEAD_LETTER_CORRECTED,
        by=_actor(operator),
        tenant=Tenant(letter.tenant) if letter.tenant else None,
        object_id=letter.id,
        before={"body": letter.body.decode(errors="backslashreplace")},
        after={"body": body.decode(errors="backslashreplace")},
    )


def _actor(operator: Operator) -> AuditActor:
    return AuditActor(operator.name, Door(operator.door), operator.role, operator.correlation_id)


def _facts(letter: StoredDeadLetter) -> dict[str, object]:
    """Return the log members that identify a dead letter."""
    return {
        "letter_id": letter.id,
        "queue": letter.queue,
        "origin": letter.origin,
        "reason": letter.reason,
        "tenant": letter.tenant,
        "order_id": letter.order_id,
        "correlation_id": letter.correlation_id,
    }
