"""Reads, empties and edits the caller's basket (domain.md 3.5 to 3.7)."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime

from rs_order.baskets.changes import BasketChanges, ProcessLimit, searching
from rs_order.core.catalog_datasets import CatalogDatasets
from rs_order.core.errors import FilterAndProcess, NotFound
from rs_order.domain.basket import Basket, BasketChange, DatasetSelection
from rs_order.domain.file_filter import FileFilter, compile_pattern
from rs_order.domain.identity import Caller
from rs_order.domain.ids import DatasetSelectionId
from rs_order.domain.process import ProcessChoice
from rs_order.store.unit_of_work import Store


class EditBasket:
    """What a user does with the basket he has. All raise EmptyBasket when he has none (B2)."""

    def __init__(
        self,
        store: Store,
        changes: BasketChanges,
        datasets: CatalogDatasets,
        limit: ProcessLimit,
    ) -> None:
        self._store = store
        self._changes = changes
        self._datasets = datasets
        self._limit = limit

    async def read(self, caller: Caller) -> Basket:
        return await self._changes.read(caller)

    async def empty(self, caller: Caller) -> None:
        """Take the basket away; no error when there is none (B3)."""
        async with self._store.unit_of_work(caller.tenant) as uow:
            await uow.baskets.delete(caller.email)

    async def set_process(
        self, caller: Caller, selection_id: DatasetSelectionId, process: ProcessChoice | None
    ) -> Basket:
        """Attach a process in the place of any other; None takes it away (B8 to B10).

        Raises:
            NotFound: no such dataset selection in the basket.
            FilterAndProcess: it has a file filter, even an empty one.
            TooManyItems: the process takes less.
            ProcessUnusable, RemoteUnavailable: rs-processing doesn't describe it.
        """

        async def attached(selection: DatasetSelection) -> DatasetSelection:
            if process is not None and selection.file_filter is not None:
                raise FilterAndProcess
            changed = replace(selection, process=process)
            await self._limit.check(caller, changed)
            return changed

        return await self._edit(caller, selection_id, attached)

    async def set_filter(
        self, caller: Caller, selection_id: DatasetSelectionId, wanted: FileFilter | None
    ) -> Basket:
        """Choose which files are ordered; None takes the choice away (B12). The counts stay.

        Raises:
            NotFound: no such dataset selection in the basket.
            FilterAndProcess: it has a process.
            PatternRejectedError: RE2 doesn't take the pattern.
        """

        async def filtered(selection: DatasetSelection) -> DatasetSelection:
            if wanted is not None and selection.process is not None:
                raise FilterAndProcess
            if wanted is not None and wanted.name_pattern:
                compile_pattern(wanted.name_pattern)
            return replace(selection, file_filter=wanted)

        return await self._edit(caller, selection_id, filtered)

    async def remove_dataset(self, caller: Caller, selection_id: DatasetSelectionId) -> Basket:
        """Take a dataset out; nothing changes when it isn't there (B14)."""

        async def removed(basket: Basket) -> BasketChange | None:
            if basket.selection(selection_id) is None:
                return None
            return BasketChange(removed=(selection_id,))

        return await self._changes.apply(caller, removed)

    async def remove_search(
        self, caller: Caller, selection_id: DatasetSelectionId, selected_at: datetime
    ) -> Basket:
        """Take the search of an instant out, with its dataset when it was the last (B15).

        Nothing changes when it isn't there.

        Raises:
            CatalogSearchFailed, RemoteUnavailable: what is left can't be counted; nothing changed (W38).
        """

        async def removed(basket: Basket) -> BasketChange | None:
            selection = basket.selection(selection_id)
            left = selection.without(selected_at) if selection else None
            if left is None or left == selection:
                return None
            if not left.searches:
                return BasketChange(removed=(selection_id,))
            with searching():
                union = await self._datasets.union(caller, left.urn, left.requests)
            return BasketChange(put=(left.counted(union),))

        return await self._changes.apply(caller, removed)

    async def _edit(
        self,
        caller: Caller,
        selection_id: DatasetSelectionId,
        edited: Callable[[DatasetSelection], Awaitable[DatasetSelection]],
    ) -> Basket:
        async def change(basket: Basket) -> BasketChange:
            selection = basket.selection(selection_id)
            if selection is None:
                raise NotFound(f"Basket selection with id {selection_id} doesn't exist")
            return BasketChange(put=(await edited(selection),))

        return await self._changes.apply(caller, change)
