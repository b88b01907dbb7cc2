"""The clock of all tests."""

from datetime import UTC, datetime, timedelta

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class ManualClock:
    """Implements ``Clock``: stands still until a test moves it.

    Args:
        start: where it stands; None makes it run with the machine's clock.
    """

    def __init__(self, start: datetime | None = NOW) -> None:
        self._start = start
        self.ahead = timedelta()
        """How far it was moved."""

    def now(self) -> datetime:
        return (self._start or datetime.now(UTC)) + self.ahead

    def monotonic(self) -> float:
        """Return the seconds that it was moved by, for callers that measure durations."""
        return self.ahead.total_seconds()

    def move(self, **by: float) -> None:
        """Move it by hours, minutes and so on, as ``timedelta`` names them."""
        self.ahead += timedelta(**by)

    def set(self, time: datetime) -> None:
        self.ahead += time - self.now()
