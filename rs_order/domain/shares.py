"""Shares of the capacity: who claims how much of it (waiting.md T2).

Free capacity is promised to the owners who wait, one sub-order each, in the order of their shares. A pass
takes what was promised to its owner, and more only if no other owner waits.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from rs_order.domain.ids import Tenant

HALF_LIFE: Final = timedelta(hours=6)
"""The default of the time in which recent use is halved."""
LIGHTEST: Final = 0.001
HEAVIEST: Final = 1000.0


class ShareKind(StrEnum):
    """The kind of object that has a weight."""

    TENANT = "tenant"
    ROLE = "role"
    """Its weight is the default of its users."""
    USER = "user"


@dataclass(frozen=True, slots=True)
class Share:
    """The weight and the recent use of a tenant or user, or the weight of a role."""

    kind: ShareKind
    name: str
    weight: float | None
    """None: the default."""
    used_bytes: float | None
    """Bytes that storage was asked for, halved with each half-life; None for a role."""


@dataclass(frozen=True, slots=True)
class Amount:
    """What storage is asked for."""

    sub_orders: int = 0
    files: int = 0
    bytes: int = 0

    @property
    def use(self) -> int:
        """Return the bytes by which recent use grows. If no file has a size, each counts as 1 MiB."""
        return self.bytes or self.files * 2**20

    def without(self, files: int, size: int) -> "Amount":
        """Return the amount without files of so many bytes, which count for another sub-order."""
        return Amount(self.sub_orders, self.files - files, self.bytes - size)


@dataclass(frozen=True, slots=True)
class Waiter:
    """An owner who waits for capacity."""

    tenant: Tenant
    owner: str
    rank: datetime
    """Of their next sub-order."""


@dataclass(frozen=True, slots=True)
class CapacityQueue:
    """The capacity of the service, and the owners who start next."""

    limit: int
    """0: no limit, so that nobody waits."""
    used: int
    promised: int
    """Owners who were woken and start at once."""
    next: Sequence[Waiter]


@dataclass(frozen=True, slots=True)
class Claims:
    """The claims on the capacity of the service, as the pass of an owner finds them."""

    used: int
    """Sub-orders that storage was asked for and has not settled."""
    promised: int
    """Other owners who were woken and whose passes haven't come yet: one sub-order each."""
    woken: bool
    """True if capacity is promised to the owner."""
    others_wait: bool
    """True if other owners wait to whom nothing is promised yet."""

    def allowance(self, limit: int) -> int:
        """Return how many sub-orders the pass may start, if the service may run ``limit``."""
        free = max(0, limit - self.used - self.promised)
        return min(free, int(self.woken)) if self.others_wait else free
