"""The metalink of an order, for its user and for whoever has its token (rest.md 10.4)."""

from typing import Final

from fastapi import APIRouter, Request, Response

from rs_order.domain.identity import Caller
from rs_order.domain.ids import OrderId
from rs_order.entrypoints.rest.content_disposition import name_for_order
from rs_order.entrypoints.rest.errors import Refused
from rs_order.entrypoints.rest.order_token import BAD_ORDER_TOKEN, OrderTokenInQuery, verified
from rs_order.entrypoints.rest.parameters import OrderIdInPath
from rs_order.entrypoints.rest.request_log import facts_of
from rs_order.entrypoints.rest.resources import GET_METALINK, GET_PUBLIC_METALINK
from rs_order.entrypoints.rest.roles import may_see_orders_of
from rs_order.entrypoints.rest.routing import AuthorisedCaller, Documented, Endpoints
from rs_order.entrypoints.rest.services import RestServices
from rs_order.entrypoints.rest.streaming import StreamedDownload
from rs_order.ports.downloads import OrderToDownload

METALINK_TYPE: Final = "application/metalink+xml"

_DOCUMENTED: Final[Documented] = {
    200: {"content": {METALINK_TYPE: {}}, "description": "The metalink"},
    404: {"description": "There is no such order, or (without a body) it has no file to list now"},
}
_REFUSALS: Final = {
    400: "The order token is missing, or the number of the order isn't one",
    503: "Order tokens can't be made: their key isn't set. Or the project's address is not known now",
}


def metalinks_router(services: RestServices) -> APIRouter:
    endpoints = Endpoints(services, tag="downloads")

    @endpoints.serve(
        GET_PUBLIC_METALINK,
        responses=_REFUSALS,
        documented={**_DOCUMENTED, **BAD_ORDER_TOKEN},
    )
    async def get_public_metalink(
        request: Request, caller: AuthorisedCaller, order_token: OrderTokenInQuery
    ) -> Response:
        """The metalink of the order that the token names."""
        token = verified(services, request, caller, order_token)
        order = await _order(services, request, caller, token.order_id)
        return await _metalink(services, caller, order)

    @endpoints.serve(GET_METALINK, responses=_REFUSALS, documented=_DOCUMENTED)
    async def get_metalink(
        request: Request, caller: AuthorisedCaller, order_id: OrderIdInPath
    ) -> Response:
        """All files of an order, as a list that download tools read (rest.md 10.4)."""
        order = await _order(services, request, caller, OrderId(order_id))
        if not may_see_orders_of(services.roles, caller, order.owner):
            raise Refused(403)
        return await _metalink(services, caller, order)

    return endpoints.router


async def _order(
    services: RestServices, request: Request, caller: Caller, order_id: OrderId
) -> OrderToDownload:
    facts_of(request.scope)["order"] = order_id
    order = await services.downloads.order(caller.tenant, order_id)
    if order is None:
        raise Refused(404, f"There is no order {order_id}")
    return order


async def _metalink(services: RestServices, caller: Caller, order: OrderToDownload) -> Response:
    document = await services.metalinks.of(caller.tenant, order)
    if document is None:
        return Response(status_code=404)
    name = name_for_order(order.id, services.clock.now(), "metalink")
    return StreamedDownload(document, name, media_type=METALINK_TYPE)
