"""What to do when another unit of work was faster: begin again (architecture.md, Locks and their order)."""

from collections.abc import Awaitable, Callable
from typing import Final

from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_random

from rs_order.ports.store import StoreConflict

ATTEMPTS: Final = 10


async def without_conflict(act: Callable[[], Awaitable[None]]) -> None:
    """Act, again from the start after a conflict.

    Raises:
        StoreConflict: there was one each time.
    """
    async for attempt in AsyncRetrying(
        retry=retry_if_exception_type(StoreConflict),
        stop=stop_after_attempt(ATTEMPTS),
        wait=wait_random(0, 0.1),
        reraise=True,
    ):
        with attempt:
            await act()
