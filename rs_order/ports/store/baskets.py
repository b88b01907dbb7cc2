"""Baskets of users, until an order consumes them."""

from typing import Protocol

from rs_order.domain.basket import Basket, BasketChange


class Baskets(Protocol):
    """Interactive baskets. Those of orders, automatic ones included, are never seen here (W12)."""

    async def of(self, owner: str) -> Basket | None:
        """The owner's basket with all that is in it; None when he has none."""
        ...

    async def create(self, owner: str) -> None:
        """Give the owner a basket unless he has one (B2)."""
        ...

    async def save(self, basket: Basket, change: BasketChange) -> None:
        """Write a change of a basket as it was read.

        Raises:
            StoreConflict: it has changed since, was consumed by an order, or is gone; read it again.
        """
        ...

    async def delete(self, owner: str) -> None:
        """Nothing happens when the owner has none (B3)."""
        ...
