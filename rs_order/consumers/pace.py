"""Slows down how fast messages are taken from a queue; nothing is rejected."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from prometheus_client import Counter

_paused = Counter(
    "rs_order_intake_paused_seconds", "Time for which order requests waited for the rate limit"
)


class Pace:
    """Limits the messages per second of one consumer. The others wait in the broker."""

    def __init__(
        self,
        per_second: int,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._per_second = per_second
        self._sleep = sleep
        self._now = now
        self._free_at = 0.0

    async def wait(self, messages: int) -> None:
        """Wait until the messages before these have had their time, and take the time of these.

        Batches must not exceed the messages of a second, so that a consumer that stops waits for a second
        at most.
        """
        now = self._now()
        begins = max(now, self._free_at)
        self._free_at = begins + messages / self._per_second
        if begins > now:
            _paused.inc(begins - now)
            await self._sleep(begins - now)
