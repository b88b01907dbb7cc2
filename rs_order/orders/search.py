"""Searches the orders of all users, as pages and as CSV (rest.md 8)."""

from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Any, Final

from fastapi import APIRouter, Request, Response
from starlette.responses import StreamingResponse

from rs_order.contracts.order_bodies import OrderDto, SearchRequestParameters, ValuesRestriction
from rs_order.contracts.wire import Page
from rs_order.core.errors import InvalidInput
from rs_order.core.reason_texts import language_of
from rs_order.core.waiting_orders import WaitingOrders
from rs_order.domain.instants import wire_instant
from rs_order.domain.states import OrderStatus
from rs_order.orders.representation import order_entities, waits_of
from rs_order.ports import Users
from rs_order.rest.access import Access
from rs_order.rest.answers import formula_free, json_answer, page
from rs_order.rest.middleware import facts_of
from rs_order.rest.parameters import AcceptLanguage, Paging, Sort, paging, sorted_by
from rs_order.rest.resources import EXPORT_ORDERS, SEARCH_ORDERS
from rs_order.rest.routing import BAD_BODY, STORE_UNAVAILABLE, AuthorisedCaller, Endpoints
from rs_order.store.order_views import OrderProperty, OrderSearch, OrderView, OrderViews

MAX_VALUES: Final = 1000
_MODES: Final = ("INCLUDE", "EXCLUDE")


def search_of(parameters: SearchRequestParameters) -> OrderSearch:
    """Return the search that the parameters describe.

    Raises:
        InvalidInput: the restriction on statuses breaks rules; one message for each.
    """
    created = parameters.creation_date
    return OrderSearch(
        owner=parameters.owner or None,
        statuses=_statuses(parameters.statuses) if parameters.statuses else None,
        created_from=created.after if created else None,
        created_to=created.before if created else None,
        waiting_for_user=parameters.waiting_for_user,
    )


def _statuses(restriction: ValuesRestriction) -> frozenset[OrderStatus] | None:
    """Return the statuses that the restriction allows; None means all."""
    broken = _broken_rules(restriction)
    known = frozenset(status for status in OrderStatus if status in (restriction.values or ()))
    if not broken and restriction.mode == "INCLUDE" and not known:
        broken = [f"statuses.values must hold one of {', '.join(OrderStatus)}"]
    if broken:
        raise InvalidInput(*broken)
    if restriction.mode == "INCLUDE":
        return known
    return frozenset(OrderStatus) - known if known else None


def _broken_rules(restriction: ValuesRestriction) -> list[str]:
    broken = []
    if restriction.values is None:
        broken.append("statuses.values must not be null")
    elif len(restriction.values) > MAX_VALUES:
        broken.append(f"statuses.values must not hold more than {MAX_VALUES} values")
    if restriction.mode not in _MODES:
        broken.append(f"statuses.mode must be one of {', '.join(_MODES)}")
    return broken


HEADER: Final = (
    "ORDER_ID;CREATION_DATE;EXPIRATION_DATE;OWNER;STATUS;STATUS_DATE;PERCENT_COMPLETE;"
    "FILES_IN_ERROR;FILES_SIZE;FILES_COUNT\n"
)
_BREAKING: Final = str.maketrans("", "", ";\r\n")
"""Removes the characters that end a field or a line; e-mail addresses don't contain them."""


async def csv_lines(
    parts: AsyncIterator[Sequence[OrderView]], facts: dict[str, Any]
) -> AsyncIterator[str]:
    """Yield the header with the first part, then the other parts; count the orders in ``facts["orders"]``."""
    text = HEADER
    async for part in parts:
        facts["orders"] += len(part)
        yield text + "".join(csv_line(view) for view in part)
        text = ""
    if text:
        yield text


def csv_line(view: OrderView) -> str:
    fields = (
        view.id,
        wire_instant(view.created_at),
        wire_instant(view.expires_at) if view.expires_at else "",
        formula_free(view.owner.translate(_BREAKING)),
        view.status,
        wire_instant(view.status_at),
        view.percent,
        view.errors,
        sum(task.bytes for task in view.dataset_tasks),
        sum(task.files for task in view.dataset_tasks),
    )
    return ";".join(str(field) for field in fields) + "\n"


SearchPaging = Annotated[Paging, paging(10, Sort(OrderProperty.CREATION_DATE, descending=True))]
CSV_NAME: Final = "attachment;filename=orders.csv"
"""The web interface splits it on ``filename=`` (rest.md 8.3)."""

_SEARCH: Final = {
    **BAD_BODY,
    422: "The restriction on statuses breaks its rules",
    **STORE_UNAVAILABLE,
}


def order_search_router(
    access: Access, orders: OrderViews, waiting: WaitingOrders, users: Users
) -> APIRouter:
    endpoints = Endpoints(access, tag="search")
    _serve_search(endpoints, access, orders, waiting, users)
    _serve_export(endpoints, orders)
    return endpoints.router


def _serve_search(
    endpoints: Endpoints,
    access: Access,
    orders: OrderViews,
    waiting: WaitingOrders,
    users: Users,
) -> None:
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
        accepted: AcceptLanguage = "",
    ) -> Response:
        """A page of the orders of all users, the deleted ones too (rest.md 8.2)."""
        found = await orders.search(
            caller.tenant,
            search_of(wanted),
            sorted_by(paging, OrderProperty),
            limit=paging.size,
            offset=paging.offset,
        )
        waits = await waits_of(waiting, caller.tenant, found.items, language_of(accepted))
        items = await order_entities(request, access, users, caller, found.items, waits=waits)
        return json_answer(request, page(request, paging, found.total, items))


def _serve_export(endpoints: Endpoints, orders: OrderViews) -> None:
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
        parts = csv_lines(orders.export(caller.tenant, search_of(wanted)), facts)
        # Read the first part before the response begins, so that a failure can still set the status.
        first = await anext(parts)
        return StreamingResponse(
            _all_of(first, parts),
            media_type="text/csv",
            headers={"Content-Disposition": CSV_NAME},
        )


async def _all_of(first: str, others: AsyncIterator[str]) -> AsyncIterator[str]:
    yield first
    async for other in others:
        yield other
