"""The text form of instants in messages and REST bodies (amqp.md 1.8, rest.md 3.1)."""

from datetime import UTC, datetime
from typing import Final

_OFFSET: Final = len("+00:00")


def wire_instant(at: datetime) -> str:
    """Return an instant in UTC with microseconds, without trailing zeros: ``2025-01-23T14:42:27.5Z``."""
    moment = (at if at.tzinfo is UTC else at.astimezone(UTC)).isoformat()[:-_OFFSET]
    return (moment.rstrip("0") if at.microsecond else moment) + "Z"


def parse_instant(text: str) -> datetime:
    """Read an ISO date-time with ``Z``, ``+HH:MM`` or no offset, which means UTC.

    Raises:
        ValueError: the text is no date-time, or lies outside the years 1 to 9999 in UTC.
    """
    moment = datetime.fromisoformat(text)
    try:
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"{text} is no instant of the years 1 to 9999") from error
