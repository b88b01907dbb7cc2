"""rs-catalog: what there is to order (remote-services.md 2)."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

from rs_order.adapters.regards.features import MalformedFeature, product_of
from rs_order.adapters.regards.http import RemoteService
from rs_order.adapters.regards.summaries import MalformedSummary, summary_of
from rs_order.adapters.regards.tokens import TokenMinter
from rs_order.domain.files import ORDERABLE, Product
from rs_order.domain.identity import Caller
from rs_order.domain.ids import Urn
from rs_order.domain.selection import SelectionRequest, Summary
from rs_order.ports.errors import RemoteRefusal

MAX_REQUESTS: Final = 100
"""Selection requests in one search (remote-services.md 2.1)."""

_SEARCH: Final = "/complex/search"
_SUMMARY: Final = "/complex/search/summary"


class RegardsCatalog:
    """Implements ``Catalog``."""

    def __init__(self, service: RemoteService, tokens: TokenMinter) -> None:
        self._service = service
        self._tokens = tokens

    async def summarize(self, caller: Caller, requests: Sequence[SelectionRequest]) -> Summary:
        answer = await self._search(_SUMMARY, caller, requests, page=0, size=1)
        try:
            return summary_of(answer)
        except MalformedSummary as error:
            raise self._service.nonsense(_SUMMARY, str(error)) from error

    async def search(
        self, caller: Caller, requests: Sequence[SelectionRequest], *, page: int, size: int
    ) -> tuple[Product, ...]:
        answer = await self._search(_SEARCH, caller, requests, page=page, size=size)
        try:
            return tuple(product_of(_content(item)) for item in _items(answer))
        except MalformedFeature as error:
            raise self._service.nonsense(_SEARCH, str(error)) from error

    async def dataset_label(self, caller: Caller, urn: Urn) -> str | None:
        path = f"/engines/legacy/datasets/{quote(urn, safe=':,')}"
        token = self._tokens.on_behalf(caller)
        answer = await self._service.get(path, token, empty_is_absent=True)
        if answer is None:
            return None
        dataset = _content(answer)
        label = dataset.get("label") if isinstance(dataset, dict) else dataset
        if not isinstance(dataset, dict) or not isinstance(label, str | None):
            raise self._service.nonsense(path, "the answer isn't a dataset with a label")
        return label or None

    async def _search(
        self,
        path: str,
        caller: Caller,
        requests: Sequence[SelectionRequest],
        *,
        page: int,
        size: int,
    ) -> Any:
        """One of the two searches; both take the same body (remote-services.md 2.1)."""
        if not 1 <= len(requests) <= MAX_REQUESTS:
            # Searches can't be split: only the catalog can count their union.
            raise RemoteRefusal(
                self._service.name,
                400,
                f"{path}: a search takes 1 to {MAX_REQUESTS} selection requests, not "
                f"{len(requests)}; make several orders",
            )
        body = {
            "requests": [_request_body(request) for request in requests],
            "dataTypes": [data_type.value for data_type in ORDERABLE],
            "page": page,
            "size": size,
        }
        answer = await self._service.post(path, self._tokens.on_behalf(caller), body)
        if answer is None:
            raise RemoteRefusal(self._service.name, 404, f"{path}: status 404")
        return answer


def _request_body(request: SelectionRequest) -> dict[str, Any]:
    body: dict[str, Any] = {
        "engineType": request.engine_type,
        "searchParameters": request.search_parameters,
        "entityIdsToInclude": list(request.include),
        "entityIdsToExclude": list(request.exclude),
        "searchDateLimit": _instant(request.selection_date),
    }
    if request.dataset_urn is not None:
        body["datasetUrn"] = request.dataset_urn
    return body


def _instant(moment: datetime) -> str:
    """UTC with ``Z`` and microseconds (remote-services.md 1.4)."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _items(page: Any) -> list[Any]:
    items = page.get("content") if isinstance(page, dict) else None
    if not isinstance(items, list):
        raise MalformedFeature("the page has no list of features")
    return items


def _content(item: Any) -> Any:
    """What a hypermedia item wraps (remote-services.md 1.4)."""
    return item.get("content") if isinstance(item, dict) else None
