"""How every change of a basket is made: read, decide, write what nobody else has changed meanwhile."""

from collections.abc import Awaitable, Callable
from typing import Final

from rs_order.application.errors import EmptyBasket
from rs_order.domain.basket import Basket, BasketChange
from rs_order.domain.identity import Caller
from rs_order.store.errors import StoreConflict
from rs_order.store.unit_of_work import Store

ATTEMPTS: Final = 10
"""How often a change begins again: others of the same basket may be faster, each at most once a time."""

Decide = Callable[[Basket], Awaitable[BasketChange | None]]
"""From a basket to what becomes of it; None: nothing. Remote services may be asked."""


class BasketChanges:
    """Reads and changes the basket of a caller. No transaction is open while services are asked."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def read(self, caller: Caller, *, create: bool = False) -> Basket:
        """The caller's basket.

        Args:
            caller: whose basket.
            create: whether a caller without a basket gets one.

        Raises:
            EmptyBasket: he has none (B2).
        """
        async with self._store.unit_of_work(caller.tenant) as uow:
            if create:
                await uow.baskets.create(caller.email)
            basket = await uow.baskets.of(caller.email)
        if basket is None:
            raise EmptyBasket
        return basket

    async def apply(self, caller: Caller, decide: Decide, *, create: bool = False) -> Basket:
        """Change the caller's basket; the basket as it is then.

        Args:
            caller: whose basket.
            decide: called again, with the basket as it is by then, when somebody else was faster.
            create: whether a caller without a basket gets one.

        Raises:
            EmptyBasket: he has none.
            StoreConflict: others were faster time and again; nothing was changed.
        """
        for _ in range(ATTEMPTS - 1):
            try:
                return await self._attempt(caller, decide, create=create)
            except StoreConflict:
                continue
        return await self._attempt(caller, decide, create=create)

    async def _attempt(self, caller: Caller, decide: Decide, *, create: bool) -> Basket:
        basket = await self.read(caller, create=create)
        change = await decide(basket)
        if change is None:
            return basket
        async with self._store.unit_of_work(caller.tenant) as uow:
            await uow.baskets.save(basket, change)
            changed = await uow.baskets.of(caller.email)
        if changed is None:
            raise StoreConflict(f"basket {basket.id} is gone")
        return changed
