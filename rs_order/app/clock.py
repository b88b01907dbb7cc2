"""The machine's clock."""

from datetime import UTC, datetime


class SystemClock:
    """Implements :class:`rs_order.ports.Clock`."""

    def now(self) -> datetime:
        return datetime.now(UTC)
