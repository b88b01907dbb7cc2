"""The interactive basket: filled, edited, emptied by its user (domain.md 3)."""

from dataclasses import dataclass

from rs_order.application.baskets.add import AddToBasket
from rs_order.application.baskets.edit import EditBasket

__all__ = ["AddToBasket", "BasketUseCases", "EditBasket"]


@dataclass(frozen=True, slots=True)
class BasketUseCases:
    """All that a user does with his basket."""

    add: AddToBasket
    edit: EditBasket
