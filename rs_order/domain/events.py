"""Events of orders: what happened, as users and services are told (faces.md 4.1).

An event is written in the commit that makes it true. Its ordinal counts the events of its order.
"""

import secrets
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from rs_order.domain.identity import PEER, SERVICE

THRESHOLDS: Final = (25, 50, 75)
"""The percentages whose passing is an event."""
MOST_MESSAGE: Final = 2000
"""The most characters of an order's message in an event. A longer text is cut."""


class EventType(StrEnum):
    """What happened. The names are stable: clients compare them."""

    ORDER_CREATED = "order.created"
    """The order exists."""
    ORDER_LISTED = "order.listed"
    """All its files were read from the catalog."""
    SUB_ORDER_STARTED = "suborder.started"
    """Storage was asked for the files of a sub-order."""
    SUB_ORDER_READY = "suborder.ready"
    """The files of a sub-order can be downloaded."""
    ORDER_PROGRESS = "order.progress"
    """A quarter of the bytes, the half, or three quarters of them are settled."""
    ORDER_DONE = "order.done"
    """Every file is or was available."""
    ORDER_DONE_WITH_WARNING = "order.done_with_warning"
    """Some files are available, others are not."""
    ORDER_FAILED = "order.failed"
    """No file is available."""
    ORDER_WAITING = "order.waiting"
    """It has waited for the same reason for a while."""
    FILES_FAILED = "files.failed"
    """Files are in error."""
    ORDER_PAUSED = "order.paused"
    ORDER_RESUMED = "order.resumed"
    ORDER_RETRIED = "order.retried"
    """Its files in error are requested again."""
    ORDER_DOWNLOADED = "order.downloaded"
    """Every file that could be delivered was."""
    ORDER_EXPIRING = "order.expiring"
    """Its files will be deleted soon."""
    ORDER_EXPIRED = "order.expired"
    ORDER_DELETED = "order.deleted"


class OrderDoor(StrEnum):
    """How an order came."""

    BASKET = "basket"
    APPLY = "apply"
    STAC = "stac"
    RESTART = "restart"
    AMQP = "amqp"


class By(StrEnum):
    """Who did something with an order."""

    OWNER = "owner"
    ADMINISTRATOR = "administrator"
    SERVICE = "service"

    @classmethod
    def of(cls, actor: str, owner: str) -> "By":
        """Return who an actor of the history is, for an order of the owner."""
        if actor == owner:
            return cls.OWNER
        return cls.SERVICE if actor in (SERVICE, PEER) else cls.ADMINISTRATOR


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to an order, with what only this type says."""

    type: EventType
    members: Mapping[str, Any] = field(default_factory=dict)
    """JSON values by name."""


def passed_thresholds(before: int, after: int) -> Iterator[int]:
    """Return the thresholds between two percentages. At 100 the end says more."""
    if after < 100:  # noqa: PLR2004
        yield from (one for one in THRESHOLDS if before < one <= after)


def event_message(text: str) -> str:
    """Return a message as an event has it."""
    return text if len(text) <= MOST_MESSAGE else f"{text[: MOST_MESSAGE - 1]}…"


def types_of(patterns: Collection[str]) -> frozenset[EventType]:
    """Return the types that match one of the patterns: exact names, or beginnings with a trailing ``*``.

    Raises:
        ValueError: no type matches a pattern. The text names it.
    """
    found: set[EventType] = set()
    for pattern in patterns:
        matching = {one for one in EventType if _matches(one, pattern)}
        if not matching:
            raise ValueError(f"no event has the type {pattern}; there are {', '.join(EventType)}")
        found |= matching
    return frozenset(found)


def _matches(type_: EventType, pattern: str) -> bool:
    beginning, star, rest = pattern.partition("*")
    return type_.startswith(beginning) and not rest if star else type_ == pattern


def event_id(at: datetime) -> UUID:
    """Return a new UUID of version 7, which begins with the time in milliseconds (RFC 9562)."""
    milliseconds = int(at.timestamp() * 1000)
    value = (milliseconds << 80) | secrets.randbits(80)
    value = value & ~(0xF000 << 64) | (0x7000 << 64)
    return UUID(int=value & ~(0xC000 << 48) | (0x8000 << 48))
