"""Labels and totals of the datasets in which searches find products, read from the catalog."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Final, TypeVar

from cachetools import TTLCache

from rs_order.domain.files import FileFilter
from rs_order.domain.identity import Caller
from rs_order.domain.ids import Urn
from rs_order.domain.selection import (
    DatasetSelection,
    DatasetSummary,
    DatedSelection,
    SelectionRequest,
    Summary,
)
from rs_order.ports import Catalog

MAX_LABEL: Final = 128
"""Characters of a dataset's label (remote-services.md 2.7)."""
_LABEL_SECONDS: Final = 300
_LABELS_KEPT: Final = 10_000
MAX_CONCURRENT_CALLS: Final = 8
"""The most calls at the same time for one request, since the remote service has other callers."""

Item = TypeVar("Item")
Result = TypeVar("Result")


class CatalogDatasets:
    """Labels and totals of datasets. All calls raise RemoteRejection or RemoteUnavailable."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._labels: TTLCache[Urn, str] = TTLCache(maxsize=_LABELS_KEPT, ttl=_LABEL_SECONDS)
        """Labels by URN; a URN names its tenant."""

    async def found(self, caller: Caller, request: SelectionRequest) -> Summary:
        """Return the products, files and bytes that one search finds, per dataset."""
        return await self._catalog.summarize(caller, [request])

    async def union(
        self, caller: Caller, urn: Urn, requests: Sequence[SelectionRequest]
    ) -> DatasetSummary:
        """Return what searches find in a dataset together; a product counts once (domain.md 3.3)."""
        summary = await self._catalog.summarize(caller, requests)
        nothing = DatasetSummary(urn, 0, 0, 0, {})
        return next((dataset for dataset in summary.datasets if dataset.urn == urn), nothing)

    async def with_searches(
        self,
        caller: Caller,
        selection: DatasetSelection,
        found: Sequence[tuple[SelectionRequest, DatasetSummary]],
    ) -> DatasetSelection:
        """Return the selection with further searches added, and its totals counted again.

        Args:
            caller: the user whose rights limit the searches.
            selection: the selection of the dataset so far.
            found: the added searches, each with the totals that it found in the dataset.
        """
        grown = selection.plus(
            *(DatedSelection(request, one.products, one.types) for request, one in found)
        )
        if len(grown.searches) == 1:
            return grown.counted(found[0][1])
        return grown.counted(await self.union(caller, grown.urn, grown.requests))

    async def selections(
        self,
        caller: Caller,
        found: Sequence[tuple[SelectionRequest, Summary]],
        wanted: FileFilter | None,
    ) -> tuple[DatasetSelection, ...]:
        """Return the selections of all datasets in which searches find files.

        Args:
            caller: the user whose rights limit the searches.
            found: the searches, each with what it finds.
            wanted: the filter of every selection.
        """
        by_dataset: dict[Urn, list[tuple[SelectionRequest, DatasetSummary]]] = defaultdict(list)
        for search, summary in found:
            for dataset in summary.touched_by(search):
                by_dataset[dataset.urn].append((search.within(dataset.urn), dataset))
        return tuple(
            [await self._selection(caller, urn, parts, wanted) for urn, parts in by_dataset.items()]
        )

    async def _selection(
        self,
        caller: Caller,
        urn: Urn,
        parts: Sequence[tuple[SelectionRequest, DatasetSummary]],
        wanted: FileFilter | None,
    ) -> DatasetSelection:
        begun = DatasetSelection.empty(urn, await self.label(caller, urn))
        found = await self.with_searches(caller, begun, parts)
        return replace(found, file_filter=wanted)

    async def label(self, caller: Caller, urn: Urn) -> str:
        """Return the label of a dataset, or its URN if the catalog has no label (W36)."""
        known = self._labels.get(urn)
        if known is None:
            label = await self._catalog.dataset_label(caller, urn)
            known = self._labels[urn] = (label or urn)[:MAX_LABEL]
        return known


async def call_concurrently(
    call: Callable[[Item], Awaitable[Result]],
    items: Sequence[Item],
    *,
    limit: int = MAX_CONCURRENT_CALLS,
) -> list[Result]:
    """Return the result of the call for each item, in the order of the items.

    If a call raises an exception, the other calls are cancelled and the exception is raised.
    """
    if len(items) == 1:  # the most frequent case needs no task
        return [await call(items[0])]
    results: list[Result] = []
    for start in range(0, len(items), limit):
        running = [asyncio.ensure_future(call(item)) for item in items[start : start + limit]]
        try:
            results += await asyncio.gather(*running)
        finally:
            for one in running:
                one.cancel()
    return results
