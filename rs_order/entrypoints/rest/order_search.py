"""Administrators look for orders of all users (rest.md 8)."""

from collections.abc import AsyncIterator
from typing import Annotated, Final

from fastapi import APIRouter, Request, Response
from starlette.responses import StreamingResponse

from rs_order.application.search_rules import search_of
from rs_order.contracts.envelope import Page
from rs_order.contracts.order import OrderDto
from rs_order.contracts.order_search import SearchRequestParameters
from rs_order.entrypoints.rest.answers import json_answer, page
from rs_order.entrypoints.rest.order_answers import order_entities
from rs_order.entrypoints.rest.order_csv import csv_lines
from rs_order.entrypoints.rest.paging import Paging, Sort, paging
from rs_order.entrypoints.rest.request_log import facts_of
from rs_order.entrypoints.rest.resources import EXPORT_ORDERS, SEARCH_ORDERS
from rs_order.entrypoints.rest.routing import (
    BAD_BODY,
    STORE_TROUBLE,
    AuthorisedCaller,
    Endpoints,
)
from rs_order.entrypoints.rest.services import RestServices
from rs_order.entrypoints.rest.sorting import sorted_by
from rs_order.store.order_views import OrderProperty

SearchPaging = Annotated[Paging, paging(10, Sort(OrderProperty.CREATION_DATE, descending=True))]
CSV_NAME: Final = "attachment;filename=orders.csv"
"""The web interface splits it on ``filename=`` (rest.md 8.3)."""

_SEARCH: Final = {**BAD_BODY, 422: "The restriction on statuses breaks its rules", **STORE_TROUBLE}


def order_search_router(services: RestServices) -> APIRouter:
    endpoints = Endpoints(services, tag="search")

    @endpoints.serve(
        SEARCH_ORDERS,
        model=Page[OrderDto],
        responses={
            **_SEARCH,
            400: "The body is missing or can't be read, or there is no such property to sort by",
        },
    )
    async def search_orders(
        request: Request,
        caller: AuthorisedCaller,
        paging: SearchPaging,
        wanted: SearchRequestParameters,
    ) -> Response:
        """A page of the orders of all users, the deleted ones too (rest.md 8.2)."""
        found = await services.orders.search(
            caller.tenant,
            search_of(wanted),
            sorted_by(paging, OrderProperty),
            limit=paging.size,
            offset=paging.offset,
        )
        items = await order_entities(request, services, caller, found.items)
        return json_answer(request, page(request, paging, found.total, items))

    @endpoints.serve(
        EXPORT_ORDERS,
        responses=_SEARCH,
        documented={200: {"content": {"text/csv": {}}, "description": "One line per order"}},
    )
    async def export_orders(
        request: Request, caller: AuthorisedCaller, wanted: SearchRequestParameters
    ) -> Response:
        """All orders that a search finds, by ascending id, as they are read (rest.md 8.3)."""
        facts = facts_of(request.scope)
        facts["orders"] = 0
        parts = csv_lines(services.orders.export(caller.tenant, search_of(wanted)), facts)
        # The first part is there before the answer begins: until then a failure has its status.
        first = await anext(parts)
        return StreamingResponse(
            _all_of(first, parts),
            media_type="text/csv",
            headers={"Content-Disposition": CSV_NAME},
        )

    return endpoints.router


async def _all_of(first: str, others: AsyncIterator[str]) -> AsyncIterator[str]:
    yield first
    async for other in others:
        yield other
