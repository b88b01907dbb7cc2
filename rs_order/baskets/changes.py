"""Changes a basket: reads it, applies a decision, and writes it, unless it was changed in the meantime."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Final

from rs_order.core.errors import (
    CatalogSearchFailed,
    EmptyBasket,
    InMaintenance,
    ProcessUnusable,
    TooManyItems,
)
from rs_order.domain.identity import Caller
from rs_order.domain.process import Process, ProcessChoice
from rs_order.domain.selection import Basket, BasketChange, DatasetSelection
from rs_order.ports import BadResponse, Processes, RemoteRejection, RemoteUnavailable
from rs_order.store.errors import StoreConflict
from rs_order.store.unit_of_work import Store


@contextmanager
def catalog_errors() -> Iterator[None]:
    """Convert the errors of catalog searches.

    Raises:
        CatalogSearchFailed: the catalog rejected a search, failed, or gave a bad response (rest.md 6.1).
        RemoteUnavailable: the catalog didn't answer.
    """
    try:
        yield
    except RemoteRejection as error:
        raise CatalogSearchFailed from error
    except RemoteUnavailable as error:
        if error.answered:
            raise CatalogSearchFailed from error
        raise


class ProcessLimits:
    """Checks dataset selections against the limits of their processes, which rs-processing describes."""

    def __init__(self, processes: Processes) -> None:
        self._processes = processes

    async def check(self, caller: Caller, selection: DatasetSelection) -> None:
        """Check the selection against its process, if it has one that rs-processing knows.

        Raises:
            TooManyItems: the process forbids splitting, and the selection exceeds its limit.
            ProcessUnusable: rs-processing rejected the call, or its description can't be read.
            RemoteUnavailable: rs-processing didn't answer.
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
"""The most attempts at one change. An attempt fails when another change of the basket is faster."""

Decide = Callable[[Basket], Awaitable[BasketChange | None]]
"""Returns the change of a basket; None: there is none. It may call remote services."""


class BasketChanges:
    """Reads and changes the basket of a caller. No transaction is open during calls of services."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def read(self, caller: Caller) -> Basket:
        """Return the caller's basket.

        Raises:
            EmptyBasket: the caller has no basket (B2).
        """
        basket = await self._store.baskets.of(caller.tenant, caller.email)
        if basket is None:
            raise EmptyBasket
        return basket

    async def to_change(self, caller: Caller) -> Basket:
        """Return the caller's basket, or a new one that isn't stored yet.

        Raises:
            InMaintenance: the caller's tenant is in maintenance.
        """
        found = await self._store.baskets.to_change(caller.tenant, caller.email)
        if found.in_maintenance:
            raise InMaintenance(caller.tenant)
        return found.basket or Basket.new(caller.email)

    async def create(self, caller: Caller) -> None:
        """Create an empty basket for the caller, unless there is one."""
        await self._store.baskets.create(caller.tenant, caller.email)

    async def apply(
        self, caller: Caller, decide: Decide, *, create: bool = False, known: Basket | None = None
    ) -> Basket:
        """Change the caller's basket. Return the changed basket.

        Args:
            caller: the owner of the basket.
            decide: called again with the new basket when another change was faster.
            create: a caller without a basket gets one.
            known: the basket as it was read a moment ago. It is read again if it was changed since then.

        Raises:
            EmptyBasket: the caller has no basket.
            InMaintenance: the caller's tenant is in maintenance.
            StoreConflict: other changes were faster at every attempt; nothing was changed.
        """
        for _ in range(ATTEMPTS - 1):
            try:
                return await self._attempt(caller, decide, known, create=create)
            except StoreConflict:
                known = None
        return await self._attempt(caller, decide, None, create=create)

    async def _attempt(
        self, caller: Caller, decide: Decide, known: Basket | None, *, create: bool
    ) -> Basket:
        basket = known or await self.to_change(caller)
        if basket.id is None and not create:
            raise EmptyBasket
        change = await decide(basket)
        if change is None:
            return basket
        return await self._store.baskets.change(caller.tenant, basket, change)
