"""The endpoints of products of orders: as items of a collection, and by a search (faces.md 2.6)."""

from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request, Response

from rs_order.contracts.stac_bodies import ItemSearchRequest, StacItem, StacItems
from rs_order.domain.identity import Caller
from rs_order.domain.ids import OrderId
from rs_order.rest.access import Access
from rs_order.rest.answers import json_answer
from rs_order.rest.errors import Problem
from rs_order.rest.middleware import facts_of
from rs_order.rest.parameters import OrderIdInPath
from rs_order.rest.problems import ProblemCode
from rs_order.rest.resources import GET_ITEM, LIST_FOUND_ITEMS, LIST_ITEMS, SEARCH_ITEMS
from rs_order.rest.routing import BAD_BODY, AuthorisedCaller, Endpoints
from rs_order.stac.addresses import GEO_JSON, Addresses, Link
from rs_order.stac.collection import order_of
from rs_order.stac.finding import ItemSearch
from rs_order.stac.page_tokens import (
    PAGE_SIZE,
    LimitInQuery,
    TokenInQuery,
    next_page,
    own_token,
    product_position,
    product_token,
)
from rs_order.stac.parameters import (
    ItemIdInPath,
    LinkKind,
    LinksInQuery,
    not_supported,
    reject_unsupported,
)
from rs_order.stac.routes import ORDER_FAILURES
from rs_order.stac.services import StacServices, position_of
from rs_order.store.stac import CollectedOrder, ProductPage

_UNREADABLE: Final = (
    "A condition can't be read (`malformed-request`), or only a catalog knows it (`not-supported`)"
)

ListInQuery = Annotated[list[str] | None, Query(description="Repeated, or separated by commas.")]


def items_router(access: Access, services: StacServices) -> APIRouter:
    endpoints = Endpoints(access, tag="stac", problems=True)
    _serve_items(endpoints, services)
    _serve_search(endpoints, services)
    return endpoints.router


def _serve_items(endpoints: Endpoints, services: StacServices) -> None:
    @endpoints.serve(
        LIST_ITEMS,
        model=StacItems,
        media_type=GEO_JSON,
        responses={**ORDER_FAILURES, 400: _UNREADABLE},
    )
    async def list_stac_items(  # noqa: PLR0917 - FastAPI passes them by name
        request: Request,
        caller: AuthorisedCaller,
        order_id: OrderIdInPath,
        limit: LimitInQuery = PAGE_SIZE,
        token: TokenInQuery = None,
        links: LinksInQuery = LinkKind.BEARER,
    ) -> Response:
        """The products of an order, in an order that stays the same. None while they aren't known yet."""
        reject_unsupported(request)
        first = product_position(own_token(token))
        order = await _order(request, services, caller, OrderId(order_id))
        page = ProductPage()
        if _has_products(order):
            page = await services.products.of_order(caller.tenant, position_of(order), first, limit)
        further = [next_page(request, product_token(page.next))] if page.next else []
        features = await services.items(request, caller, {order.id: order}, page.products, links)
        addresses = Addresses.of(request)
        own = [
            addresses.link("self", addresses.to(LIST_ITEMS, orderId=order.id), GEO_JSON),
            addresses.root(),
            addresses.link("collection", addresses.collection(order.id)),
        ]
        return _found(request, features, [*own, *further])

    @endpoints.serve(
        GET_ITEM,
        model=StacItem,
        media_type=GEO_JSON,
        responses={
            **ORDER_FAILURES,
            404: "The order has no such product (`unknown-item`), or there is no such order "
            "(`unknown-order`), or the project isn't served",
        },
    )
    async def get_stac_item(
        request: Request,
        caller: AuthorisedCaller,
        order_id: OrderIdInPath,
        item_id: ItemIdInPath,
        links: LinksInQuery = LinkKind.BEARER,
    ) -> Response:
        """A product of an order, with those of its files that can be downloaded."""
        order = await _order(request, services, caller, OrderId(order_id))
        found = None
        if _has_products(order) and _is_storable(item_id):
            found = await services.products.one(caller.tenant, order.id, item_id, order.item_ids)
        if found is None:
            text = f"Order {order_id} has no product {item_id}, or its files aren't known yet."
            raise Problem(ProblemCode.UNKNOWN_ITEM, text)
        (feature,) = await services.items(request, caller, {order.id: order}, [found], links)
        return _geo_json(request, feature)


def _serve_search(endpoints: Endpoints, services: StacServices) -> None:
    @endpoints.serve(
        LIST_FOUND_ITEMS,
        model=StacItems,
        media_type=GEO_JSON,
        responses={400: _UNREADABLE},
    )
    async def list_found_items(  # noqa: PLR0917 - FastAPI passes them by name
        request: Request,
        caller: AuthorisedCaller,
        collections: ListInQuery = None,
        ids: ListInQuery = None,
        limit: LimitInQuery = PAGE_SIZE,
        token: TokenInQuery = None,
        links: LinksInQuery = LinkKind.BEARER,
    ) -> Response:
        """Products of the caller's own orders, those of the newest order first."""
        reject_unsupported(request)
        wanted = ItemSearchRequest(
            collections=_split(collections), ids=_split(ids), limit=limit, token=own_token(token)
        )
        page, features = await _search(request, services, caller, wanted, links)
        further = [next_page(request, product_token(page.next))] if page.next else []
        return _found(request, features, [Addresses.of(request).root(), *further])

    @endpoints.serve(
        SEARCH_ITEMS,
        model=StacItems,
        media_type=GEO_JSON,
        responses={**BAD_BODY, 400: _UNREADABLE},
    )
    async def search_stac_items(
        request: Request,
        caller: AuthorisedCaller,
        wanted: ItemSearchRequest,
        links: LinksInQuery = LinkKind.BEARER,
    ) -> Response:
        """The same, with the conditions in the body."""
        if wanted.unsupported is not None:
            raise not_supported(wanted.unsupported)
        page, features = await _search(request, services, caller, wanted, links)
        addresses = Addresses.of(request)
        further = []
        if page.next:
            address = addresses.to(SEARCH_ITEMS)
            body = {"token": product_token(page.next)}
            further = [
                addresses.link("next", address, GEO_JSON, method="POST", body=body, merge=True)
            ]
        return _found(request, features, [addresses.root(), *further])


async def _order(
    request: Request, services: StacServices, caller: Caller, order_id: OrderId
) -> CollectedOrder:
    facts_of(request.scope)["order"] = order_id
    return await services.readable(caller, order_id)


def _has_products(order: CollectedOrder) -> bool:
    """True if its files are known, and not deleted."""
    return order.files_known and not order.status.deleted_or_expired


async def _search(
    request: Request,
    services: StacServices,
    caller: Caller,
    wanted: ItemSearchRequest,
    links: LinkKind,
) -> tuple[ProductPage, list[dict[str, Any]]]:
    """Return a page of what is wanted, and the items of its products."""
    conditions = ItemSearch(_orders(wanted.collections), _storable(wanted.ids))
    first = product_position(wanted.token)
    page = await services.products.search(
        caller.tenant, caller.email, conditions, first, wanted.limit
    )
    ids = sorted({product.order_id for product in page.products})
    orders = await services.views.orders(caller.tenant, ids) if ids else {}
    return page, await services.items(request, caller, orders, page.products, links)


def _orders(collections: Sequence[str] | None) -> list[OrderId] | None:
    """Return the orders that collections stand for; names of other collections stand for none."""
    if not collections:
        return None
    return [order for name in collections if (order := order_of(name)) is not None]


def _storable(ids: Sequence[str] | None) -> list[str] | None:
    return [one for one in ids if _is_storable(one)] if ids else None


def _is_storable(text: str) -> bool:
    """True if the database could have the text."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text


def _split(values: Iterable[str] | None) -> list[str] | None:
    if values is None:
        return None
    return [part for value in values for part in value.split(",") if part]


def _found(request: Request, features: list[dict[str, Any]], links: list[Link]) -> Response:
    return _geo_json(
        request,
        {
            "type": "FeatureCollection",
            "features": features,
            "numberReturned": len(features),
            "links": links,
        },
    )


def _geo_json(request: Request, body: dict[str, Any]) -> Response:
    answer = json_answer(request, body)
    answer.headers["Content-Type"] = GEO_JSON
    return answer
