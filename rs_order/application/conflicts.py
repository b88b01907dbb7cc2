"""Beginning again when another unit of work was faster (architecture.md 2, concurrency)."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_random

from rs_order.store.errors import StoreConflict

Result = TypeVar("Result")

_CONFLICTS = 10


async def without_conflict(work: Callable[[], Awaitable[Result]]) -> Result:
    """Do the work from its start, until nobody gets in between.

    Raises:
        StoreConflict: somebody did every time.
    """
    async for attempt in AsyncRetrying(
        retry=retry_if_exception_type(StoreConflict),
        stop=stop_after_attempt(_CONFLICTS),
        wait=wait_random(0, 0.1),
        reraise=True,
    ):
        with attempt:
            result = await work()
    return result
