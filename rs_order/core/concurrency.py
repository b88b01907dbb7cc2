"""Retries of a unit of work after a conflict, and calls that run at the same time."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Final, TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt

from rs_order.domain.retry import Backoff
from rs_order.store.errors import StoreConflict

Result = TypeVar("Result")

_ATTEMPTS = 10
_LONGEST = timedelta(milliseconds=100)
_BACKOFF = Backoff(first=_LONGEST, limit=_LONGEST, jitter=1)
"""A random pause of up to 100 ms, so that two units of work don't conflict again."""


async def retry_on_conflict(work: Callable[[], Awaitable[Result]]) -> Result:
    """Return the result of the work; start it again after each conflict.

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


MAX_CONCURRENT_CALLS: Final = 8
"""The most calls at the same time for one request, since the remote service has other callers."""

Item = TypeVar("Item")


async def call_concurrently(
    call: Callable[[Item], Awaitable[Result]],
    items: Sequence[Item],
    *,
    limit: int = MAX_CONCURRENT_CALLS,
) -> list[Result]:
    """Return the result of the call for each item, in the order of the items.

    If a call raises an exception, the other calls are cancelled and the exception is raised.
    """
    results: list[Result] = []
    for start in range(0, len(items), limit):
        running = [asyncio.ensure_future(call(item)) for item in items[start : start + limit]]
        try:
            results += await asyncio.gather(*running)
        finally:
            for one in running:
                one.cancel()
    return results
