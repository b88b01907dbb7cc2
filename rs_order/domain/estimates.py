"""When a sub-order will be back from tape: ranges learnt from earlier sub-orders (faces.md 10.3).

The speed of storage isn't known, so it is measured. A first guess comes from the bytes that are awaited. The
ratios of earlier true times to their guesses give the range around a new guess. Where no range would be
honest, the answer is the reason. Times in this module are seconds.
"""

import math
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

ONLINE: Final = 60.0
"""A sub-order whose files were all answered within this time needed no tape, and gives no sample."""
KEPT_SAMPLES: Final = 2000
LEAST_RATIOS: Final = 50
"""With fewer there is no range."""
LEAST_LEVEL: Final = 0.6
"""If a smaller share of the last ranges came true, none is shown."""
MEASURED: Final = 500
"""The last outcomes that the level is measured from."""

_RATIOS = 300
_HALF_LIFE = 6 * 3600.0
_LONGEST_LATENCY = 15 * 60.0
_LATENCY_WEIGHT = 0.02
_NOMINAL_MISSES = 0.1
_FIRST_TAIL = 0.05
_LARGEST_TAIL = 0.25
_TAIL_STEP = 0.02
_LEVEL_STEP = 0.05
_LEAST_LATE = 2
_LATE_SHARE = 0.1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_STEPS = (
    (timedelta(hours=2), timedelta(minutes=5)),
    (timedelta(days=1), timedelta(minutes=30)),
)
"""A time that is nearer than the first value is rounded to the second one."""
_LONGEST_STEP = timedelta(hours=6)


class Silence(StrEnum):
    """Why there is no expected time; the first that applies to an order is its reason."""

    PAUSED = "paused"
    MAINTENANCE = "maintenance"
    READING_CATALOG = "reading-catalog"
    RETRY_RUNNING = "retry-running"
    HELD = "held"
    DOWNLOAD_NEEDED = "your-download-needed"
    SERVICE_LIMIT = "service-limit"
    OTHERS_FIRST = "others-first"
    PROCESS_RUNNING = "process-running"
    STORAGE_LATE = "storage-late"
    NO_HISTORY = "no-history"
    UNRELIABLE = "unreliable"
    BEYOND_EXPERIENCE = "beyond-experience"


class Outcome(StrEnum):
    """How a true time compares with the range that was given for it."""

    INSIDE = "inside"
    EARLY = "early"
    LATE = "late"
    NONE = "none"


@dataclass(slots=True)  # a frozen one takes three times as long to create
class Range:
    """The times between which a sub-order is expected, in seconds after it was asked."""

    earliest: float
    latest: float

    def outcome(self, took: float) -> Outcome:
        """Compare with the true time."""
        if took < self.earliest:
            return Outcome.EARLY
        return Outcome.LATE if took > self.latest else Outcome.INSIDE


@dataclass(frozen=True, slots=True)
class Sample:
    """A sub-order that storage has settled, with what was expected when it was asked."""

    asked_at: datetime
    settled_at: datetime
    bytes: int
    guess: float | None = None
    """None: nothing was known about storage."""
    expected: Range | None = None
    files: int = 1
    storage: str | None = None
    """The storage that the files came from, as its events name it."""

    @property
    def took(self) -> float:
        return (self.settled_at - self.asked_at).total_seconds()

    @property
    def outcome(self) -> Outcome:
        """Return how the range given at the request came true."""
        return self.expected.outcome(self.took) if self.expected else Outcome.NONE


@dataclass(frozen=True, slots=True)
class Experience:
    """The parameters of the method, learnt from samples."""

    rate: float = 0.0
    """Bytes per second while something was awaited; 0: unknown."""
    latency: float = 0.0
    """Time that even a small sub-order takes."""
    ratios: tuple[float, ...] = ()
    """Of the last samples, ascending."""
    tail: float = _FIRST_TAIL
    """The share of the ratios that a range leaves out at either end."""
    outcomes: int = 0
    """The number of ranges that the level is measured from."""
    level: float | None = None
    """The measured share of ranges that came true, rounded down; None: too small for a range to be shown."""

    def guess(self, before: int, size: int) -> float | None:
        """Return the first guess for so many bytes; ``before``: bytes that are awaited already."""
        return self.latency + (before + size) / self.rate if self.rate > 0 else None

    def range(self, guess: float | None, elapsed: float = 0.0) -> Range | Silence:
        """Return the range around a guess, of a sub-order that has waited for ``elapsed``.

        The caller shows it only if ``level`` is known; it is measured in any case.
        """
        if guess is None or len(self.ratios) < LEAST_RATIOS:
            return Silence.NO_HISTORY
        first = bisect_right(self.ratios, elapsed / guess) if elapsed else 0
        if first == len(self.ratios):
            return Silence.BEYOND_EXPERIENCE
        low = _quantile(self.ratios, first, self.tail)
        high = _quantile(self.ratios, first, 1 - self.tail)
        return Range(guess * low, guess * high)

    def answer(self, guess: float | None, *, late: bool, elapsed: float = 0.0) -> Range | Silence:
        """Return the range as users may see it: only if enough of the last ranges came true.

        ``late``: storage is late with this sub-order, or with many.
        """
        if late:
            return Silence.STORAGE_LATE
        found = self.range(guess, elapsed)
        if isinstance(found, Range) and self.level is None:
            return Silence.NO_HISTORY if self.outcomes < LEAST_RATIOS else Silence.UNRELIABLE
        return found


NO_EXPERIENCE: Final = Experience()


def learn(samples: Iterable[Sample]) -> Experience:
    """Return what samples tell, whatever their order; the last 2000 are enough."""
    known = _by_end(samples)
    if not known:
        return NO_EXPERIENCE
    ratios = [sample.took / sample.guess for sample in known if sample.guess]
    results = [sample.outcome for sample in known if sample.expected][-MEASURED:]
    return Experience(
        rate=_rate(known),
        latency=_latency(known),
        ratios=tuple(sorted(ratios[-_RATIOS:])),
        tail=_tails(known)[-1],
        outcomes=len(results),
        level=_level(results),
    )


class Hindsight:
    """The knowledge of an earlier moment, to measure the ranges that were given then."""

    def __init__(self, samples: Iterable[Sample]) -> None:
        known = _by_end(samples)
        guessed = [sample for sample in known if sample.guess]
        tails = _tails(known)
        self._ends = array("d", (sample.settled_at.timestamp() for sample in known))
        self._tails = array("d", tails)
        self._ratio_ends = array("d", (sample.settled_at.timestamp() for sample in guessed))
        self._ratios = array("d", (sample.took / (sample.guess or 1.0) for sample in guessed))

    def at_half(self, sample: Sample) -> Outcome:
        """Return how the range came true that was given at half of the sample's time."""
        elapsed = sample.took / 2
        if sample.expected is None or elapsed > sample.expected.latest:
            return Outcome.NONE
        moment = sample.asked_at.timestamp() + elapsed
        last = bisect_right(self._ratio_ends, moment)
        ratios = tuple(sorted(self._ratios[max(0, last - _RATIOS) : last]))
        known = Experience(ratios=ratios, tail=self._tails[bisect_right(self._ends, moment)])
        found = known.range(sample.guess, elapsed)
        return found.outcome(sample.took) if isinstance(found, Range) else Outcome.NONE


def storage_is_late(*, late: int, awaited: int) -> bool:
    """True if so many awaited sub-orders are past their upper end that storage has changed its pace (Y-7).

    Both numbers count only sub-orders that have an upper end.
    """
    return late >= _LEAST_LATE and late >= _LATE_SHARE * awaited


def latest_of(parts: Sequence[Range | Silence]) -> Range | Silence:
    """Return the answer for an order: that of its latest part, or the first reason if one has no answer.

    The parts count from the same instant. There is at least one.
    """
    if len(parts) == 1:
        return parts[0]
    silent = {part for part in parts if isinstance(part, Silence)}
    if silent:
        return next(reason for reason in Silence if reason in silent)
    ranges = [part for part in parts if isinstance(part, Range)]
    return Range(max(one.earliest for one in ranges), max(one.latest for one in ranges))


def rounded_down(at: datetime, now: datetime) -> datetime:
    """Return an earliest time as it is shown (Y-8). One that has passed counts as now."""
    coming = max(at, now)
    return coming - (coming - _EPOCH) % _step(coming - now)


def rounded_up(at: datetime, now: datetime) -> datetime:
    """Return a latest time as it is shown (Y-8)."""
    return at + (_EPOCH - at) % _step(at - now)


def _step(away: timedelta) -> timedelta:
    """Return the step that a time so far away is rounded to."""
    for limit, step in _STEPS:
        if away < limit:
            return step
    return _LONGEST_STEP


def _rate(known: Sequence[Sample]) -> float:
    """Return bytes over the time during which something was awaited; both halve in 6 hours."""
    last = known[-1].settled_at
    size = sum(one.bytes * _weight(one.settled_at, last) for one in known)
    return size / _awaited_time(known, last)


def _awaited_time(known: Iterable[Sample], last: datetime) -> float:
    """Return the weighted time in which at least one of the samples was awaited."""
    total = 0.0
    until: datetime | None = None
    for one in sorted(known, key=lambda sample: sample.asked_at):
        begin = one.asked_at if until is None else max(one.asked_at, until)
        if one.settled_at > begin:
            total += _weight(one.settled_at, last) - _weight(begin, last)
            until = one.settled_at
    return max(1.0, total * _HALF_LIFE / math.log(2))


def _weight(at: datetime, last: datetime) -> float:
    return math.exp2(-((last - at).total_seconds()) / _HALF_LIFE)


def _latency(known: Sequence[Sample]) -> float:
    """Return the slow average of the times of sub-orders that waited behind one other at most."""
    asked = sorted(one.asked_at for one in known)
    settled = [one.settled_at for one in known]
    average = 0.0
    counted = 0
    for one in known:
        under_way = bisect_left(asked, one.asked_at) - bisect_right(settled, one.asked_at)
        if under_way <= 1:
            counted += 1
            weight = max(_LATENCY_WEIGHT, 1 / counted)
            average += weight * (min(one.took, _LONGEST_LATENCY) - average)
    return average


def _by_end(samples: Iterable[Sample]) -> list[Sample]:
    return sorted(samples, key=lambda sample: sample.settled_at)[-KEPT_SAMPLES:]


def _tails(known: Iterable[Sample]) -> list[float]:
    """Return the quantile level before the first sample and after each.

    Outcomes move it so that about a tenth of the ranges is missed.
    """
    tails = [_FIRST_TAIL]
    for one in known:
        tail = tails[-1]
        if one.expected:
            missed = one.outcome is not Outcome.INSIDE
            tail = min(max(tail - _TAIL_STEP * (missed - _NOMINAL_MISSES), 0.0), _LARGEST_TAIL)
        tails.append(tail)
    return tails


def _level(results: Sequence[Outcome]) -> float | None:
    """Return the share inside in steps of 0.05. With fewer than 50 outcomes, the others count as missed."""
    share = results.count(Outcome.INSIDE) / max(len(results), LEAST_RATIOS)
    level = round(math.floor(share / _LEVEL_STEP + 1e-9) * _LEVEL_STEP, 2)
    return level if level >= LEAST_LEVEL else None


def _quantile(ascending: Sequence[float], first: int, level: float) -> float:
    """Return the quantile of sorted numbers from the first that counts, between the two that are nearest."""
    position = level * (len(ascending) - 1 - first)
    below = math.floor(position)
    low = ascending[first + below]
    high = ascending[min(first + below + 1, len(ascending) - 1)]
    return low + (position - below) * (high - low)
