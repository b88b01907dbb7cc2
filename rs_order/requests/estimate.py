"""Estimates a request: turns its queries into dataset selections, or rejects it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from rs_order.contracts.order_messages import ErrorType, OrderRequest, ResponseStatus
from rs_order.core.catalog_datasets import MAX_CONCURRENT_CALLS, CatalogDatasets, call_concurrently
from rs_order.core.links import Links
from rs_order.core.responses import Rejection
from rs_order.domain.identity import Caller
from rs_order.domain.ids import Tenant
from rs_order.domain.selection import DatasetSelection, SelectionRequest, Summary
from rs_order.ports import Clock, RemoteRejection, User, Users
from rs_order.requests.accept import file_filter, unknown_user

CATALOG_SEARCH_FAILED = (
    "CatalogSearchException: Error applying search queries. Please correct your requests. "
    "Maybe your queries contains unknown attributes"
)
EMPTY_SELECTION = "EmptySelectionException: This selection contains no file that can be ordered"


@dataclass(frozen=True, slots=True)
class Estimate:
    """A request that can be granted."""

    user: User
    selections: tuple[DatasetSelection, ...]


class Estimator:
    """Finds the user in rs-admin, and searches the catalog with the user's own role."""

    def __init__(self, users: Users, datasets: CatalogDatasets, links: Links, clock: Clock) -> None:
        self._users = users
        self._datasets = datasets
        self._links = links
        self._clock = clock

    async def estimate(self, tenant: Tenant, request: OrderRequest) -> Estimate | Rejection:
        """Return the estimate of a well-formed request, or its rejection.

        Raises:
            RemoteUnavailable: a service gave no answer; the call can be repeated.
        """
        email = request.user or ""
        user = await self._find_user(tenant, email)
        if user is None:
            return Rejection.denied([unknown_user(email)])
        await self._links.learn(tenant)
        selections = await self.selections(Caller(tenant, user.email, user.role), request)
        if isinstance(selections, Rejection):
            return selections
        return _within_limit(request, selections) or Estimate(user, selections)

    async def selections(
        self, caller: Caller, request: OrderRequest
    ) -> tuple[DatasetSelection, ...] | Rejection:
        """Return what the queries find for the caller, whatever its size, or the rejection.

        A query that finds no file leads to a rejection.

        Raises:
            RemoteUnavailable: the catalog gave no answer.
        """
        try:
            selections = await self._select(caller, request)
        except RemoteRejection:
            return Rejection.failed(ErrorType.INTERNAL_ERROR, CATALOG_SEARCH_FAILED)
        if selections is None:
            return Rejection.failed(ErrorType.EMPTY_ORDER, EMPTY_SELECTION)
        return selections

    async def _find_user(self, tenant: Tenant, email: str) -> User | None:
        try:
            return await self._users.find(tenant, email)
        except RemoteRejection:
            return None

    async def _select(
        self, caller: Caller, request: OrderRequest
    ) -> tuple[DatasetSelection, ...] | None:
        """Return the dataset selections of all queries; None if one of them finds no file."""
        at = self._clock.now()
        searches = [SelectionRequest.of_query(query, at) for query in request.queries or ()]
        found: list[tuple[SelectionRequest, Summary]] = []
        for start in range(0, len(searches), MAX_CONCURRENT_CALLS):
            some = searches[start : start + MAX_CONCURRENT_CALLS]
            summaries = await call_concurrently(partial(self._datasets.found, caller), some)
            if not all(summary.files for summary in summaries):
                return None
            found += zip(some, summaries, strict=True)
        return await self._datasets.selections(caller, found, file_filter(request))


def _within_limit(
    request: OrderRequest, selections: Sequence[DatasetSelection]
) -> Rejection | None:
    """Return the rejection of selections above the sender's size limit; None if they are within it."""
    size, limit = sum(selection.bytes for selection in selections), request.size_limit_in_bytes
    if limit is None or size <= limit:
        return None
    return Rejection(
        ResponseStatus.DENIED,
        ErrorType.ORDER_LIMIT_REACHED,
        f"ExceededBasketSizeException: The size of the basket [{size} bytes] exceeds the maximum size "
        f"allowed [{limit} bytes]. Please review the order requested so that it does not exceed the "
        "maximum size configured.",
    )
