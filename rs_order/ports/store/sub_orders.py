"""Sub-orders and the limits they run under."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from rs_order.domain.ids import (
    OrderId,
    SubOrderId,
    Tenant,
)
from rs_order.domain.moves import Reason
from rs_order.domain.sub_order import SubOrder


@dataclass(frozen=True, slots=True)
class SubOrderCount:
    """How many sub-orders an order has, and how many of them give it time to live."""

    total: int
    storage: int
    """Those of stored files and of processes; not those of files attached to a processed dataset."""


@dataclass(frozen=True, slots=True)
class ReadySubOrder:
    id: SubOrderId
    order_id: OrderId
    rank: datetime


@dataclass(frozen=True, slots=True)
class ReleasedSubOrder:
    """One that ran, processed or waited, and is deleted."""

    id: SubOrderId
    owner: str


class SubOrders(Protocol):
    async def load(self, ids: Sequence[SubOrderId]) -> list[SubOrder]:
        """Sub-orders by ascending id, in orders that the caller has locked."""
        ...

    async def waiting_of_order(
        self, order_id: OrderId, since: SubOrderId | None = None
    ) -> list[SubOrder]:
        """Those, from an id on, whose files wait for the user's download, by ascending id."""
        ...

    async def count_of_order(
        self, order_id: OrderId, since: SubOrderId | None = None
    ) -> SubOrderCount:
        """Those of an order, from an id on."""
        ...

    async def save(
        self, sub_orders: Sequence[SubOrder], *, reason: Reason | None, at: datetime
    ) -> None:
        """Write sub-orders back; changes of state go to the history (``reason`` None: there are none)."""
        ...

    async def stop(
        self, order_id: OrderId, limit: int, *, reason: Reason, at: datetime
    ) -> list[SubOrderId]:
        """Make up to ``limit`` running sub-orders of a locked order READY again, their ranks kept; which."""
        ...

    async def remove(self, sub_orders: Sequence[SubOrder], *, reason: Reason, at: datetime) -> None:
        """Delete sub-orders that have lost every file; the history ends with ``REMOVED``."""
        ...

    async def lock_owner(self, owner: str) -> None:
        """Only one scheduling round of an owner at a time, until the unit of work ends."""
        ...

    async def slots_taken(self, owner: str) -> int:
        """Sub-orders that count against the owner's limit (domain.md 6.1)."""
        ...

    async def owners_ready(self) -> list[str]:
        """Owners who have a ready sub-order."""
        ...

    async def next_ready(
        self, owner: str, limit: int | None, *, asks_storage: bool = True
    ) -> list[ReadySubOrder]:
        """The owner's next sub-orders of running orders by rank.

        Args:
            owner: whose.
            limit: at most so many; None: all of them.
            asks_storage: those that need a slot, or those that need none to start: processes of
                external files.
        """
        ...

    async def release(self, order_ids: Sequence[OrderId], limit: int) -> list[ReleasedSubOrder]:
        """Delete up to ``limit`` sub-orders of gone orders that run, process or wait: nothing follows."""
        ...

    async def delete_slice(self, order_id: OrderId, limit: int) -> int:
        """Delete up to ``limit`` sub-orders of an order; how many went."""
        ...


class Limits(Protocol):
    """What the limit of the service needs to know of all tenants."""

    async def lock(self) -> None: ...

    async def running(self) -> int:
        """Sub-orders asked of storage and not settled, in all tenants."""
        ...

    async def started(self, owner: str, sub_orders: Sequence[SubOrderId]) -> None: ...

    async def ended(self, sub_orders: Sequence[SubOrderId]) -> None: ...

    async def wait(self, owner: str, rank: datetime) -> None:
        """The owner has a sub-order ready, but the service is at its limit."""
        ...

    async def next_users(self, limit: int) -> list[tuple[Tenant, str]]:
        """Take the users whose turn it is: fewest running sub-orders first, then by rank."""
        ...
