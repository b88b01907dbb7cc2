"""One bad message never takes the others of its batch with it (decisions.md, 6.6)."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import structlog
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_random

from rs_order.adapters.amqp.settle import DeadLetter, DeadLetterReason, Done, Outcome
from rs_order.ports.store import StoreConflict, StoreUnavailable

Item = TypeVar("Item")

_CONFLICTS = 10

log = structlog.get_logger(__name__)


async def isolated(
    handle: Callable[[Sequence[Item]], Awaitable[None]], items: Sequence[Item]
) -> list[Outcome]:
    """Handle items together; when that fails, halves, down to the one that is bad.

    Raises:
        StoreUnavailable: nothing can be handled now; no item is to blame.
    """
    if not items:
        return []
    try:
        await without_conflict(handle, items)
    except StoreUnavailable:
        raise
    except Exception as error:
        if len(items) == 1:
            log.exception("message-not-handled")
            return [DeadLetter(DeadLetterReason.UNEXPECTED_BATCH_FAILURE, _in_short(error))]
        middle = len(items) // 2
        return [*await isolated(handle, items[:middle]), *await isolated(handle, items[middle:])]
    return [Done() for _ in items]


async def without_conflict(
    handle: Callable[[Sequence[Item]], Awaitable[None]], items: Sequence[Item]
) -> None:
    """Begin again when another unit of work was faster (architecture.md 2, concurrency)."""
    async for attempt in AsyncRetrying(
        retry=retry_if_exception_type(StoreConflict),
        stop=stop_after_attempt(_CONFLICTS),
        wait=wait_random(0, 0.1),
        reraise=True,
    ):
        with attempt:
            await handle(items)


def _in_short(error: Exception) -> str:
    """What an operator reads: the kind of failure and its first line, never a stack trace."""
    first_line = (str(error).splitlines() or [""])[0]
    return f"{type(error).__name__}: {first_line}"[:300]
