"""Reads, empties and edits the caller's basket (domain.md 3.5 to 3.7)."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime

from rs_order.baskets.changes import BasketChanges, ProcessLimits, catalog_errors
from rs_order.core.catalog_datasets import CatalogDatasets
from rs_order.core.errors import FilterAndProcess, NotFound
from rs_order.domain.files import FileFilter, compile_pattern
from rs_order.domain.identity import Caller
from rs_order.domain.ids import DatasetSelectionId
from rs_order.domain.process import ProcessChoice
from rs_order.domain.selection import Basket, BasketChange, DatasetSelection
from rs_order.store.unit_of_work import Store


class EditBasket:
    """Edits an existing basket. All methods but ``empty`` raise EmptyBasket if there is none (B2).

    The methods that change the basket return the changed one, and raise StoreConflict if other changes were
    faster at every attempt, and InMaintenance.
    """

    def __init__(
        self,
        store: Store,
        changes: BasketChanges,
        datasets: CatalogDatasets,
        limits: ProcessLimits,
    ) -> None:
        self._store = store
        self._changes = changes
        self._datasets = datasets
        self._limits = limits

    async def read(self, caller: Caller) -> Basket:
        """Return the caller's basket."""
        return await self._changes.read(caller)

    async def empty(self, caller: Caller) -> None:
        """Delete the basket, if there is one (B3)."""
        await self._store.baskets.delete(caller.tenant, caller.email)

    async def set_process(
        self, caller: Caller, selection_id: DatasetSelectionId, process: ProcessChoice | None
    ) -> Basket:
        """Attach a process to a dataset selection, instead of any other; None detaches it (B8 to B10).

        Raises:
            NotFound: the basket has no such dataset selection.
            FilterAndProcess: the selection has a file filter, even an empty one.
            TooManyItems: the selection exceeds the limit of the process.
            ProcessUnusable: rs-processing gave no usable description of the process.
            RemoteUnavailable: rs-processing didn't answer.
        """

        async def attach(selection: DatasetSelection) -> DatasetSelection:
            if process is not None and selection.file_filter is not None:
                raise FilterAndProcess
            changed = replace(selection, process=process)
            await self._limits.check(caller, changed)
            return changed

        return await self._edit(caller, selection_id, attach)

    async def set_filter(
        self, caller: Caller, selection_id: DatasetSelectionId, wanted: FileFilter | None
    ) -> Basket:
        """Set the file filter of a dataset selection; None removes it (B12). The counts stay.

        Raises:
            NotFound: the basket has no such dataset selection.
            FilterAndProcess: the selection has a process.
            PatternRejectedError: the pattern isn't valid in RE2.
        """

        async def set_filter(selection: DatasetSelection) -> DatasetSelection:
            if wanted is not None and selection.process is not None:
                raise FilterAndProcess
            if wanted is not None and wanted.name_pattern:
                await asyncio.to_thread(compile_pattern, wanted.name_pattern)
            return replace(selection, file_filter=wanted)

        return await self._edit(caller, selection_id, set_filter)

    async def remove_dataset(self, caller: Caller, selection_id: DatasetSelectionId) -> Basket:
        """Remove a dataset from the basket, if it is there (B14)."""

        async def remove(basket: Basket) -> BasketChange | None:
            if basket.selection(selection_id) is None:
                return None
            return BasketChange(removed=(selection_id,))

        return await self._changes.apply(caller, remove)

    async def remove_search(
        self, caller: Caller, selection_id: DatasetSelectionId, selected_at: datetime
    ) -> Basket:
        """Remove the search of a date, if it is there. The last search takes its dataset with it (B15).

        Raises:
            CatalogSearchFailed, RemoteUnavailable: the remaining searches can't be counted; nothing was
                changed (W38).
        """

        async def remove(basket: Basket) -> BasketChange | None:
            selection = basket.selection(selection_id)
            left = selection.without(selected_at) if selection else None
            if left is None or left == selection:
                return None
            if not left.searches:
                return BasketChange(removed=(selection_id,))
            with catalog_errors():
                union = await self._datasets.union(caller, left.urn, left.requests)
            return BasketChange(put=(left.counted(union),))

        return await self._changes.apply(caller, remove)

    async def _edit(
        self,
        caller: Caller,
        selection_id: DatasetSelectionId,
        edit: Callable[[DatasetSelection], Awaitable[DatasetSelection]],
    ) -> Basket:
        """Replace a dataset selection by the result of ``edit``."""

        async def change(basket: Basket) -> BasketChange:
            selection = basket.selection(selection_id)
            if selection is None:
                raise NotFound(f"Basket selection with id {selection_id} doesn't exist")
            return BasketChange(put=(await edit(selection),))

        return await self._changes.apply(caller, change)
