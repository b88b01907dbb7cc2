"""One bad message never takes the others of its batch with it (decisions.md, 6.6)."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import structlog
from pydantic import ValidationError

from rs_order.application.conflicts import without_conflict
from rs_order.broker.settle import DeadLetter, DeadLetterReason, Done, Outcome
from rs_order.entrypoints.amqp.parsing import wrong_members
from rs_order.ports.store import StoreUnavailable

Item = TypeVar("Item")

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
        await without_conflict(lambda: handle(items))
    except StoreUnavailable:
        raise
    except Exception as error:
        if len(items) == 1:
            log.exception("message-not-handled")
            return [_dead_letter(error)]
        middle = len(items) // 2
        return [*await isolated(handle, items[:middle]), *await isolated(handle, items[middle:])]
    return [Done() for _ in items]


def _dead_letter(error: Exception) -> DeadLetter:
    """Some bodies are read only once it is known that they concern us."""
    if isinstance(error, ValidationError):
        return DeadLetter(DeadLetterReason.NOT_CONVERTED_MESSAGE, wrong_members(error))
    return DeadLetter(DeadLetterReason.UNEXPECTED_BATCH_FAILURE, _in_short(error))


def _in_short(error: Exception) -> str:
    """What an operator reads: the kind of failure and its first line, never a stack trace."""
    first_line = (str(error).splitlines() or [""])[0]
    return f"{type(error).__name__}: {first_line}"[:300]
