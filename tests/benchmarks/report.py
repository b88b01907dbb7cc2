"""The result of a benchmark: figures, targets, growth curves and notes, with their JSON form."""

import math
import statistics
from collections.abc import Mapping, Sequence

from pydantic import computed_field
from pydantic.dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """A measured value."""

    name: str
    unit: str
    samples: tuple[float, ...]
    """One per round."""

    @computed_field  # type: ignore[prop-decorator]  # mypy knows no decorated property
    @property
    def median(self) -> float:
        return statistics.median(self.samples)

    @property
    def spread(self) -> tuple[float, float]:
        """The lowest and the highest sample."""
        return min(self.samples), max(self.samples)


@dataclass(frozen=True)
class Target:
    """A value with the limit that it should keep."""

    name: str
    value: float
    limit: float
    at_least: bool
    """True: the value must not be below the limit. False: it must not be above."""

    @computed_field  # type: ignore[prop-decorator]  # as above
    @property
    def met(self) -> bool:
        return self.value >= self.limit if self.at_least else self.value <= self.limit


@dataclass(frozen=True)
class Curve:
    """How a cost grows."""

    title: str
    x: str
    """The quantity that grows, with its unit."""
    y: str
    """The cost, with its unit."""
    points: tuple[tuple[float, float], ...]

    @computed_field  # type: ignore[prop-decorator]  # as above
    @property
    def exponent(self) -> float | None:
        """The slope of the line through the logarithms of the points (least squares), if there are two."""
        logs = [(math.log(x), math.log(y)) for x, y in self.points if x > 0 and y > 0]
        if len({x for x, _ in logs}) < 2:
            return None
        return statistics.linear_regression(*zip(*logs, strict=True)).slope


@dataclass(frozen=True)
class Report:
    """The results of a benchmark in one run."""

    figures: Sequence[Figure]
    targets: Sequence[Target]
    curves: Sequence[Curve] = ()
    notes: Sequence[str] = ()
    """The sizes of the run, and what a reader must know to understand the figures."""


@dataclass(frozen=True)
class Run:
    """A report with the circumstances of its run."""

    name: str
    purpose: str
    """The docstring of the benchmark's module."""
    quick: bool
    report: Report
    seconds: float
    peak_mib: float
    """The most memory that the process of the benchmark had resident."""
    circumstances: Mapping[str, str]
    """Date, machine, and versions of the programs and libraries."""
