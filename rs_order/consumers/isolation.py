"""Reads bodies of messages, and isolates a bad message from its batch (decisions.md, 6.6)."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import orjson
import structlog
from pydantic import ValidationError

from rs_order.broker.delivery import DeadLetter, DeadLetterReason, Done, Outcome
from rs_order.store.errors import StoreUnavailable
from rs_order.store.unit_of_work import retry_on_conflict

Item = TypeVar("Item")

log = structlog.get_logger(__name__)


async def isolated(
    handle: Callable[[Sequence[Item]], Awaitable[None]], items: Sequence[Item]
) -> list[Outcome]:
    """Handle items together. If this fails, handle each half by itself, down to the item that fails.

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
    """Return the dead letter of an item. Some handlers parse a part of the body themselves."""
    if isinstance(error, ValidationError):
        return DeadLetter(DeadLetterReason.NOT_CONVERTED_MESSAGE, wrong_members(error))
    return DeadLetter.unforeseen(error)


class UnreadableBodyError(ValueError):
    """A body is not a JSON object that the database can store."""

    code = "unreadable-body"


def read_body(body: bytes) -> dict[str, Any]:
    """Return the JSON object in a body.

    Raises:
        UnreadableBodyError: the body is not JSON, not an object, or contains U+0000, which PostgreSQL
            can't store as text.
    """
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise UnreadableBodyError(f"The body is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise UnreadableBodyError("The body is JSON, but not an object.")
    if b"\\u0000" in body and _contains_nul(value):
        raise UnreadableBodyError("The body holds the character U+0000.")
    return value


def wrong_members(error: ValidationError) -> str:
    """Return the names of the wrong members and the reasons, without their values."""
    return "; ".join(
        f"{'.'.join(str(part) for part in detail['loc'])}: {detail['msg']}"
        for detail in error.errors(include_input=False, include_url=False, include_context=False)
    )


def _contains_nul(value: Any) -> bool:
    match value:
        case str():
            return "\0" in value
        case list():
            return any(_contains_nul(item) for item in value)
        case dict():
            return any(_contains_nul(name) or _contains_nul(item) for name, item in value.items())
    return False
