"""Endpoints that deliver a whole order as a metalink (rest.md 10.2, 10.4), and what all downloads need."""

from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Request, Response

from rs_order.domain.identity import Caller
from rs_order.domain.ids import OrderId, Tenant
from rs_order.domain.settings import ZipMode
from rs_order.downloads.metalink import (
    WITHOUT_METALINK,
    Metalink3,
    Metalink4,
    MetalinkVersion,
)
from rs_order.downloads.order_lists import Layout, ListFormat, OrderLists
from rs_order.downloads.order_zip import PAGE
from rs_order.downloads.readings import Readings
from rs_order.downloads.settle import Settle
from rs_order.downloads.streaming import StreamedDownload, name_for_order
from rs_order.ports import (
    Clock,
    Downloads,
    FileSources,
    InvalidOrderToken,
    OrderToDownload,
    OrderToken,
    OrderTokens,
)
from rs_order.rest.accepted import quality
from rs_order.rest.access import Access, is_administrator, is_system, may_see_orders_of
from rs_order.rest.errors import ACCESS_DENIED, HttpError
from rs_order.rest.middleware import facts_of
from rs_order.rest.parameters import OrderIdInPath
from rs_order.rest.rate_limits import DownloadsAtOnce
from rs_order.rest.resources import GET_METALINK, GET_PUBLIC_METALINK
from rs_order.rest.routing import AuthorisedCaller, Documented, Endpoints

METALINK_TYPE: Final = "application/metalink+xml"
METALINK_4_TYPE: Final = "application/metalink4+xml"
TOO_MANY_DOWNLOADS: Final = "Too many downloads of the user are under way; see `Retry-After`"

_DOCUMENTED: Final[Documented] = {
    200: {"content": {METALINK_TYPE: {}, METALINK_4_TYPE: {}}, "description": "The metalink"},
    404: {"description": "There is no such order, or (without a body) it has no file to list now"},
}
_RESPONSES: Final = {
    400: "The order token is missing, or a parameter can't be read",
    503: "Order tokens can't be issued: their key isn't set. Or the project's address is not known now",
}


@dataclass(frozen=True, slots=True)
class DownloadServices:
    """The services that the endpoints of downloads use."""

    orders: Downloads
    settle: Settle
    sources: FileSources
    readings: Readings
    lists: OrderLists
    order_tokens: OrderTokens
    clock: Clock
    pause: Callable[[Tenant, OrderId], Awaitable[timedelta]]
    """Returns how long to wait before a pending file of an order may be available."""
    zip_mode: Callable[[Tenant], Coroutine[Any, Any, ZipMode]]
    """How a tenant wants the zips of orders."""
    at_once: DownloadsAtOnce = field(default_factory=DownloadsAtOnce)
    zip_page: int = PAGE
    """The number of files of a zip that are read from the store at once."""


OrderTokenInQuery = Annotated[
    str, Query(alias="orderToken", description="From the metalink, or from the mail on the order.")
]

AvailableInQuery = Annotated[
    bool, Query(description="Without the files that can't be downloaded now.")
]

BAD_ORDER_TOKEN: Final[Documented] = {
    401: {
        "description": "The bearer token is missing or not valid; or, without a body, the order token is not "
        "valid"
    }
}
"""The additional response of endpoints that take an order token."""


def verified(
    services: DownloadServices, request: Request, caller: Caller, order_token: str
) -> OrderToken:
    """Return the content of an order token of the caller's project.

    Raises:
        HttpError: 401 without a body for a token that is not valid; the log has the reason.
    """
    try:
        return services.order_tokens.verify(caller.tenant, order_token)
    except InvalidOrderToken as error:
        facts_of(request.scope)["rejected"] = str(error)
        raise HttpError(401) from error


def counted_user(caller: Caller, email: str) -> tuple[str, str] | None:
    """Return the user whose downloads a download counts as, or None for administrators and other services.

    Args:
        caller: who sent the request.
        email: the user in whose name files are fetched.
    """
    return None if is_administrator(caller) or is_system(caller) else (caller.tenant, email)


@dataclass(frozen=True, slots=True)
class WantedMetalink:
    """The metalink that a request asks for."""

    version: Annotated[
        MetalinkVersion | None,
        Query(description="`3`, or `4` (RFC 5854). By default what `Accept` prefers, else `3`."),
    ] = None
    layout: Annotated[
        Layout | None,
        Query(
            description="`flat`: all in one folder, the default of version 3; `products`: a folder for each "
            "product, that of version 4."
        ),
    ] = None
    available: AvailableInQuery = False

    def version_for(self, request: Request) -> MetalinkVersion:
        """Return the version: that of the query, else what the client prefers, else 3."""
        if self.version is not None:
            return self.version
        accept = request.headers.get("Accept", "*/*")
        prefers_4 = quality(accept, METALINK_4_TYPE) > quality(accept, METALINK_TYPE)
        return MetalinkVersion.V4 if prefers_4 else MetalinkVersion.V3


WantedInQuery = Annotated[WantedMetalink, Depends()]


def metalinks_router(access: Access, services: DownloadServices) -> APIRouter:
    endpoints = Endpoints(access, tag="downloads")

    @endpoints.serve(
        GET_PUBLIC_METALINK,
        responses=_RESPONSES,
        documented={**_DOCUMENTED, **BAD_ORDER_TOKEN},
    )
    async def get_public_metalink(
        request: Request,
        caller: AuthorisedCaller,
        order_token: OrderTokenInQuery,
        wanted: WantedInQuery,
    ) -> Response:
        """Return the metalink of the order that the token names."""
        token = verified(services, request, caller, order_token)
        order = await order_to_download(services, request, caller, token.order_id)
        return await _metalink(services, request, caller, order, wanted)

    @endpoints.serve(GET_METALINK, responses=_RESPONSES, documented=_DOCUMENTED)
    async def get_metalink(
        request: Request,
        caller: AuthorisedCaller,
        order_id: OrderIdInPath,
        wanted: WantedInQuery,
    ) -> Response:
        """Return all files of an order as a list for download tools (rest.md 10.4)."""
        order = await order_to_download(services, request, caller, OrderId(order_id))
        if not may_see_orders_of(access.roles, caller, order.owner):
            raise HttpError(403, ACCESS_DENIED)
        return await _metalink(services, request, caller, order, wanted)

    return endpoints.router


async def order_to_download(
    services: DownloadServices, request: Request, caller: Caller, order_id: OrderId
) -> OrderToDownload:
    facts_of(request.scope)["order"] = order_id
    order = await services.orders.order(caller.tenant, order_id)
    if order is None:
        raise HttpError(404, f"There is no order {order_id}")
    return order


async def _metalink(
    services: DownloadServices,
    request: Request,
    caller: Caller,
    order: OrderToDownload,
    wanted: WantedMetalink,
) -> Response:
    if order.status in WITHOUT_METALINK:
        return Response(status_code=404)
    now = services.clock.now()
    if wanted.version_for(request) is MetalinkVersion.V4:
        layout = wanted.layout or Layout.PRODUCTS
        document: ListFormat = Metalink4(now, only_available=wanted.available, layout=layout)
        name, media_type = f"order_{order.id}.meta4", METALINK_4_TYPE
    else:
        layout = wanted.layout or Layout.FLAT
        document = Metalink3(only_available=wanted.available, layout=layout)
        name, media_type = name_for_order(order.id, now, "metalink"), METALINK_TYPE
    pieces = await services.lists.of(caller.tenant, order, document)
    if pieces is None:
        return Response(status_code=404)
    return StreamedDownload(pieces, name, "metalink", media_type=media_type)
