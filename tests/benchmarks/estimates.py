"""The ranges in which sub-orders are expected back from tape, against simulated drives.

For each manner of storage: the share of sub-orders that end inside the range given when they were asked,
and inside the one given at half of their time, how wide the ranges are, and the share of sub-orders without
a range. The first sub-orders, from which the method learns, are left out. During an outage of a day, every
ten minutes, the benchmark counts the waiting sub-orders that still show an upper end after twice that time.

Time is simulated, so the figures don't depend on the machine, and no server is needed. The method is
[`rs_order/domain/estimates.py`](../rs_order/domain/estimates.py).
"""

import random
import statistics
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from rs_order.domain.estimates import (
    NO_EXPERIENCE,
    ONLINE,
    Experience,
    Outcome,
    Range,
    Sample,
    learn,
    storage_is_late,
)
from tests.benchmarks.report import Figure, Report, Target
from tests.benchmarks.simulated_drives import DAY, HOUR, Manner, Simulation, Storage, User

MANNERS = (
    Manner("steady"),
    Manner("tape beside disk", on_disk=0.8),
    Manner("shared drives", others_per_hour=12),
    Manner("slower by the hour", by_hour=True),
)
OUTAGE = Manner("outage of a day", outage=(6 * DAY, 7 * DAY))
_BEGAN = datetime(2026, 1, 5, tzinfo=UTC)
LEARNING = 200
"""Sub-orders that are left out at the beginning."""


@dataclass(frozen=True, eq=False)
class Asked:
    """A sub-order that storage is asked for."""

    at: float
    size: float
    guess: float | None
    expected: Range | None


@dataclass
class Observed:
    """What a service sees of a storage, and what it expected."""

    simulation: Simulation
    storage: Storage
    awaited: set[Asked] = field(default_factory=set)
    settled: list[tuple[Sample, Outcome]] = field(default_factory=list)
    """With the outcome of the range given at half of the time."""
    experiences: list[tuple[float, Experience]] = field(
        default_factory=lambda: [(0.0, NO_EXPERIENCE)]
    )
    kept_after_two_upper_ends: int = 0

    def ask(self, size: float, done: Callable[[], None]) -> None:
        """Ask storage for a sub-order, and note when it is expected."""
        experience = self._experience()
        guess = experience.guess(int(sum(one.size for one in self.awaited)), int(size))
        expected = experience.range(guess)
        shown = expected if isinstance(expected, Range) and not self._late() else None
        asked = Asked(self.simulation.now, size, guess, shown)
        self.awaited.add(asked)

        def settle() -> None:
            self._settle(asked)
            done()

        self.storage.restore(size, settle)

    def _settle(self, asked: Asked) -> None:
        self.awaited.remove(asked)
        took = self.simulation.now - asked.at
        if took < ONLINE:
            return
        sample = Sample(
            _instant(asked.at),
            _instant(self.simulation.now),
            int(asked.size),
            asked.guess,
            asked.expected,
        )
        self.settled.append((sample, self._at_half(asked, took)))

    def _at_half(self, asked: Asked, took: float) -> Outcome:
        """Return how the range given at half of the time came true, with what was known then."""
        known = bisect_right(self.experiences, asked.at + took / 2, key=lambda one: one[0])
        late = asked.expected is None or took / 2 > asked.expected.latest
        answer = self.experiences[known - 1][1].range(asked.guess, took / 2)
        return answer.outcome(took) if isinstance(answer, Range) and not late else Outcome.NONE

    def _experience(self) -> Experience:
        """Return what was learnt, a minute ago at most."""
        at, known = self.experiences[-1]
        if self.simulation.now - at < 60:
            return known
        learnt = learn([sample for sample, _ in self.settled[-2000:]])
        self.experiences.append((self.simulation.now, learnt))
        return learnt

    def _late(self) -> bool:
        ranges = [(one, one.expected) for one in self.awaited if one.expected]
        late = sum(self.simulation.now - one.at > given.latest for one, given in ranges)
        return storage_is_late(late=late, awaited=len(ranges))

    def check_outage(self) -> None:
        """Count the sub-orders that still show an upper end after twice that time."""
        for one in self.awaited:
            elapsed = self.simulation.now - one.at
            upper = one.expected.latest if one.expected else 0.0
            late = self._late() or elapsed > upper
            answer = self._experience().answer(one.guess, late=late, elapsed=elapsed)
            self.kept_after_two_upper_ends += isinstance(answer, Range) and elapsed > 2 * upper
        self.simulation.after(600, self.check_outage)


def observe(manner: Manner, sub_orders: int, seed: int) -> Observed:
    """Simulate until so many sub-orders that needed tape have ended."""
    chance = random.Random(seed)  # noqa: S311 - a simulation
    simulation = Simulation()
    observed = Observed(simulation, Storage(manner, simulation, chance))
    for batch, pause in ((3, 5 * HOUR), (6, 7 * HOUR), (60, 12 * HOUR)):
        User(simulation, chance, observed.ask, batch=batch, pause=pause)
    if manner.outage:
        simulation.after(manner.outage[0], observed.check_outage)
    while len(observed.settled) < sub_orders:
        simulation.step()
    return observed


@dataclass(frozen=True)
class Shares:
    """The outcomes of sub-orders that ended after the method had learnt."""

    inside: float
    """Of those with a range."""
    inside_at_half: float
    without: float
    width: float
    """Median of upper over lower end."""


def shares_of(settled: Sequence[tuple[Sample, Outcome]]) -> Shares:
    given = [(one, one.expected) for one, _ in settled if one.expected]
    at_half = [half for _, half in settled if half is not Outcome.NONE]
    return Shares(
        inside=sum(one.outcome is Outcome.INSIDE for one, _ in given) / max(1, len(given)),
        inside_at_half=at_half.count(Outcome.INSIDE) / max(1, len(at_half)),
        without=1 - len(given) / len(settled),
        width=statistics.median(
            [wide.latest / max(1.0, wide.earliest) for _, wide in given] or [0.0]
        ),
    )


async def measure(quick: bool, size: int = 800) -> Report:
    """Simulate each manner with several seeds; ``size``: sub-orders of a run."""
    sub_orders, seeds = (LEARNING + 60, range(1)) if quick else (LEARNING + size, range(5))
    figures: list[Figure] = []
    targets: list[Target] = []
    for manner in MANNERS:
        runs = [observe(manner, sub_orders, seed).settled[LEARNING:] for seed in seeds]
        shares = [shares_of(run) for run in runs]
        figures += _figures(manner, shares)
        targets += _targets(manner, shares)
    kept, outage = _outage(sub_orders, seeds)
    return Report(
        [*figures, *_figures(OUTAGE, outage)],
        [
            *targets,
            Target("an upper end shown after twice its time, outage", kept, 0, at_least=False),
        ],
        notes=[
            f"{sub_orders - LEARNING} sub-orders after {LEARNING} to learn from, {len(seeds)} seeds",
            "3 users, one with up to 60 sub-orders at once; 5 to 50 GB each, on 1 to 4 tapes; 3 drives",
        ],
    )


def _outage(sub_orders: int, seeds: Iterable[int]) -> tuple[int, list[Shares]]:
    """Return the sub-orders that showed an upper end for too long, and the shares of the runs."""
    runs = [observe(OUTAGE, sub_orders, seed) for seed in seeds]
    kept = sum(run.kept_after_two_upper_ends for run in runs)
    return kept, [shares_of(run.settled[LEARNING:]) for run in runs]


def _figures(manner: Manner, shares: Sequence[Shares]) -> list[Figure]:
    columns = {
        "inside the range when asked": [one.inside for one in shares],
        "inside the range at half of the time": [one.inside_at_half for one in shares],
        "without a range": [one.without for one in shares],
        "upper over lower end, median": [one.width for one in shares],
    }
    return [Figure(f"{manner.name}: {name}", "", tuple(all_)) for name, all_ in columns.items()]


def _targets(manner: Manner, shares: Sequence[Shares]) -> list[Target]:
    inside = statistics.median(one.inside for one in shares)
    without = statistics.median(one.without for one in shares)
    return [
        Target(f"inside when asked, {manner.name}", inside, 0.8, at_least=True),
        Target(f"without a range, {manner.name}", without, 0.1, at_least=False),
    ]


def _instant(seconds: float) -> datetime:
    return _BEGAN + timedelta(seconds=seconds)
