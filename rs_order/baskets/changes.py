"""Changes a basket: reads it, applies a decision, and writes it unless somebody else changed it meanwhile."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Final

from rs_order.core.errors import CatalogSearchFailed, EmptyBasket, ProcessUnusable, TooManyItems
from rs_order.domain.basket import Basket, BasketChange, DatasetSelection
from rs_order.domain.identity import Caller
from rs_order.domain.process import Process, ProcessChoice
from rs_order.ports import BadResponse, Processes, RemoteRejection, RemoteUnavailable
from rs_order.store.errors import StoreConflict
from rs_order.store.unit_of_work import Store


@contextmanager
def searching() -> Iterator[None]:
    """Searches of a basket.

    Raises:
        CatalogSearchFailed: the catalog refused, failed, or answered what can't be read (rest.md 6.1).
        RemoteUnavailable: it gave no answer at all.
    """
    try:
        yield
    except RemoteRejection as error:
        raise CatalogSearchFailed from error
    except RemoteUnavailable as error:
        if error.answered:
            raise CatalogSearchFailed from error
        raise


class ProcessLimit:
    """Asks rs-processing, as the caller, what the attached process takes."""

    def __init__(self, processes: Processes) -> None:
        self._processes = processes

    async def check(self, caller: Caller, selection: DatasetSelection) -> None:
        """Check the selection against its process; one that rs-processing doesn't know limits nothing.

        Raises:
            TooManyItems: the process forbids splitting and the selection exceeds its limit.
            ProcessUnusable: its description can't be had or read.
            RemoteUnavailable: rs-processing gave no answer.
        """
        if selection.process is None:
            return
        process = await self._find(caller, selection.process)
        excess = selection.excess(process) if process else None
        if excess is not None:
            raise TooManyItems(str(excess))

    async def _find(self, caller: Caller, choice: ProcessChoice) -> Process | None:
        try:
            return await self._processes.find(caller, choice.process_id)
        except RemoteRejection as error:
            raise ProcessUnusable(
                f"rs-processing refuses to describe the process {choice.process_id} "
                f"(status {error.status}); choose another one"
            ) from error
        except BadResponse as error:
            raise ProcessUnusable(
                f"Unparsable description info from process plugin with id {choice.process_id}"
            ) from error


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
