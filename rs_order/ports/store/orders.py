"""Orders: made, locked, written back."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from rs_order.domain.basket import DatasetSelection
from rs_order.domain.ids import (
    BasketId,
    Checksum,
    OrderId,
    RequestId,
)
from rs_order.domain.moves import Reason
from rs_order.domain.order import Order


@dataclass(frozen=True, slots=True)
class NewOrder:
    """An order to be created, with the basket it consumes: one of its own, or the user's (B16)."""

    owner: str
    role: str
    label: str
    correlation_id: str
    request_id: RequestId | None
    sub_order_hours: int
    created_at: datetime
    selections: tuple[DatasetSelection, ...] = ()
    """What its own basket is made of."""
    basket: BasketId | None = None
    """The interactive basket that it takes from its user instead; held by the unit of work."""
    front_url: str | None = None
    """Path below the project's address, for the mail that tells the user of it."""


class Orders(Protocol):
    async def labels_taken(self, wanted: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
        """Which (owner, label) pairs are in use, by orders of any status; of these, numbered forms too."""
        ...

    async def hold_basket(self, owner: str) -> BasketId | None:
        """Lock the user's interactive basket, None when he has none."""
        ...

    async def create(self, orders: Sequence[NewOrder]) -> list[OrderId]:
        """Orders in status PENDING with their baskets and a completion that has not begun.

        Raises:
            StoreConflict: somebody took a label meanwhile; look again which are taken.
        """
        ...

    async def lock(self, ids: Sequence[OrderId]) -> list[Order]:
        """Lock and load, by ascending id; unknown ids are left out."""
        ...

    async def owner(self, order_id: OrderId) -> str | None:
        """Whose order it is, which never changes; None when there is no such order."""
        ...

    async def has_process(self, order_id: OrderId) -> bool:
        """Whether one of its datasets is processed."""
        ...

    async def has_basket(self, order_id: OrderId) -> bool:
        """Whether the basket it was made of is still there."""
        ...

    async def copy_selections(self, source: OrderId, target: OrderId) -> None:
        """Copy what an order was made of into the empty basket of another, dates included (B17)."""
        ...

    async def remove(self, order: Order, *, reason: Reason, actor: str, at: datetime) -> None:
        """Delete a locked order with its basket and dataset tasks; the history ends with ``REMOVED``.

        Its sub-orders and files are left to slices.
        """
        ...

    async def lock_awaiting(self, checksums: Sequence[Checksum]) -> list[Order]:
        """Lock and load the orders that a word of storage about these checksums can change."""
        ...

    async def save(self, orders: Sequence[Order], at: datetime) -> None:
        """Write orders back, their moves into the history."""
        ...
