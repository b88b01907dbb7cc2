"""Concurrency is settled by the database: a loser retries from the start (architecture.md 2)."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_random

from rs_order.ports.store import StoreConflict

Result = TypeVar("Result")

_CONFLICTS = 10


async def without_conflict(work: Callable[[], Awaitable[Result]]) -> Result:
    """Do the work, and begin again when another unit of work was faster.

    Raises:
        StoreConflict: others were faster each time.
    """
    return await AsyncRetrying(
        retry=retry_if_exception_type(StoreConflict),
        stop=stop_after_attempt(_CONFLICTS),
        wait=wait_random(0, 0.1),
        reraise=True,
    )(work)
