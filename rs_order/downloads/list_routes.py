"""Endpoints that deliver lists of an order's files for download tools (faces.md M-1, M-7)."""

from typing import Annotated, Final

from fastapi import APIRouter, Path, Query, Request, Response

from rs_order.contracts.manifest_bodies import ManifestDto
from rs_order.domain.identity import Caller
from rs_order.domain.ids import OrderId
from rs_order.downloads.list_formats import MEDIA_TYPES, ListKind, list_format
from rs_order.downloads.metalink import Metalink4
from rs_order.downloads.order_lists import Layout, ListFormat
from rs_order.downloads.routes import (
    METALINK_4_TYPE,
    AvailableInQuery,
    DownloadServices,
    OrderTokenInQuery,
    verified,
)
from rs_order.downloads.streaming import StreamedDownload
from rs_order.ports import OrderToDownload
from rs_order.rest.access import Access, may_see_orders_of
from rs_order.rest.errors import Problem
from rs_order.rest.middleware import facts_of
from rs_order.rest.parameters import OrderIdInPath
from rs_order.rest.problems import ProblemCode
from rs_order.rest.resources import (
    GET_FILE_LIST,
    GET_METALINK_4,
    GET_PUBLIC_FILE_LIST,
    GET_PUBLIC_METALINK_4,
)
from rs_order.rest.routing import AuthorisedCaller, Documented, Endpoints

_LISTS: Final[Documented] = {
    200: {
        "model": ManifestDto,
        "content": {"text/plain": {}, "text/csv": {}},
        "description": "The list; JSON is the manifest",
    }
}
_METALINK: Final[Documented] = {
    200: {"content": {METALINK_4_TYPE: {}}, "description": "The metalink (RFC 5854)"}
}
_FAILURES: Final = {
    404: "There is no such order (`unknown-order`), or the project isn't served",
    409: "The files of the order aren't known yet, or it has none (`nothing-available`)",
    410: "The order was deleted or has expired (`order-gone`)",
    503: "Order tokens can't be issued: their key isn't set. Or the project's address is not known now",
}
_OF_OWNER: Final = {
    403: "The role isn't allowed, or the order is another user's (`not-owner`)",
    **_FAILURES,
}
_WITH_TOKEN: Final = {
    401: "The bearer token is missing or not valid; or the order token is not valid",
    **_FAILURES,
}

KindInPath = Annotated[
    ListKind,
    Path(
        alias="kind",
        description="`txt` is for `wget -i`, `aria2` for `aria2c -i`, `curl` for `curl -K`, `md5` and "
        "`sha256` for `md5sum -c` and `sha256sum -c`; `json` is the manifest, and `csv` a table.",
    ),
]
FlatLayoutInQuery = Annotated[
    Layout, Query(description="`flat`: all in one folder; `products`: a folder for each product.")
]
ProductLayoutInQuery = Annotated[
    Layout, Query(description="`products`: a folder for each product; `flat`: all in one folder.")
]
DocumentInPath = Annotated[
    int, Path(alias="documentId", description="The order once more.", examples=[12])
]


def lists_router(access: Access, services: DownloadServices) -> APIRouter:
    endpoints = Endpoints(access, tag="downloads", problems=True)
    _serve_lists(endpoints, access, services)
    _serve_metalinks(endpoints, access, services)
    return endpoints.router


def _serve_lists(endpoints: Endpoints, access: Access, services: DownloadServices) -> None:
    @endpoints.serve(GET_FILE_LIST, responses=_OF_OWNER, documented=_LISTS)
    async def get_file_list(
        request: Request,
        caller: AuthorisedCaller,
        order_id: OrderIdInPath,
        kind: KindInPath,
        layout: FlatLayoutInQuery = Layout.FLAT,
    ) -> Response:
        """The files of an order that can be downloaded now, as a list for a tool.

        The manifest and the table have the others too, with their states.
        """
        order = await _readable(access, services, request, caller, OrderId(order_id))
        return await _list(services, caller, order, kind, layout)

    @endpoints.serve(GET_PUBLIC_FILE_LIST, responses=_WITH_TOKEN, documented=_LISTS)
    async def get_public_file_list(
        request: Request,
        caller: AuthorisedCaller,
        kind: KindInPath,
        order_token: OrderTokenInQuery,
        layout: FlatLayoutInQuery = Layout.FLAT,
    ) -> Response:
        """The same of the order that the token names."""
        token = verified(services, request, caller, order_token)
        order = await _order(services, request, caller, token.order_id)
        return await _list(services, caller, order, kind, layout)


def _serve_metalinks(endpoints: Endpoints, access: Access, services: DownloadServices) -> None:
    @endpoints.serve(GET_METALINK_4, responses=_OF_OWNER, documented=_METALINK)
    async def get_metalink_four(  # noqa: PLR0917 - FastAPI passes them by name
        request: Request,
        caller: AuthorisedCaller,
        order_id: OrderIdInPath,
        document_id: DocumentInPath,
        layout: ProductLayoutInQuery = Layout.PRODUCTS,
        available: AvailableInQuery = False,
    ) -> Response:
        """All files of an order as a metalink of version 4."""
        if document_id != order_id:
            raise Problem(
                ProblemCode.UNKNOWN_ORDER, f"Order {order_id} has no metalink of {document_id}."
            )
        order = await _readable(access, services, request, caller, OrderId(order_id))
        return await _metalink_4(services, caller, order, layout, available)

    @endpoints.serve(GET_PUBLIC_METALINK_4, responses=_WITH_TOKEN, documented=_METALINK)
    async def get_public_metalink_four(  # noqa: PLR0917 - FastAPI passes them by name
        request: Request,
        caller: AuthorisedCaller,
        order_id: OrderIdInPath,
        order_token: OrderTokenInQuery,
        layout: ProductLayoutInQuery = Layout.PRODUCTS,
        available: AvailableInQuery = False,
    ) -> Response:
        """The same with the token of the order."""
        token = verified(services, request, caller, order_token)
        if token.order_id != order_id:
            raise Problem(ProblemCode.NOT_OWNER, f"The order token isn't of order {order_id}.")
        order = await _order(services, request, caller, token.order_id)
        return await _metalink_4(services, caller, order, layout, available)


async def _readable(
    access: Access,
    services: DownloadServices,
    request: Request,
    caller: Caller,
    order_id: OrderId,
) -> OrderToDownload:
    """Return an order that the caller may see.

    Raises:
        Problem: there is no such order, or it is another user's.
    """
    order = await _order(services, request, caller, order_id)
    if not may_see_orders_of(access.roles, caller, order.owner):
        raise Problem(ProblemCode.NOT_OWNER, f"Order {order_id} belongs to another user.")
    return order


async def _order(
    services: DownloadServices, request: Request, caller: Caller, order_id: OrderId
) -> OrderToDownload:
    facts_of(request.scope)["order"] = order_id
    order = await services.orders.order(caller.tenant, order_id)
    if order is None:
        raise Problem(ProblemCode.UNKNOWN_ORDER, f"There is no order {order_id}.")
    return order


async def _list(
    services: DownloadServices,
    caller: Caller,
    order: OrderToDownload,
    kind: ListKind,
    layout: Layout,
) -> Response:
    format_ = list_format(kind, services.clock.now(), layout)
    return await _streamed(services, caller, order, format_, kind, MEDIA_TYPES[kind])


async def _metalink_4(
    services: DownloadServices,
    caller: Caller,
    order: OrderToDownload,
    layout: Layout,
    available: bool,
) -> Response:
    format_ = Metalink4(services.clock.now(), only_available=available, layout=layout)
    return await _streamed(services, caller, order, format_, "meta4", METALINK_4_TYPE)


async def _streamed(  # noqa: PLR0917 - one call each
    services: DownloadServices,
    caller: Caller,
    order: OrderToDownload,
    format_: ListFormat,
    suffix: str,
    media_type: str,
) -> Response:
    if order.status.deleted_or_expired:
        text = f"Order {order.id} was deleted or has expired, and its files with it."
        raise Problem(ProblemCode.ORDER_GONE, text)
    pieces = await services.lists.of(caller.tenant, order, format_)
    if pieces is None:
        text = f"Order {order.id} has no files that are known now."
        raise Problem(ProblemCode.NOTHING_AVAILABLE, text)
    return StreamedDownload(pieces, f"order_{order.id}.{suffix}", "list", media_type=media_type)
