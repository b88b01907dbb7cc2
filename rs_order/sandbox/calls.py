"""A bounded record of what was asked of the sandbox, for assertions."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

_KEPT = 10_000


@dataclass(slots=True)
class Call:
    service: str
    verb: str
    path: str
    """Below the service's prefix."""
    tenant: str | None
    role: str | None
    email: str | None
    at: datetime
    status: int | None = None
    """None while it isn't answered, or when the connection was closed without an answer."""


class Changes:
    """Lets tests wait for something to become true instead of sleeping."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()

    def tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def until(self, holds: Callable[[], bool], timeout_seconds: float | None = None) -> None:
        """Wait for a condition, looked at after each change.

        Raises:
            TimeoutError: it didn't become true in time, if there is a limit.
        """
        async with asyncio.timeout(timeout_seconds):
            while not holds():
                await self._changed.wait()


class Calls:
    def __init__(self) -> None:
        self._recent: deque[Call] = deque(maxlen=_KEPT)
        self.counters: Counter[str] = Counter()
        """Calls by service, since the start or the last reset."""
        self._changes = Changes()

    def add(self, call: Call) -> None:
        self._recent.append(call)
        self.counters[call.service] += 1
        self._changes.tell()

    def recent(self, service: str | None = None) -> list[Call]:
        """The last calls, oldest first."""
        return [call for call in self._recent if service in (None, call.service)]

    async def wait_for(self, service: str, count: int, timeout_seconds: float = 30) -> None:
        """Until a service has been called so often; raises TimeoutError."""
        await self._changes.until(lambda: self.counters[service] >= count, timeout_seconds)

    def clear(self) -> None:
        self._recent.clear()
        self.counters.clear()
