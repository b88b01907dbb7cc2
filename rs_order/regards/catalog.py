"""Clients of rs-catalog and of rs-dam (remote-services.md 2)."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

from rs_order.domain.files import ORDERABLE, Product
from rs_order.domain.identity import Caller
from rs_order.domain.ids import Tenant, Urn
from rs_order.domain.selection import SelectionRequest, Summary
from rs_order.ports import RemoteRejection
from rs_order.regards.catalog_json import MalformedFeature, MalformedSummary, product_of, summary_of
from rs_order.regards.http import RemoteService, TokenIssuer
from rs_order.regards.pages import items_of

MAX_REQUESTS: Final = 100
"""Selection requests in one search (remote-services.md 2.1)."""

PRODUCTS_AT_A_TIME: Final = 200
"""Products parsed before other tasks run; about 10 ms."""

_SEARCH: Final = "/complex/search"
_SUMMARY: Final = "/complex/search/summary"


class RegardsCatalog:
    """Implements :class:`rs_order.ports.Catalog`."""

    def __init__(self, service: RemoteService, tokens: TokenIssuer) -> None:
        self._service = service
        self._tokens = tokens

    async def summarize(self, caller: Caller, requests: Sequence[SelectionRequest]) -> Summary:
        body = self._body(_SUMMARY, requests, page=0, size=1)
        answer = await self._service.post(_SUMMARY, self._tokens.on_behalf(caller), body)
        if answer is None:
            raise self._absent(_SUMMARY)
        try:
            return summary_of(answer)
        except MalformedSummary as error:
            raise self._service.bad_response(_SUMMARY, str(error)) from error

    async def search(
        self,
        caller: Caller,
        requests: Sequence[SelectionRequest],
        *,
        page: int,
        size: int,
        every_type: bool = False,
    ) -> tuple[Product, ...]:
        body = self._body(_SEARCH, requests, page=page, size=size)
        answer = await self._service.post_for_text(_SEARCH, self._tokens.on_behalf(caller), body)
        if answer is None:
            raise self._absent(_SEARCH)
        try:
            return await _products_of(answer, every_type=every_type)
        except (ValueError, RecursionError) as error:
            raise self._service.bad_response(_SEARCH, str(error)) from error

    async def dataset_label(self, caller: Caller, urn: Urn) -> str | None:
        path = f"/engines/legacy/datasets/{quote(urn, safe=':,')}"
        token = self._tokens.on_behalf(caller)
        answer = await self._service.get(path, token, empty_is_absent=True)
        if answer is None:
            return None
        dataset = _content(answer)
        label = dataset.get("label") if isinstance(dataset, dict) else dataset
        if not isinstance(dataset, dict) or not isinstance(label, str | None):
            raise self._service.bad_response(path, "the answer isn't a dataset with a label")
        return label or None

    def _body(
        self, path: str, requests: Sequence[SelectionRequest], *, page: int, size: int
    ) -> dict[str, Any]:
        """Return the request body of both searches (remote-services.md 2.1).

        Raises:
            RemoteRejection: there are more selection requests than one search takes.
        """
        if not 1 <= len(requests) <= MAX_REQUESTS:
            # A search can't be split, because only the catalog can count the union of its results.
            raise RemoteRejection(
                self._service.name,
                400,
                f"{path}: a search takes 1 to {MAX_REQUESTS} selection requests, not "
                f"{len(requests)}; make several orders",
            )
        return {
            "requests": [_request_body(request) for request in requests],
            "dataTypes": [data_type.value for data_type in ORDERABLE],
            "page": page,
            "size": size,
        }

    def _absent(self, path: str) -> RemoteRejection:
        """Return the error for a 404: a missing endpoint is no empty result (remote-services.md 2.3)."""
        return RemoteRejection(self._service.name, 404, f"{path}: status 404")


class RegardsDatasetFiles:
    """Client of rs-dam: the files attached to a dataset (remote-services.md 2.9)."""

    def __init__(self, service: RemoteService, tokens: TokenIssuer) -> None:
        self._service = service
        self._tokens = tokens

    async def attached_files(self, tenant: Tenant, urn: Urn) -> Product | None:
        """Return the dataset with its orderable attached files, or None if rs-dam doesn't know it.

        Raises:
            RemoteRejection, RemoteUnavailable: rs-dam gave no usable response.
        """
        path = f"/datasets/ipId/{quote(urn, safe=':,')}"
        answer = await self._service.get(path, self._tokens.system(tenant))
        if answer is None:
            return None
        try:
            # rs-dam returns the raw entity: its feature has no hypermedia envelope.
            return product_of(answer.get("feature") if isinstance(answer, dict) else None)
        except MalformedFeature as error:
            raise self._service.bad_response(path, str(error)) from error


async def _products_of(page: bytearray, *, every_type: bool) -> tuple[Product, ...]:
    """Return the products of a page, and let other tasks run every few milliseconds."""
    products: list[Product] = []
    for item in items_of(page):
        products.append(product_of(_content(item), every_type=every_type))
        if len(products) % PRODUCTS_AT_A_TIME == 0:
            await asyncio.sleep(0)
    return tuple(products)


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
    """Return an instant in UTC with ``Z`` and microseconds (remote-services.md 1.4)."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _content(item: Any) -> Any:
    """Return the content of a hypermedia item, or None if it has none (remote-services.md 1.4)."""
    return item.get("content") if isinstance(item, dict) else None
