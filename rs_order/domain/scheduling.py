"""Which ready sub-orders of an owner start next (decisions.md, Which sub-order starts next).

A pass takes the owner's ready sub-orders by rank and decides once. It starts a bounded number of them. The
others start in a further pass, or wait for capacity of the service.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from rs_order.domain.ids import SubOrderId


@dataclass(frozen=True, slots=True)
class PassLimits:
    """The limits of one pass, so that its transaction stays short."""

    sub_orders: int = 100
    files: int = 10_000
    """A pass starts nothing more once it has asked storage for so many files."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A sub-order of the owner's queue, read again under the lock of its order."""

    id: SubOrderId
    rank: datetime
    files: int = 1
    """Files that storage is asked for; 0: a process that begins at once and takes no slot."""
    may_start: bool = True
    """False if it is no longer ready, or its order no longer running, since the queue was read."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What one pass does."""

    start: tuple[SubOrderId, ...]
    """In the order in which they start."""
    waits: Candidate | None = None
    """The first sub-order that waits for capacity of the service or of the tenant; None: none does."""
    again: bool = False
    """True if a further pass is needed, because it may start more within the limits."""


def slots_of_pass(slots: int | None, limits: PassLimits) -> int:
    """Return how many slots a pass may fill; ``slots``: those that the owner has free, None: no limit."""
    return limits.sub_orders if slots is None else min(limits.sub_orders, max(0, slots))


def decide(
    queue: Sequence[Candidate],
    without_slot: Sequence[Candidate],
    *,
    slots: int | None,
    capacity: int | None,
    limits: PassLimits,
) -> Decision:
    """Return which sub-orders a pass starts, which one waits, and if a further pass is needed.

    Args:
        queue: the owner's first sub-orders by rank, one more than ``slots_of_pass``, so that it shows
            if any is left.
        without_slot: the first sub-orders that need neither slot nor capacity, as many as a pass may start.
        slots: how many more the owner's own limits allow; None: they allow all.
        capacity: how many more the limits of tenant and service allow; None: they allow all.
        limits: the limits of the pass.
    """
    wanted = slots_of_pass(slots, limits)
    allowed = wanted if capacity is None else min(wanted, capacity)
    startable = [one for one in queue if one.may_start]
    chosen = _until_enough(startable[:allowed], limits.files)
    left = startable[allowed:]
    changed_meanwhile = any(not one.may_start for one in (*queue, *without_slot))
    more_without_slot = len(without_slot) == limits.sub_orders
    slots_unused = sum(one.files > 0 for one in chosen) < min(allowed, len(queue))
    more_slots = bool(left) and allowed == limits.sub_orders and slots != allowed
    again = changed_meanwhile or more_without_slot or slots_unused or more_slots
    waits = bool(left) and allowed < wanted and not again
    started = [one for one in without_slot if one.may_start] + chosen
    return Decision(
        start=tuple(one.id for one in started),
        waits=left[0] if waits else None,
        again=again,
    )


def _until_enough(candidates: Iterable[Candidate], files: int) -> list[Candidate]:
    """Return the first candidates up to the one that reaches the number of files."""
    chosen: list[Candidate] = []
    asked = 0
    for one in candidates:
        if asked >= files:
            break
        chosen.append(one)
        asked += one.files
    return chosen
