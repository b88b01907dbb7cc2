"""Adds the products of searches to the caller's basket (domain.md 3.2 to 3.4)."""

from collections import defaultdict
from collections.abc import AsyncIterable, Mapping, Sequence
from functools import partial

from rs_order.baskets.changes import BasketChanges, ProcessLimits, catalog_errors
from rs_order.baskets.product_ids import read_ids
from rs_order.contracts.basket_bodies import BasketSelectionRequest
from rs_order.core.catalog_datasets import CatalogDatasets, call_concurrently
from rs_order.core.errors import EmptySelection, InvalidInput, TooManyItems
from rs_order.core.product_searches import searches_of
from rs_order.domain.identity import Caller
from rs_order.domain.ids import Urn
from rs_order.domain.selection import (
    MAX_SEARCHES,
    Basket,
    BasketChange,
    DatasetSelection,
    DatasetSummary,
    SelectionRequest,
)
from rs_order.ports import Clock

_Found = Mapping[Urn, Sequence[tuple[SelectionRequest, DatasetSummary]]]
"""For each dataset, the searches that find files in it, with their totals."""


class AddToBasket:
    """Adds searches to a basket: first it runs all as the caller, then it writes them in one commit (W37).

    A caller without a basket gets one, even if nothing is added (rest.md 6.1).
    """

    def __init__(
        self,
        changes: BasketChanges,
        datasets: CatalogDatasets,
        limits: ProcessLimits,
        clock: Clock,
        *,
        max_lines: int,
    ) -> None:
        """``max_lines`` is the most lines of an uploaded file."""
        self._changes = changes
        self._datasets = datasets
        self._limits = limits
        self._clock = clock
        self._max_lines = max_lines

    async def selection(self, caller: Caller, request: BasketSelectionRequest) -> Basket:
        """Add one search. Return the changed basket.

        A caller without a basket gets one, even if nothing is added (rest.md 6.1).

        Raises:
            InvalidInput: the engine is missing.
            EmptySelection: the search finds no file that can be ordered.
            TooManyItems: the limit of a process, or of the searches in a dataset, is exceeded.
            CatalogSearchFailed: the catalog rejected the search, or failed.
            ProcessUnusable: rs-processing gave no usable description of an attached process.
            RemoteUnavailable: a service doesn't answer.
            InMaintenance: the caller's tenant is in maintenance.
            StoreConflict: other changes of the basket were faster at every attempt.
        """
        if not (request.engine_type or "").strip():
            raise InvalidInput("engineType: Engine type may not be empty")
        return await self._add(caller, [request.selection_request(self._clock.now())])

    async def uploaded(self, caller: Caller, file: AsyncIterable[bytes]) -> Basket:
        """Add the products named in a text file, one id per line (domain.md 3.4, decisions.md).

        Raises:
            TooManyLines: the file has more lines than allowed.
            UnreadableUpload: the file isn't UTF-8 text.
            EmptySelection: no line names a product with files that can be ordered.
            TooManyItems, CatalogSearchFailed, ProcessUnusable, RemoteUnavailable, StoreConflict: see
                ``selection``.
        """
        ids = await read_ids(file, self._max_lines)
        if not ids:
            raise EmptySelection
        return await self._add(caller, searches_of(ids, self._clock.now()))

    async def _add(self, caller: Caller, requests: Sequence[SelectionRequest]) -> Basket:
        basket = await self._changes.to_change(caller)
        try:
            found = await self._search(caller, requests)
            decide = partial(self._with_searches, caller, found)
            return await self._changes.apply(caller, decide, create=True, known=basket)
        except Exception:
            if basket.id is None:
                await self._changes.create(caller)
            raise

    async def _search(self, caller: Caller, requests: Sequence[SelectionRequest]) -> _Found:
        """Run the searches, several at a time.

        Raises:
            EmptySelection: none of them finds a file that can be ordered.
        """
        with catalog_errors():
            summaries = await call_concurrently(partial(self._datasets.found, caller), requests)
        found: dict[Urn, list[tuple[SelectionRequest, DatasetSummary]]] = defaultdict(list)
        for request, summary in zip(requests, summaries, strict=True):
            for dataset in summary.touched_by(request):
                found[dataset.urn].append((request, dataset))
        if not found:
            raise EmptySelection
        return found

    async def _with_searches(self, caller: Caller, found: _Found, basket: Basket) -> BasketChange:
        """Return the change that adds the searches to every dataset in which they find files (B4)."""
        selection_of = partial(self._selection_of, caller, found, basket)
        return BasketChange(put=tuple(await call_concurrently(selection_of, list(found))))

    async def _selection_of(
        self, caller: Caller, found: _Found, basket: Basket, urn: Urn
    ) -> DatasetSelection:
        """Return the selection of a dataset with the new searches, counted again."""
        known = basket.of_dataset(urn)
        if len(found[urn]) + (len(known.searches) if known else 0) > MAX_SEARCHES:
            raise TooManyItems(
                f"A dataset takes at most {MAX_SEARCHES} selections; order what is in the basket, or "
                f"take selections of dataset {known.label if known else urn} out of it"
            )
        with catalog_errors():
            if known is None:
                known = DatasetSelection.empty(urn, await self._datasets.label(caller, urn))
            grown = await self._datasets.with_searches(caller, known, found[urn])
        await self._limits.check(caller, grown)
        return grown
