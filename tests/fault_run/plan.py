"""Draws a fault run from its seed: the orders that are placed, and the timeline of injections."""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

TENANTS: Final = ("alpha", "beta", "gamma")
CLOCK_SECONDS: Final = (0, 10, -10)
"""The error of each instance's clock."""
QUIET_SECONDS: Final = 3.0
"""Seconds at the beginning without a fault."""


SETTLING_SECONDS: Final = 5.0
"""Seconds between two injections of the same target: a server needs them to start."""


class Door(StrEnum):
    AMQP = "AMQP"
    REST = "REST"


class Fate(StrEnum):
    """Describes what happens to an order besides its downloads."""

    PLAIN = "plain"
    REPEATED = "repeated"
    """Its request is published twice."""
    ERRORS = "errors"
    """Storage has lost some of its files."""
    RETRIED = "retried"
    """Storage repairs the lost files, and the owner retries the order."""
    PAUSED = "paused"
    """The owner pauses and resumes it."""
    CANCELLED = "cancelled"
    """A service cancels it over AMQP."""
    PROCESSED = "processed"
    """A process works on its files."""


_FATES: Final = (
    (Fate.PLAIN, Door.AMQP),
    (Fate.PROCESSED, Door.REST),
    (Fate.PAUSED, Door.AMQP),
    (Fate.RETRIED, Door.REST),
    (Fate.CANCELLED, Door.AMQP),
    (Fate.REPEATED, Door.AMQP),
    (Fate.PLAIN, Door.REST),
    (Fate.ERRORS, Door.AMQP),
    (Fate.CANCELLED, Door.REST),
    (Fate.RETRIED, Door.AMQP),
)
"""Taken in turn, so that every run has all of them."""


@dataclass(frozen=True)
class PlannedOrder:
    number: int
    tenant: str
    door: Door
    fate: Fate
    files: int
    at: float
    """Seconds after the start."""
    act_after: float
    """Seconds between the order and what happens to it."""

    @property
    def dataset(self) -> str:
        """The dataset that only this order asks for."""
        return f"Run{self.number:03d}"

    @property
    def owner(self) -> str:
        return f"owner{self.number:03d}@{self.tenant}.example.org"

    @property
    def lost_files(self) -> int:
        """The number of files, from the first one, that storage has lost."""
        return max(1, self.files // 25) if self.fate in (Fate.ERRORS, Fate.RETRIED) else 0

    def __str__(self) -> str:
        return f"order {self.number:>2} of {self.tenant} ({self.fate}, {self.door})"


@dataclass(frozen=True)
class Kind:
    """A kind of injection."""

    target: str
    """Injections of the same target never overlap."""
    shortest: float
    """Seconds, as ``longest``."""
    longest: float


@dataclass(frozen=True)
class PlannedInjection:
    kind: str
    at: float
    seconds: float
    instance: int
    """The instance that it meets, if it meets one."""

    @property
    def end(self) -> float:
        return self.at + self.seconds

    def __str__(self) -> str:
        return f"{self.at:6.1f} s to {self.end:6.1f} s  {self.kind} (instance {self.instance})"


@dataclass(frozen=True)
class Plan:
    seed: int
    seconds: float
    """The time in which faults begin and end."""
    instances: int
    orders: tuple[PlannedOrder, ...]
    injections: tuple[PlannedInjection, ...]


@dataclass(frozen=True)
class Size:
    """The size of a run."""

    minutes: float
    orders: int = 40
    files: int = 500
    instances: int = 3


def draw(seed: int, size: Size, kinds: Mapping[str, Kind]) -> Plan:
    """Return the plan of a seed.

    Args:
        seed: the same seed gives the same plan.
        size: how long, and how much.
        kinds: the injections that this machine can make.
    """
    numbers = random.Random(seed)  # noqa: S311 - repeatable on purpose
    seconds = size.minutes * 60
    orders = tuple(_order(number, size, seconds, numbers) for number in range(size.orders))
    return Plan(seed, seconds, size.instances, orders, _timeline(kinds, size, seconds, numbers))


def _order(number: int, size: Size, seconds: float, numbers: random.Random) -> PlannedOrder:
    fate, door = _FATES[number % len(_FATES)]
    return PlannedOrder(
        number=number,
        tenant=TENANTS[number % len(TENANTS)],
        door=door,
        fate=fate,
        files=size.files,
        at=round(numbers.uniform(0, 0.6 * seconds), 1),
        act_after=round(numbers.uniform(0, 0.3 * seconds), 1),
    )


def _timeline(
    kinds: Mapping[str, Kind], size: Size, seconds: float, numbers: random.Random
) -> tuple[PlannedInjection, ...]:
    """Return two strands of injections, so that two faults overlap at most.

    All kinds are used before one is used again.
    """
    injections: list[PlannedInjection] = []
    unused: list[str] = []
    ends = [QUIET_SECONDS, QUIET_SECONDS + 2]
    free_at: dict[str, float] = {}
    while True:
        strand = ends.index(min(ends))
        unused = unused or numbers.sample(sorted(kinds), len(kinds))
        name = unused.pop()
        kind = kinds[name]
        lasts = round(numbers.uniform(kind.shortest, kind.longest), 1)
        begins = max(ends[strand], free_at.get(kind.target, 0))
        at = round(begins + numbers.uniform(0, 1.5), 1)
        if at + lasts > seconds:
            return tuple(sorted(injections, key=lambda one: one.at))
        injections.append(PlannedInjection(name, at, lasts, numbers.randrange(size.instances)))
        ends[strand] = at + lasts
        free_at[kind.target] = at + lasts + SETTLING_SECONDS
