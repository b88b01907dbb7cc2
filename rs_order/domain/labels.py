"""Labels of orders: at most 50 characters, unique for their owner."""

from collections.abc import Container
from datetime import datetime

from rs_order.domain.instants import wire_instant

MAX_LABEL = 50


def generated_label(now: datetime) -> str:
    """Label of an automatic order (domain.md 4.1)."""
    return f"Generated order {wire_instant(now)}"


def dated_label(now: datetime) -> str:
    """Label of an order whose user gave it none (rest.md 7.1), in the zone that ``now`` has."""
    return f"Order of {now:%Y/%m/%d at %H:%M:%S}"


def numbered(label: str, number: int) -> str:
    """The label with `` (2)`` and on behind it, cut so that it fits; the first has no number."""
    if number == 1:
        return label
    suffix = f" ({number})"
    return label[: MAX_LABEL - len(suffix)] + suffix


def unique_label(wanted: str, taken: Container[str]) -> str:
    """The label itself, or its first numbered form that the owner doesn't have yet (W40)."""
    number = 1
    while numbered(wanted, number) in taken:
        number += 1
    return numbered(wanted, number)
