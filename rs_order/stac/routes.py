"""The endpoints of STAC that read: landing page, orders as collections, products as items (faces.md 2.3)."""

import time
from typing import Final

from fastapi import APIRouter, Request, Response

from rs_order.contracts.stac_bodies import (
    StacCatalog,
    StacCollection,
    StacCollections,
    StacConformance,
)
from rs_order.core.reason_texts import language_of
from rs_order.domain.ids import OrderId
from rs_order.rest.access import Access
from rs_order.rest.answers import json_answer
from rs_order.rest.conditional import is_known, preferred_wait
from rs_order.rest.middleware import facts_of
from rs_order.rest.openapi import OPENAPI, document_links, link_header
from rs_order.rest.parameters import AcceptLanguage, OrderIdInPath
from rs_order.rest.resources import (
    GET_COLLECTION,
    GET_STAC,
    GET_STAC_CONFORMANCE,
    LIST_COLLECTIONS,
    LIST_FOUND_ITEMS,
    SEARCH_ITEMS,
)
from rs_order.rest.routing import AuthorisedCaller, Documented, Endpoints
from rs_order.stac.addresses import GEO_JSON, JSON, Addresses, DownloadAddresses
from rs_order.stac.collection import STAC_VERSION, collection
from rs_order.stac.page_tokens import (
    PAGE_SIZE,
    LimitInQuery,
    TokenInQuery,
    next_page,
    order_position,
    order_token,
    own_token,
)
from rs_order.stac.parameters import LinkKind, LinksInQuery
from rs_order.stac.services import ShownOrder, StacServices
from rs_order.store.stac import NEWEST

CONFORMS_TO: Final = [
    "https://api.stacspec.org/v1.0.0/core",
    "https://api.stacspec.org/v1.0.0/collections",
    "https://api.stacspec.org/v1.0.0/ogcapi-features",
    "https://api.stacspec.org/v1.0.0/item-search",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/core",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/geojson",
]
ORDER_FAILURES: Final = {
    400: "A parameter can't be read (`malformed-request`)",
    403: "The role isn't allowed, or the order is another user's (`not-owner`)",
    404: "There is no such order (`unknown-order`), or the project isn't served",
    410: "The order was deleted (`order-gone`)",
}


def stac_router(access: Access, services: StacServices) -> APIRouter:
    endpoints = Endpoints(access, tag="stac", problems=True)
    _serve_landing(endpoints)
    _serve_collections(endpoints, services)
    return endpoints.router


def _serve_landing(endpoints: Endpoints) -> None:
    @endpoints.serve(GET_STAC, model=StacCatalog)
    async def get_stac(request: Request, caller: AuthorisedCaller) -> Response:
        """The landing page: the caller's orders are its collections."""
        addresses = Addresses.of(request)
        to = addresses.to
        document = {
            "type": "Catalog",
            "stac_version": STAC_VERSION,
            "id": f"orders-of-{caller.tenant}",
            "title": f"Orders of {caller.tenant}",
            "description": "Your orders. Each is a collection, and its products are the items.",
            "conformsTo": CONFORMS_TO,
            "links": [
                addresses.link("self", to(GET_STAC)),
                addresses.root(),
                addresses.link("conformance", to(GET_STAC_CONFORMANCE)),
                addresses.link("data", to(LIST_COLLECTIONS)),
                addresses.link("search", to(LIST_FOUND_ITEMS), GEO_JSON, method="GET"),
                addresses.link("search", to(SEARCH_ITEMS), GEO_JSON, method="POST"),
                addresses.link("service-desc", f"{addresses.base}/v3/api-docs", OPENAPI),
            ],
        }
        answer = json_answer(request, document)
        answer.headers["Link"] = link_header(document_links(addresses.base))
        return answer

    @endpoints.serve(GET_STAC_CONFORMANCE, model=StacConformance)
    async def get_stac_conformance(request: Request) -> Response:
        """What the API conforms to."""
        return json_answer(request, {"conformsTo": CONFORMS_TO})


def _serve_collections(endpoints: Endpoints, services: StacServices) -> None:
    @endpoints.serve(LIST_COLLECTIONS, model=StacCollections)
    async def list_stac_collections(
        request: Request,
        caller: AuthorisedCaller,
        limit: LimitInQuery = PAGE_SIZE,
        token: TokenInQuery = None,
        accepted: AcceptLanguage = "",
    ) -> Response:
        """The caller's orders but the deleted ones, newest first."""
        addresses, language = Addresses.of(request), language_of(accepted)
        after = order_position(own_token(token)) or NEWEST
        found = await services.views.of_owner(caller.tenant, caller.email, after, limit)
        ids = [position.order_id for position in found]
        orders = await services.views.orders(caller.tenant, ids) if ids else {}
        facts = await services.waiting.progress.facts(
            caller.tenant, ids, services.waiting.clock.now()
        )
        collections = [
            collection(
                orders[order_id],
                await services.wait_of(caller.tenant, orders[order_id], facts[order_id]),
                DownloadAddresses(addresses, order_id),
                language,
            )
            for order_id in ids
            if order_id in orders and order_id in facts
        ]
        links = [addresses.link("self", addresses.to(LIST_COLLECTIONS)), addresses.root()]
        if len(found) == limit:
            links.append(next_page(request, order_token(found[-1]), JSON))
        return json_answer(request, {"collections": collections, "links": links})

    async def get_stac_collection(
        request: Request,
        caller: AuthorisedCaller,
        order_id: OrderIdInPath,
        links: LinksInQuery = LinkKind.BEARER,
        accepted: AcceptLanguage = "",
    ) -> Response:
        """One order: how far it is, why it isn't further, and its downloads.

        With `If-None-Match` and `Prefer: wait=30` the response comes as soon as something changes, and after
        30 s (at most 45) as 304.
        """
        id_, language = OrderId(order_id), language_of(accepted)
        facts_of(request.scope)["order"] = id_
        found = await services.read(caller, id_, language)
        waited = preferred_wait(request) if is_known(request, found.tag) else None
        until = time.monotonic() + (waited or 0)
        while is_known(request, found.tag) and (left := until - time.monotonic()) > 0:
            await services.waiting.watch.until_changed(caller.tenant, id_, found.version, left)
            found = await services.read(caller, id_, language)
        known = is_known(request, found.tag)
        answer = Response(status_code=304)
        if not known:
            body = await services.document(request, caller.tenant, found, links)
            answer = json_answer(request, body)
        _add_headers(answer, found, waited)
        if found.facts.unfinished:
            answer.headers["Retry-After"] = await services.retry_after(caller.tenant, found.facts)
        return answer

    documented: Documented = {
        304: {"description": "Nothing changed since the response with this ETag"}
    }
    serve = endpoints.serve(
        GET_COLLECTION, model=StacCollection, responses=ORDER_FAILURES, documented=documented
    )
    serve(get_stac_collection)

    @endpoints.serve(GET_COLLECTION, verb="HEAD", responses=ORDER_FAILURES, documented=documented)
    async def test_stac_collection(
        request: Request,
        caller: AuthorisedCaller,
        order_id: OrderIdInPath,
        links: LinksInQuery = LinkKind.BEARER,
        accepted: AcceptLanguage = "",
    ) -> Response:
        """The same without the document."""
        return await get_stac_collection(request, caller, order_id, links, accepted)


def _add_headers(answer: Response, found: ShownOrder, waited: int | None) -> None:
    answer.headers["ETag"] = found.tag
    answer.headers["Content-Language"] = found.language
    if waited:
        answer.headers["Preference-Applied"] = f"wait={waited}"
