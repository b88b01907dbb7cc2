"""Adds what searches find to the caller's basket (domain.md 3.2 to 3.4)."""

from collections import defaultdict
from collections.abc import AsyncIterable, Mapping, Sequence
from functools import partial

from rs_order.baskets.changes import BasketChanges, ProcessLimit, searching
from rs_order.baskets.product_ids import read_ids, searches_of
from rs_order.contracts.basket_bodies import BasketSelectionRequest
from rs_order.core.catalog_datasets import CatalogDatasets
from rs_order.core.concurrency import call_concurrently
from rs_order.core.errors import EmptySelection, InvalidInput, TooManyItems
from rs_order.domain.basket import MAX_SEARCHES, Basket, BasketChange, DatasetSelection
from rs_order.domain.identity import Caller
from rs_order.domain.ids import Urn
from rs_order.domain.selection import DatasetSummary, SelectionRequest
from rs_order.ports import Clock

_Found = Mapping[Urn, Sequence[tuple[SelectionRequest, DatasetSummary]]]
"""The searches that find files in each dataset, and what."""


class AddToBasket:
    """Searches first, as the caller; then everything is written in one commit, or nothing (W37)."""

    def __init__(
        self,
        changes: BasketChanges,
        datasets: CatalogDatasets,
        limit: ProcessLimit,
        clock: Clock,
        *,
        max_lines: int,
    ) -> None:
        """``max_lines``: of an uploaded file."""
        self._changes = changes
        self._datasets = datasets
        self._limit = limit
        self._clock = clock
        self._max_lines = max_lines

    async def selection(self, caller: Caller, request: BasketSelectionRequest) -> Basket:
        """Add one search; the basket as it is then.

        A caller without a basket has one afterwards even when nothing was added (rest.md 6.1).

        Raises:
            InvalidInput: the engine is missing.
            EmptySelection: the search finds no file that can be ordered.
            TooManyItems: a process, or the catalog, takes no more.
            CatalogSearchFailed, ProcessUnusable, RemoteUnavailable: a service doesn't do its part.
            StoreConflict: the basket never kept still.
        """
        if not (request.engine_type or "").strip():
            raise InvalidInput("engineType: Engine type may not be empty")
        return await self._add(caller, [request.selection_request(self._clock.now())])

    async def uploaded(self, caller: Caller, file: AsyncIterable[bytes]) -> Basket:
        """Add the products named in a text file, one id a line (domain.md 3.4, decisions.md).

        Raises:
            TooManyLines: more lines than allowed.
            UnreadableUpload: not UTF-8.
            EmptySelection: no line names a product with files that can be ordered.
            TooManyItems, CatalogSearchFailed, ProcessUnusable, RemoteUnavailable, StoreConflict: as above.
        """
        ids = await read_ids(file, self._max_lines)
        if not ids:
            raise EmptySelection
        return await self._add(caller, searches_of(ids, self._clock.now()))

    async def _add(self, caller: Caller, requests: Sequence[SelectionRequest]) -> Basket:
        await self._changes.read(caller, create=True)
        with searching():
            found = await self._search(caller, requests)
        if not found:
            raise EmptySelection
        return await self._changes.apply(caller, partial(self._grow, caller, found), create=True)

    async def _search(self, caller: Caller, requests: Sequence[SelectionRequest]) -> _Found:
        summaries = await call_concurrently(partial(self._datasets.found, caller), requests)
        found: dict[Urn, list[tuple[SelectionRequest, DatasetSummary]]] = defaultdict(list)
        for request, summary in zip(requests, summaries, strict=True):
            for dataset in summary.touched_by(request):
                found[dataset.urn].append((request, dataset))
        return found

    async def _grow(self, caller: Caller, found: _Found, basket: Basket) -> BasketChange:
        """Every dataset touched, with the new searches (B4)."""
        grown = await call_concurrently(partial(self._grown, caller, found, basket), list(found))
        return BasketChange(put=tuple(grown))

    async def _grown(
        self, caller: Caller, found: _Found, basket: Basket, urn: Urn
    ) -> DatasetSelection:
        known = basket.of_dataset(urn)
        if len(found[urn]) + (len(known.searches) if known else 0) > MAX_SEARCHES:
            raise TooManyItems(
                f"A dataset takes at most {MAX_SEARCHES} selections; order what is in the basket, or "
                f"take selections of dataset {known.label if known else urn} out of it"
            )
        with searching():
            if known is None:
                known = DatasetSelection.begun(urn, await self._datasets.label(caller, urn))
            grown = await self._datasets.with_searches(caller, known, found[urn])
        await self._limit.check(caller, grown)
        return grown
