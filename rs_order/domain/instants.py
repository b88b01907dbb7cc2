"""Instants as peers write and read them (amqp.md 1.8, rest.md 3.1)."""

from datetime import UTC, datetime


def wire_instant(at: datetime) -> str:
    """UTC, microseconds, trailing zeros of the fraction dropped: ``2025-01-23T14:42:27.5Z``."""
    moment = at.astimezone(UTC).replace(tzinfo=None).isoformat()
    return (moment.rstrip("0").rstrip(".") if "." in moment else moment) + "Z"


def parse_instant(text: str) -> datetime:
    """An ISO date-time with ``Z``, ``+HH:MM`` or no offset (taken as UTC).

    Raises:
        ValueError: it isn't one, or lies outside the years 1 to 9999 in UTC.
    """
    moment = datetime.fromisoformat(text)
    try:
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"{text} is no instant of the years 1 to 9999") from error
