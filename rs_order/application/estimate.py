"""What a request amounts to: its queries become the basket of the order, or the reason for refusing it."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from cachetools import TTLCache

from rs_order.application.links import Links
from rs_order.application.refusal import Refusal
from rs_order.application.request_rules import file_filter, unknown_user
from rs_order.contracts.order_request import OrderRequest
from rs_order.contracts.order_response import ErrorType, ResponseStatus
from rs_order.domain.file_filter import FileFilter
from rs_order.domain.identity import Caller
from rs_order.domain.ids import Tenant, Urn
from rs_order.domain.selection import DatasetSummary, SelectionRequest
from rs_order.ports.catalog import Catalog
from rs_order.ports.clock import Clock
from rs_order.ports.directory import User, Users
from rs_order.ports.errors import RemoteRefusal
from rs_order.ports.store import DatasetSelection, DatedSelection

CATALOG_SEARCH_FAILED = (
    "CatalogSearchException: Error applying search queries. Please correct your requests. "
    "Maybe your queries contains unknown attributes"
)
EMPTY_SELECTION = "EmptySelectionException: This selection contains no file that can be ordered"
MAX_LABEL = 128
_LABEL_SECONDS = 300
_CONCURRENT_QUERIES = 8


@dataclass(frozen=True, slots=True)
class Estimate:
    """A request that can be granted."""

    user: User
    selections: tuple[DatasetSelection, ...]


class Estimator:
    """Asks rs-admin who the user is and the catalog what the queries find, with the user's own role."""

    def __init__(self, users: Users, catalog: Catalog, links: Links, clock: Clock) -> None:
        self._users = users
        self._catalog = catalog
        self._links = links
        self._clock = clock
        self._labels: TTLCache[Urn, str] = TTLCache(maxsize=10_000, ttl=_LABEL_SECONDS)
        """Labels by URN; a URN names its tenant."""

    async def estimate(self, tenant: Tenant, request: OrderRequest) -> Estimate | Refusal:
        """Judge one well-formed request.

        Raises:
            RemoteTrouble: a service gave no answer; ask again later.
        """
        email = request.user or ""
        user = await self._find_user(tenant, email)
        if user is None:
            return Refusal.denied([unknown_user(email)])
        await self._links.learn(tenant)
        selections = await self.selections(Caller(tenant, user.email, user.role), request)
        if isinstance(selections, Refusal):
            return selections
        return _within_limit(request, selections) or Estimate(user, selections)

    async def selections(
        self, caller: Caller, request: OrderRequest
    ) -> tuple[DatasetSelection, ...] | Refusal:
        """What the queries find for this caller, whatever it amounts to; a query finds at least one file.

        Raises:
            RemoteTrouble: the catalog gave no answer.
        """
        try:
            selections = await self._select(caller, request)
        except RemoteRefusal:
            return Refusal.failed(ErrorType.INTERNAL_ERROR, CATALOG_SEARCH_FAILED)
        if selections is None:
            return Refusal.failed(ErrorType.EMPTY_ORDER, EMPTY_SELECTION)
        return selections

    async def _find_user(self, tenant: Tenant, email: str) -> User | None:
        try:
            return await self._users.find(tenant, email)
        except RemoteRefusal:
            return None

    async def _select(
        self, caller: Caller, request: OrderRequest
    ) -> tuple[DatasetSelection, ...] | None:
        """The dataset selections of all queries; None when one of them finds no file."""
        at = self._clock.now()
        searches = [SelectionRequest.of_query(query, at) for query in request.queries or ()]
        found: dict[Urn, list[tuple[SelectionRequest, DatasetSummary]]] = defaultdict(list)
        for start in range(0, len(searches), _CONCURRENT_QUERIES):
            some = searches[start : start + _CONCURRENT_QUERIES]
            summaries = await asyncio.gather(
                *(self._catalog.summarize(caller, [search]) for search in some)
            )
            for search, summary in zip(some, summaries, strict=True):
                if not summary.files:
                    return None
                for dataset in summary.datasets:
                    if dataset.files:
                        found[dataset.urn].append((search, dataset))
        wanted = file_filter(request)
        return tuple(
            [await self._dataset(caller, urn, parts, wanted) for urn, parts in found.items()]
        )

    async def _dataset(
        self,
        caller: Caller,
        urn: Urn,
        parts: Sequence[tuple[SelectionRequest, DatasetSummary]],
        wanted: FileFilter,
    ) -> DatasetSelection:
        """One dataset with the union of its searches counted once (domain.md 3.3)."""
        searches = [_within(search, urn) for search, _ in parts]
        union = parts[0][1] if len(parts) == 1 else await self._union(caller, urn, searches)
        return DatasetSelection(
            urn=urn,
            label=await self._label(caller, urn),
            products=union.products,
            files=union.files,
            bytes=union.bytes,
            types=union.types,
            file_filter=wanted,
            searches=tuple(
                DatedSelection(search, summary.products, summary.types)
                for search, (_, summary) in zip(searches, parts, strict=True)
            ),
        )

    async def _union(
        self, caller: Caller, urn: Urn, searches: Sequence[SelectionRequest]
    ) -> DatasetSummary:
        summary = await self._catalog.summarize(caller, searches)
        for dataset in summary.datasets:
            if dataset.urn == urn:
                return dataset
        return DatasetSummary(urn, 0, 0, 0, {})

    async def _label(self, caller: Caller, urn: Urn) -> str:
        """The dataset's label, its URN where the catalog has none (remote-services.md 2.7)."""
        known = self._labels.get(urn)
        if known is None:
            label = await self._catalog.dataset_label(caller, urn)
            known = self._labels[urn] = (label or urn)[:MAX_LABEL]
        return known


def _within(search: SelectionRequest, urn: Urn) -> SelectionRequest:
    """The search restricted to one dataset."""
    return SelectionRequest(
        engine_type=search.engine_type,
        selection_date=search.selection_date,
        dataset_urn=urn,
        search_parameters=search.search_parameters,
        include=search.include,
        exclude=search.exclude,
    )


def _within_limit(request: OrderRequest, selections: Sequence[DatasetSelection]) -> Refusal | None:
    """Refuse what is larger than the sender wanted to pay for; exactly as large passes."""
    size, limit = sum(selection.bytes for selection in selections), request.size_limit_in_bytes
    if limit is None or size <= limit:
        return None
    return Refusal(
        ResponseStatus.DENIED,
        ErrorType.ORDER_LIMIT_REACHED,
        f"ExceededBasketSizeException: The size of the basket [{size} bytes] exceeds the maximum size "
        f"allowed [{limit} bytes]. Please review the order requested so that it does not exceed the "
        "maximum size configured.",
    )
