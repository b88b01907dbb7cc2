"""When an order, or a sub-order, is expected: as its owner may see it (faces.md Y-6 to Y-9)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from rs_order.domain.estimates import (
    Experience,
    Range,
    Silence,
    latest_of,
    rounded_down,
    rounded_up,
)
from rs_order.domain.reasons import (
    OrderFacts,
    ReasonCode,
    Request,
    SubOrderGroup,
    WaitingReason,
    code_of_group,
    reason_of_whole,
)
from rs_order.domain.states import SubOrderState

_CODE = ReasonCode
_WHY_OF_WHOLE: Final = {
    _CODE.PAUSED_BY_YOU: Silence.PAUSED,
    _CODE.PAUSED_BY_ADMINISTRATOR: Silence.PAUSED,
    _CODE.PAUSED_BY_SERVICE: Silence.PAUSED,
    _CODE.MAINTENANCE: Silence.MAINTENANCE,
    _CODE.CATALOG_UNREACHABLE: Silence.READING_CATALOG,
    _CODE.READING_CATALOG: Silence.READING_CATALOG,
    _CODE.RETRY_RUNNING: Silence.RETRY_RUNNING,
}
_WHY_OF_READY: Final = {
    _CODE.HELD: Silence.HELD,
    _CODE.YOUR_DOWNLOAD_NEEDED: Silence.DOWNLOAD_NEEDED,
    _CODE.SERVICE_LIMIT: Silence.SERVICE_LIMIT,
    _CODE.OTHERS_FIRST: Silence.OTHERS_FIRST,
}

LONGEST_PAUSE: Final = timedelta(minutes=5)
SHORTEST_PAUSE: Final = timedelta(seconds=5)
_SOON: Final = timedelta(seconds=10)
_SHORT: Final = frozenset({_CODE.READING_CATALOG, _CODE.RETRY_RUNNING, _CODE.REQUEST_QUEUED})
"""Reasons that pass within seconds."""

LONGEST_TIME: Final = timedelta(days=366)
"""No time further away is shown: nothing that was measured says so much."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """The experience with the storage of a tenant, and the bytes that it owes now."""

    experience: Experience
    awaited_bytes: int
    """Asked and not settled, of all owners."""
    late: bool
    """True if storage is late with many."""


@dataclass(frozen=True, slots=True)
class QueuePlace:
    """The place in the owner's queue of the last sub-order of an order."""

    bytes: int
    """Its own, and those of the owner's sub-orders before it that aren't asked yet."""
    processed: bool
    """True if one of the order's sub-orders in the queue is of a process."""


@dataclass(slots=True)  # a frozen one takes three times as long to create
class Expected:
    """The times between which an order is expected, rounded outward."""

    earliest: datetime
    latest: datetime
    level: float
    """The measured share of the last ranges that came true, rounded down."""
    samples: int
    """The number of ranges that it was measured from."""
    assumes_downloads: bool = False
    """True if the owner must download what is ready before all of it can be asked."""


Answer = Expected | Silence | None


@dataclass(frozen=True, slots=True)
class Expectations:
    """Gives expected times at an instant, from what is known of storage."""

    outlook: Outlook
    slots_per_user: int
    now: datetime

    def of_order(self, facts: OrderFacts, place: QueuePlace | None = None) -> Answer:
        """Return when the last file of an order is expected, or why there is no such time.

        None: the order isn't at work, or sub-orders of it aren't asked yet and ``place`` isn't given.
        """
        waits = any(group.state is SubOrderState.READY for group in facts.groups)
        return self._answer(facts, facts.groups, place, assumes=waits and self.slots_per_user > 0)

    def of_sub_order(self, facts: OrderFacts, sub_order: SubOrderGroup) -> Answer:
        """Return when a sub-order is expected; None unless storage or a process is at work for it."""
        at_work = sub_order.state in (SubOrderState.RUNNING, SubOrderState.PROCESSING)
        return self._answer(facts, [sub_order]) if at_work else None

    def _answer(
        self,
        facts: OrderFacts,
        groups: Sequence[SubOrderGroup],
        place: QueuePlace | None = None,
        *,
        assumes: bool = False,
    ) -> Answer:
        if not facts.unfinished:
            return None
        whole = reason_of_whole(facts)
        if whole is not None:
            return _WHY_OF_WHOLE[whole.code]
        known: list[Range | Silence] = []
        for group in groups:
            parts = self._of_group(facts, group, place)
            if parts is None:
                return None
            known += parts
        # Without a part its last sub-order was settled: the step that ends the order is on its way.
        return self._shown(latest_of(known), assumes=assumes) if known else Silence.READING_CATALOG

    def _of_group(
        self, facts: OrderFacts, group: SubOrderGroup, place: QueuePlace | None
    ) -> Sequence[Range | Silence] | None:
        """Return the times of a group, in seconds from now; None if the place in the queue isn't known."""
        match group.state:
            case SubOrderState.RUNNING if not group.processed:
                late = self.outlook.late or group.late_since is not None
                return [self._of_request(request, late=late) for request in group.requests]
            case SubOrderState.RUNNING | SubOrderState.PROCESSING:
                return [Silence.PROCESS_RUNNING]
            case SubOrderState.READY:
                ready = self._of_ready(facts, group, place)
                return None if ready is None else [ready]
        return []

    def _of_request(self, request: Request, *, late: bool) -> Range | Silence:
        elapsed = (self.now - request.asked_at).total_seconds()
        found = self.outlook.experience.answer(request.guess, late=late, elapsed=max(0.0, elapsed))
        if isinstance(found, Silence):
            return found
        return Range(found.earliest - elapsed, found.latest - elapsed)

    def _of_ready(
        self, facts: OrderFacts, group: SubOrderGroup, place: QueuePlace | None
    ) -> Range | Silence | None:
        code = code_of_group(facts, group, self.slots_per_user)
        if code in _WHY_OF_READY:
            return _WHY_OF_READY[code]
        if not group.needs_slot:
            return Silence.PROCESS_RUNNING
        if place is None:
            return None
        if place.processed:
            return Silence.PROCESS_RUNNING
        experience = self.outlook.experience
        guess = experience.guess(self.outlook.awaited_bytes, place.bytes)
        return experience.answer(guess, late=self.outlook.late)

    def _shown(self, found: Range | Silence, *, assumes: bool) -> Expected | Silence:
        """Return a range as instants, rounded outward."""
        if isinstance(found, Silence):
            return found
        if found.latest > LONGEST_TIME.total_seconds():
            return Silence.BEYOND_EXPERIENCE
        experience = self.outlook.experience
        return Expected(
            earliest=rounded_down(self.now + timedelta(seconds=found.earliest), self.now),
            latest=rounded_up(self.now + timedelta(seconds=found.latest), self.now),
            level=experience.level or 0.0,  # it is known, else there is no range
            samples=experience.outcomes,
            assumes_downloads=assumes,
        )


def pause_until_next_check(
    reason: WaitingReason, answer: Answer, expectations: Expectations
) -> timedelta:
    """Return how long a client should wait before it asks again, 5 s to 5 minutes (faces.md Y-9).

    An earliest time that has come says nothing: the files may still take hours.
    """
    now = expectations.now
    pauses = [_SOON if reason.code in _SHORT else LONGEST_PAUSE]
    if reason.due_at is not None:
        pauses.append(reason.due_at - now)
    if isinstance(answer, Expected) and answer.earliest > now:
        pauses.append(answer.earliest - now)
    return max(SHORTEST_PAUSE, min(pauses))
