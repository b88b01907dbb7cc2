"""Shares of the capacity: who claims how much of it (waiting.md T2).

Free capacity is promised to the owners who wait, one sub-order each, in the order of their shares. A pass
takes what was promised to its owner, and more only if no other owner waits.
"""

from collections.abc import Iterable, Sequence
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


class LimitKind(StrEnum):
    """What has limits of its own, beside the service."""

    TENANT = "tenant"
    USER = "user"
    """Each user of a tenant."""


MOST: Final = 10**18
"""The highest limit."""


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

    def __add__(self, other: "Amount") -> "Amount":
        return Amount(
            self.sub_orders + other.sub_orders,
            self.files + other.files,
            self.bytes + other.bytes,
        )


NOTHING: Final = Amount()


@dataclass(frozen=True, slots=True)
class Room:
    """A limit of what is in flight at storage, and what counts towards it already."""

    limit: Amount = NOTHING
    """0: none."""
    taken: Amount = NOTHING
    """In use, or promised to others."""

    def has(self, amount: Amount) -> bool:
        """True if an amount fits. One that is larger than the whole limit does if nothing is in flight."""
        if amount == NOTHING or self.taken.sub_orders == 0:
            return True
        most, total = self.limit, self.taken + amount
        return (
            (not most.sub_orders or total.sub_orders <= most.sub_orders)
            and (not most.files or total.files <= most.files)
            and (not most.bytes or total.bytes <= most.bytes)
        )

    def without(self, amount: Amount) -> "Room":
        """Return the room that is left when an amount is taken."""
        return Room(self.limit, self.taken + amount)

    def fitting(self, amounts: Iterable[Amount]) -> int:
        """Return how many amounts fit together, from the first one on."""
        room, number = self, 0
        for amount in amounts:
            if not room.has(amount):
                break
            room, number = room.without(amount), number + 1
        return number


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits that concern a tenant; 0 in one: none."""

    tenant: Tenant
    of_service: Amount
    of_tenant: Amount
    of_user: Amount
    """Of each user."""
    in_flight: Amount | None
    """What storage was asked for, or is asked for at once, for the tenant; None: it isn't counted."""


@dataclass(frozen=True, slots=True)
class Waiter:
    """An owner who waits for capacity."""

    tenant: Tenant
    owner: str
    rank: datetime
    """Of their next sub-order."""
    asks: Amount = NOTHING
    """What it asks of storage."""
    tenant_room: Room = Room()


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
    """True if other owners wait to whom nothing is promised yet, and only the service holds them up."""
    taken: Amount = NOTHING
    """In use or promised to others, of all tenants."""
    tenant: Room = Room()
    tenant_waits: bool = False
    """True if the tenant has limits, and other owners of it wait."""
    user: Room = Room()

    def allowance(self, limit: Amount, wanted: Sequence[Amount]) -> int:
        """Return how many of the wanted sub-orders, from the first one on, the pass may start.

        ``limit``: of the service. The limits of each user aren't looked at.
        """
        fitting = min(Room(limit, self.taken).fitting(wanted), self.tenant.fitting(wanted))
        serves_others = self.tenant_waits or (self.others_wait and limit != NOTHING)
        return min(fitting, int(self.woken)) if serves_others else fitting


def to_promise(waiters: Iterable[Waiter], service: Room) -> list[Waiter]:
    """Return the owners to whom capacity is promised now, of those who start next.

    If there is no room for the first one, no later one overtakes it. One whose tenant has no room holds up
    only its tenant.
    """
    chosen: list[Waiter] = []
    rooms: dict[Tenant, Room | None] = {}
    for waiter in waiters:
        room = rooms.get(waiter.tenant, waiter.tenant_room)
        if room is None or not room.has(waiter.asks):
            rooms[waiter.tenant] = None
            continue
        if not service.has(waiter.asks):
            break
        chosen.append(waiter)
        service, rooms[waiter.tenant] = service.without(waiter.asks), room.without(waiter.asks)
    return chosen
