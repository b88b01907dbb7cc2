"""The STAC engine of rs-catalog, as far as clients need it to find products: collections, and a search.

A search knows collections, ids and pages. Other conditions are ignored: the observations have no place.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from starlette.responses import JSONResponse, Response

from rs_order.sandbox.faults import Faults
from rs_order.sandbox.gate import caller
from rs_order.sandbox.holdings import Holding, Holdings, Selection
from rs_order.sandbox.products import (
    ARCHIVED_AT,
    DataFile,
    Dataset,
    Location,
    Product,
    urn_for,
    urn_tenant,
)
from rs_order.sandbox.service_protocol import answer, date, failure
from rs_order.sandbox.user_directory import Directory

_VERSION = "1.1.0"
_GEO_JSON = "application/geo+json"
_LARGEST_PAGE = 1000


class ItemSearch(BaseModel):
    """A search for products."""

    collections: list[str] | None = None
    """Ids of datasets."""
    ids: list[str] | None = None
    """URNs or provider ids."""
    limit: Annotated[int, Field(ge=1, le=_LARGEST_PAGE)] = 10
    token: str | None = None
    """The number of a page, from 0."""

    @property
    def page(self) -> int:
        return int(self.token) if self.token and self.token.isdecimal() else 0


def stac_router(holdings: Holdings, faults: Faults, directory: Directory) -> APIRouter:
    router = APIRouter(prefix="/rs-catalog/stac")
    _add_collections(router, holdings)
    _add_searches(router, holdings, faults, directory)
    return router


def _add_collections(router: APIRouter, holdings: Holdings) -> None:
    @router.get("")
    async def landing(request: Request) -> Response:
        base = _base(request)
        return answer(
            {
                "type": "Catalog",
                "stac_version": _VERSION,
                "id": caller(request).tenant,
                "description": "Products of the sandbox",
                "conformsTo": ["https://api.stacspec.org/v1.0.0/item-search"],
                "links": [
                    _link("self", base),
                    _link("root", base),
                    _link("data", f"{base}/collections"),
                    _link("search", f"{base}/search", method="POST"),
                ],
            }
        )

    @router.get("/collections")
    async def collections(request: Request) -> Response:
        base = _base(request)
        found = [_collection(holding.dataset, base) for holding in holdings]
        links = [_link("self", f"{base}/collections")]
        return answer({"collections": found, "links": links})

    @router.get("/collections/{dataset_id}")
    async def collection(request: Request, dataset_id: str) -> Response:
        holding = holdings.named(dataset_id)
        if holding is None:
            return failure(404, f"Collection {dataset_id} does not exist")
        return answer(_collection(holding.dataset, _base(request)))


def _add_searches(
    router: APIRouter, holdings: Holdings, faults: Faults, directory: Directory
) -> None:
    @router.post("/search")
    async def search(request: Request, wanted: ItemSearch) -> Response:
        access = directory.access(caller(request))
        tenant, base = caller(request).tenant, _base(request)
        named = [
            one
            for one in holdings
            if not wanted.collections or one.dataset.id in wanted.collections
        ]
        found = Selection.of([(one, _positions(one, wanted.ids, tenant)) for one in named])
        if not access.any:
            found = Selection(())
        page = list(found.page(wanted.page, wanted.limit))
        links = [_link("root", base)]
        if (wanted.page + 1) * wanted.limit < len(found):
            body = {"token": str(wanted.page + 1)}
            links.append(_link("next", f"{base}/search", method="POST", body=body, merge=True))
        return JSONResponse(
            {
                "type": "FeatureCollection",
                "features": [
                    _item(product, tenant, base, by_provider=faults.stac_ids_of_providers)
                    for product in page
                ],
                "numberMatched": len(found),
                "numberReturned": len(page),
                "links": links,
            },
            media_type=_GEO_JSON,
        )

    @router.get("/search")
    async def list_found(
        request: Request,
        collections: str | None = None,
        ids: str | None = None,
        limit: Annotated[int, Field(ge=1, le=_LARGEST_PAGE)] = 10,
        page: str | None = None,
    ) -> Response:
        wanted = ItemSearch(
            collections=collections.split(",") if collections else None,
            ids=ids.split(",") if ids else None,
            limit=limit,
            token=page,
        )
        return await search(request, wanted)


def _positions(holding: Holding, ids: Sequence[str] | None, tenant: str) -> Sequence[int]:
    """Return the positions of products with these ids; without ids, of all."""
    if not ids:
        return range(len(holding))
    own = [id_ for id_ in ids if urn_tenant(id_) == tenant]
    found = {at for id_ in own if (at := holding.position_of(id_)) is not None}
    names = {id_ for id_ in ids if urn_tenant(id_) is None}
    if names:
        found |= {at for at in range(len(holding)) if holding.product(at).provider_id in names}
    return sorted(found)


def _collection(dataset: Dataset, base: str) -> dict[str, Any]:
    own = f"{base}/collections/{dataset.id}"
    return {
        "type": "Collection",
        "stac_version": _VERSION,
        "id": dataset.id,
        "title": dataset.label,
        "description": dataset.label,
        "license": "other",
        "extent": {
            "spatial": {"bbox": [[-180, -90, 180, 90]]},
            "temporal": {"interval": [[date(ARCHIVED_AT), None]]},
        },
        "links": [_link("self", own), _link("root", base), _link("items", f"{base}/search")],
    }


def _item(product: Product, tenant: str, base: str, *, by_provider: bool) -> dict[str, Any]:
    urn = urn_for(tenant, product.urn)
    dates = [value for value in product.properties.values() if isinstance(value, datetime)]
    return {
        "type": "Feature",
        "stac_version": _VERSION,
        "stac_extensions": [],
        "id": product.provider_id if by_provider else urn,
        "collection": product.dataset.id,
        "geometry": None,
        "properties": {
            "datetime": date(dates[0] if dates else product.created),
            "title": product.provider_id,
            "version": str(product.version),
        },
        "assets": {file.checksum: _asset(file, urn, base) for file in product.files},
        "links": [
            _link("root", base),
            _link("collection", f"{base}/collections/{product.dataset.id}"),
        ],
    }


def _asset(file: DataFile, urn: str, base: str) -> dict[str, Any]:
    """Return a file; whether it is on disk stands in a text."""
    catalog = base.removesuffix("/stac")
    online = "false" if file.location is Location.NEARLINE else "true"
    return {
        "href": f"{catalog}/downloads/{urn}/files/{file.checksum}",
        "title": file.filename,
        "description": f"File size: {file.size} bytes. Is online: {online}.",
        "type": file.mime_type,
        "roles": ["data" if file.type == "RAWDATA" else "overview"],
    }


def _base(request: Request) -> str:
    return f"{str(request.base_url).rstrip('/')}/rs-catalog/stac"


def _link(rel: str, href: str, **members: Any) -> dict[str, Any]:
    return {"rel": rel, "href": href, **members}
