"""Parses the bodies of messages."""

from typing import Any

import orjson
from pydantic import ValidationError


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
    """Return which members are wrong and why, without their values."""
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
