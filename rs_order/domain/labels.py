"""Labels of orders: at most 50 characters, unique for their owner."""

from collections.abc import Container
from datetime import datetime

from rs_order.domain.instants import wire_instant

MAX_LABEL = 50


def generated_label(now: datetime) -> str:
    """Label of an automatic order (domain.md 4.1)."""
    return f"Generated order {wire_instant(now)}"


def unique_label(wanted: str, taken: Container[str]) -> str:
    """The label itself, or with `` (2)``, `` (3)`` … when the owner already has it (W40)."""
    label, number = wanted, 1
    while label in taken:
        number += 1
        suffix = f" ({number})"
        label = wanted[: MAX_LABEL - len(suffix)] + suffix
    return label
