"""The clock that tests move."""

from datetime import UTC, datetime, timedelta

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class ManualClock:
    """Implements ``Clock``: time passes only when a test moves it.

    Args:
        start: the time it begins with; with None it follows the machine's clock.
    """

    def __init__(self, start: datetime | None = NOW) -> None:
        self._start = start
        self.ahead = timedelta()
        """The total that it was moved by."""

    def now(self) -> datetime:
        return (self._start or datetime.now(UTC)) + self.ahead

    def monotonic(self) -> float:
        """Return the seconds that it was moved by."""
        return self.ahead.total_seconds()

    def move(self, **by: float) -> None:
        """Move it forward; arguments as of ``timedelta``."""
        self.ahead += timedelta(**by)

    def set(self, time: datetime) -> None:
        self.ahead += time - self.now()
