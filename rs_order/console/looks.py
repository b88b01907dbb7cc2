"""How states look: a tone, which is a colour, and an icon. Neither stands without its word."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from rs_order.domain.states import FileState, OrderStatus, SubOrderState


class Tone(StrEnum):
    """The meaning of a colour."""

    BUSY = "busy"
    """Somebody or something is at work."""
    WAIT = "wait"
    """It waits for its turn or for a person."""
    GOOD = "good"
    BAD = "bad"
    OFF = "off"
    """Nothing more happens."""


@dataclass(frozen=True, slots=True)
class Look:
    tone: Tone
    icon: str


_ORDERS: Final[Mapping[str, Look]] = {
    OrderStatus.PENDING: Look(Tone.BUSY, "list"),
    OrderStatus.RUNNING: Look(Tone.BUSY, "play"),
    OrderStatus.PAUSED: Look(Tone.WAIT, "pause"),
    OrderStatus.EXPIRED: Look(Tone.OFF, "clock"),
    OrderStatus.FAILED: Look(Tone.BAD, "cross"),
    OrderStatus.DONE_WITH_WARNING: Look(Tone.BAD, "warn"),
    OrderStatus.DONE: Look(Tone.GOOD, "check"),
    OrderStatus.DELETED: Look(Tone.OFF, "trash"),
    OrderStatus.ERROR: Look(Tone.BAD, "cross"),
}
_SUB_ORDERS: Final[Mapping[str, Look]] = {
    SubOrderState.BUILDING: Look(Tone.OFF, "list"),
    SubOrderState.READY: Look(Tone.WAIT, "clock"),
    SubOrderState.RUNNING: Look(Tone.BUSY, "play"),
    SubOrderState.PROCESSING: Look(Tone.BUSY, "gear"),
    SubOrderState.WAITING: Look(Tone.GOOD, "download"),
    SubOrderState.ENDED: Look(Tone.OFF, "check"),
}
_FILES: Final[Mapping[str, Look]] = {
    FileState.PENDING: Look(Tone.WAIT, "clock"),
    FileState.AVAILABLE: Look(Tone.GOOD, "download"),
    FileState.DOWNLOADED: Look(Tone.OFF, "check"),
    FileState.DOWNLOAD_ERROR: Look(Tone.BAD, "warn"),
    FileState.ERROR: Look(Tone.BAD, "cross"),
    FileState.PROCESSING_ERROR: Look(Tone.BAD, "cross"),
}


def order(status: str) -> Look:
    return _ORDERS[status]


def sub_order(state: str) -> Look:
    return _SUB_ORDERS[state]


def file(state: str) -> Look:
    return _FILES[state]
