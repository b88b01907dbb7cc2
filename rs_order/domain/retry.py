"""The pauses between attempts, and the deadline after which there is no further attempt."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

RandomSource = Callable[[], float]
"""Returns numbers from 0 to below 1."""

_MAX_GROWTHS = 64
"""Limits the exponent, so that the pause can't overflow. The longest pause is reached long before."""

_JITTER: Final = random.Random()  # noqa: S311 - pauses are no secret
"""A separate generator, because programs may seed the one of the module."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Pauses that grow with each failure.

    The jitter spreads the attempts of many instances. It only shortens pauses, so none exceeds the limit.
    """

    first: timedelta
    """Pause after the first failure."""
    limit: timedelta
    """Longest pause."""
    factor: float = 2.0
    """Growth from one pause to the next."""
    jitter: float = 0.0
    """The largest fraction, from 0 to 1, by which a pause is shortened at random; 0: pauses are exact."""
    random: RandomSource = field(default=_JITTER.random, compare=False, repr=False)
    """Source of the jitter; tests replace it."""

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ValueError: pauses would be negative or shrink.
        """
        if self.first < timedelta() or self.factor < 1 or not 0 <= self.jitter <= 1:
            raise ValueError(f"pauses must be positive and grow: {self}")

    def pause(self, failures: int) -> timedelta:
        """Return the pause after so many failures in a row, at least 1."""
        growth = self.factor ** min(failures - 1, _MAX_GROWTHS)
        seconds = min(self.first.total_seconds() * growth, self.limit.total_seconds())
        return timedelta(seconds=seconds * (1 - self.jitter * self.random()))


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy(Backoff):
    """A back-off that ends at a deadline."""

    deadline: timedelta
    """Time from the first failure, or the first request, to the end of all attempts."""

    def next_attempt(self, failures: int, since: datetime, now: datetime) -> datetime:
        """Return when to try again: at the deadline at the latest, so that the timeout isn't late."""
        return min(now + self.pause(failures), since + self.deadline)

    def exhausted(self, since: datetime, now: datetime) -> bool:
        """True if the deadline has passed since the first failure."""
        return now - since >= self.deadline
