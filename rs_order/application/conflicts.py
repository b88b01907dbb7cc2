"""Repeats work that conflicted with another unit of work (architecture.md 2, concurrency)."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt

from rs_order.domain.retry import Backoff
from rs_order.store.errors import StoreConflict

Result = TypeVar("Result")

_ATTEMPTS = 10
_LONGEST = timedelta(milliseconds=100)
_BACKOFF = Backoff(first=_LONGEST, limit=_LONGEST, jitter=1)
"""Any pause up to 100 ms: units of work that met should not meet again."""


async def retry_on_conflict(work: Callable[[], Awaitable[Result]]) -> Result:
    """Do the work, from its start again after each conflict, and return its result.

    Raises:
        StoreConflict: every attempt conflicted.
    """
    async for attempt in AsyncRetrying(
        retry=retry_if_exception_type(StoreConflict),
        stop=stop_after_attempt(_ATTEMPTS),
        wait=_pause,
        reraise=True,
    ):
        with attempt:
            result = await work()
    return result


def _pause(failed: RetryCallState) -> float:
    return _BACKOFF.pause(failed.attempt_number).total_seconds()
