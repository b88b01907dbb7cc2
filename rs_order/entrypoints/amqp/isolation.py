"""Isolates the messages that can't be handled from the others of their batch (decisions.md, 6.6)."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import structlog
from pydantic import ValidationError

from rs_order.application.conflicts import retry_on_conflict
from rs_order.broker.delivery import DeadLetter, DeadLetterReason, Done, Outcome
from rs_order.entrypoints.amqp.parsing import wrong_members
from rs_order.store.errors import StoreUnavailable

Item = TypeVar("Item")

log = structlog.get_logger(__name__)


async def isolated(
    handle: Callable[[Sequence[Item]], Awaitable[None]], items: Sequence[Item]
) -> list[Outcome]:
    """Handle items together. If that fails, handle each half, down to the single item that fails.

    Raises:
        StoreUnavailable: the database is unavailable, so no item can be handled now.
    """
    if not items:
        return []
    try:
        await retry_on_conflict(lambda: handle(items))
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
    """Return the dead letter of an item. Some bodies are parsed only here, by their handler."""
    if isinstance(error, ValidationError):
        return DeadLetter(DeadLetterReason.NOT_CONVERTED_MESSAGE, wrong_members(error))
    return DeadLetter.unforeseen(error)
