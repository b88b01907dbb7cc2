"""Labels of orders: at most 50 characters, unique for their owner."""

from collections.abc import Container
from datetime import datetime

from rs_order.domain.instants import wire_instant

MAX_LABEL = 50


def generated_label(now: datetime) -> str:
    """Return the label of an automatic order (domain.md 4.1)."""
    return f"Generated order {wire_instant(now)}"


def dated_label(now: datetime) -> str:
    """Return the default label (rest.md 7.1), in the time zone of ``now``."""
    return f"Order of {now:%Y/%m/%d at %H:%M:%S}"


def numbered(label: str, number: int) -> str:
    """Return the label followed by `` (2)``, `` (3)`` …, cut to fit; number 1 is the label itself."""
    if number == 1:
        return label
    suffix = f" ({number})"
    return label[: MAX_LABEL - len(suffix)] + suffix


def unique_label(wanted: str, taken: Container[str]) -> str:
    """Return the label, or its first numbered form that is not ``taken`` (W40)."""
    number = 1
    while numbered(wanted, number) in taken:
        number += 1
    return numbered(wanted, number)
