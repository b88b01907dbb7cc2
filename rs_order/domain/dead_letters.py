"""Dead letters as values: messages that could not be handled, kept for an operator."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any


class LetterState(StrEnum):
    """The state of a dead letter."""

    OPEN = "open"
    """It waits for an operator."""
    REPLAYED = "replayed"
    """Its message was sent back to the queue that it came from."""
    DISCARDED = "discarded"
    GONE = "gone"
    """It was removed from its queue by something else, such as a tool of another service."""


@dataclass(frozen=True, slots=True)
class StoredDeadLetter:
    """A dead letter as the index has it. Headers and properties are JSON values."""

    id: str
    identity: str
    """The id in its header, or a digest. Equal messages without an id have the same identity."""
    vhost: str
    """``multitenant`` or ``instance``."""
    queue: str
    """The queue that holds it."""
    origin: str | None
    """The queue it came from, or None if no header names it."""
    reason: str
    """The value of a DeadLetterReason, or the broker's own reason (``rejected``, ``delivery-limit``)."""
    detail: str | None
    tenant: str | None
    order_id: int | None
    step: str | None
    """The name of the step, if it is one."""
    message_id: str | None
    correlation_id: str | None
    died_at: datetime | None
    times: int
    """The number of times it became a dead letter: once, and once more for each replay that failed."""
    body: bytes
    headers: Mapping[str, Any]
    properties: Mapping[str, Any]
    state: LetterState = LetterState.OPEN
    number: int = 0
    """The position in the list; the oldest has the lowest."""
    changed_at: datetime | None = None
    changed_by: str | None = None
    because: str | None = None

    def age_seconds(self, now: datetime) -> float | None:
        """Return the seconds since it became a dead letter, or None if no header says when."""
        return None if self.died_at is None else max(0.0, (now - self.died_at).total_seconds())


@dataclass(frozen=True, slots=True)
class DeadLetterFilter:
    """Selects open dead letters; a member that is None matches all."""

    tenant: str | None = None
    queue: str | None = None
    """The queue that holds it, or the queue it came from."""
    reason: str | None = None
    order_id: int | None = None
    step: str | None = None
    died_before: datetime | None = None


ANY_DEAD_LETTER = DeadLetterFilter()


class LetterAct(StrEnum):
    """The act of an operator on all dead letters that a filter selects."""

    REPLAY = "replay"
    DISCARD = "discard"


class RunState(StrEnum):
    """The state of an act on many dead letters."""

    RUNNING = "running"
    DONE = "done"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Operator:
    """The person who acts on dead letters."""

    name: str
    """The e-mail of a caller, or the user of the machine on which the command runs."""
    door: str
    """``rest`` or ``cli``."""
    tenant: str | None = None
    """The only tenant whose dead letters they may see; None: all, and those without a tenant."""
    role: str | None = None
    """The caller's role, by REST only."""
    correlation_id: str | None = None
    """Of the request."""


@dataclass(frozen=True, slots=True)
class LetterRun:
    """An act on all dead letters that a filter selects, in slices."""

    id: int
    act: LetterAct
    filter: DeadLetterFilter
    rate: float
    """Replays per second."""
    because: str | None
    operator: Operator
    state: RunState
    total: int
    """The number of dead letters that matched at the beginning."""
    done: int
    rejected: int
    rejections: Mapping[str, str]
    """The reasons of the first rejections, by the id of the dead letter."""
    last_number: int
    """Dead letters up to this one were handled."""
    up_to: int
    """Later ones are not part of the run, so that one that fails again isn't replayed twice."""
    created_at: datetime
    ended_at: datetime | None

    @property
    def left(self) -> int:
        """The number of dead letters that are still to be handled; some may have been taken by others."""
        if self.state is not RunState.RUNNING:
            return 0
        return max(0, self.total - self.done - self.rejected)
