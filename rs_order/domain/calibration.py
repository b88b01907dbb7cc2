"""How the ranges that were given for sub-orders came true (faces.md Y-12)."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from statistics import median
from typing import Final

from rs_order.domain.estimates import MEASURED, Experience, Outcome, Sample, learn


class Period(StrEnum):
    """The sub-orders that are counted, by the time when storage settled them."""

    DAY = "last-24-hours"
    WEEK = "last-7-days"
    LAST = "last-500"


_LENGTHS: Final = {Period.DAY: timedelta(days=1), Period.WEEK: timedelta(days=7)}


@dataclass(frozen=True, slots=True)
class Share:
    """How the ranges of some sub-orders came true."""

    outcomes: Counter[Outcome]
    median_width: float | None
    """Seconds from the lower to the upper end; None: there was no range."""
    median_ratio: float | None
    """The upper end divided by the lower one."""

    @property
    def ranges(self) -> int:
        return self.outcomes.total() - self.outcomes[Outcome.NONE]

    @property
    def inside(self) -> float | None:
        """Return the share of ranges that came true; None: there was none."""
        return self.outcomes[Outcome.INSIDE] / self.ranges if self.ranges else None


@dataclass(frozen=True, slots=True)
class Calibration:
    """How the ranges of a tenant came true, and what is learnt from it."""

    experience: Experience
    together: dict[Period, Share]
    by_storage: dict[str, dict[Period, Share]]
    """By the storage that the last event of a sub-order named."""


def calibrate(samples: Sequence[Sample], now: datetime) -> Calibration:
    """Return how the ranges of samples came true, given in the order of their ends, oldest first."""
    storages = sorted({sample.storage for sample in samples if sample.storage})
    return Calibration(
        experience=learn(samples),
        together=_by_period(samples, now),
        by_storage={
            storage: _by_period([one for one in samples if one.storage == storage], now)
            for storage in storages
        },
    )


def _by_period(samples: Sequence[Sample], now: datetime) -> dict[Period, Share]:
    found = {
        period: [one for one in samples if one.settled_at > now - length]
        for period, length in _LENGTHS.items()
    }
    with_range = [one for one in samples if one.expected]
    return {period: _share(found.get(period, with_range[-MEASURED:])) for period in Period}


def _share(samples: Sequence[Sample]) -> Share:
    ranges = [sample.expected for sample in samples if sample.expected]
    ratios = [one.latest / one.earliest for one in ranges if one.earliest > 0]
    return Share(
        Counter(sample.outcome for sample in samples),
        median_width=median(one.latest - one.earliest for one in ranges) if ranges else None,
        median_ratio=median(ratios) if ratios else None,
    )
