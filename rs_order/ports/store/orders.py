"""Orders: made, locked, written back."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from rs_order.domain.basket import DatasetSelection
from rs_order.domain.ids import (
    Checksum,
    OrderId,
    RequestId,
)
from rs_order.domain.order import Order


@dataclass(frozen=True, slots=True)
class NewOrder:
    """An order to be created, with the basket it consumes."""

    owner: str
    role: str
    label: str
    correlation_id: str
    request_id: RequestId | None
    sub_order_hours: int
    created_at: datetime
    selections: tuple[DatasetSelection, ...]


class Orders(Protocol):
    async def labels_taken(self, wanted: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
        """Which (owner, label) pairs are in use, by orders of any status; of these, numbered forms too."""
        ...

    async def create(self, orders: Sequence[NewOrder]) -> list[OrderId]:
        """Orders in status PENDING with their baskets and a completion that has not begun."""
        ...

    async def lock(self, ids: Sequence[OrderId]) -> list[Order]:
        """Lock and load, by ascending id; unknown ids are left out."""
        ...

    async def lock_awaiting(self, checksums: Sequence[Checksum]) -> list[Order]:
        """Lock and load the orders that a word of storage about these checksums can change."""
        ...

    async def save(self, orders: Sequence[Order], at: datetime) -> None:
        """Write orders back, their moves into the history."""
        ...
