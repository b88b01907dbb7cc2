"""The endpoints that show why an order isn't further (faces.md 10.1)."""

from typing import Annotated, Final

from fastapi import APIRouter, Query, Request, Response

from rs_order.contracts.progress_bodies import ProgressDto, SubOrderProgressPage
from rs_order.core.order_watch import version_of
from rs_order.core.reason_texts import Language, language_of
from rs_order.core.waiting_orders import WaitingOrders, waiting
from rs_order.domain.expectations import LONGEST_PAUSE
from rs_order.domain.identity import Caller
from rs_order.domain.ids import OrderId, SubOrderId, Tenant
from rs_order.domain.reasons import OrderFacts
from rs_order.domain.states import SubOrderState
from rs_order.progress.document import progress_document, sub_order_document
from rs_order.rest.access import Access, may_read_order_of
from rs_order.rest.addresses import own_address
from rs_order.rest.answers import json_answer
from rs_order.rest.conditional import is_known, preferred_wait, weak_tag
from rs_order.rest.errors import Problem
from rs_order.rest.parameters import AcceptLanguage, OrderIdInPath
from rs_order.rest.problems import ProblemCode
from rs_order.rest.resources import GET_PROGRESS, LIST_SUB_ORDER_PROGRESS
from rs_order.rest.routing import AuthorisedCaller, Endpoints

PAGE_SIZE: Final = 100
LARGEST_PAGE: Final = 1000
_DIGITS_OF_ID: Final = 19

_FAILURES: Final = {
    400: "A parameter can't be read (`malformed-request`)",
    403: "The role isn't allowed, or the order is another user's (`not-owner`)",
    404: "There is no such order (`unknown-order`), or the project isn't served",
}


def progress_router(access: Access, orders: WaitingOrders) -> APIRouter:
    endpoints = Endpoints(access, tag="progress", problems=True)
    _serve_progress(endpoints, orders)
    _serve_sub_orders(endpoints, orders)
    return endpoints.router


def _serve_progress(endpoints: Endpoints, orders: WaitingOrders) -> None:
    @endpoints.serve(
        GET_PROGRESS,
        model=ProgressDto,
        responses=_FAILURES,
        documented={304: {"description": "Nothing changed since the response with this ETag"}},
    )
    async def get_progress(
        request: Request,
        caller: AuthorisedCaller,
        order_id: OrderIdInPath,
        accepted: AcceptLanguage = "",
    ) -> Response:
        """Why the order isn't further, since when, and who can change it.

        With `If-None-Match` and `Prefer: wait=30` the response comes as soon as something changes, and after
        30 s (at most 45) as 304.
        """
        id_, language = OrderId(order_id), language_of(accepted)
        facts = await _facts(orders, caller, id_)
        waited = None
        if is_known(request, _tag(orders, facts, language)):
            waited = preferred_wait(request)
        if waited:
            await orders.watch.until_changed(caller.tenant, id_, version_of(facts), waited)
            facts = await _facts(orders, caller, id_)
        answer = await _answer(request, orders, (caller.tenant, id_), facts, language)
        if waited:
            answer.headers["Preference-Applied"] = f"wait={waited}"
        return answer


async def _facts(orders: WaitingOrders, caller: Caller, order_id: OrderId) -> OrderFacts:
    """Return the facts of an order that the caller may read.

    Raises:
        Problem: there is no such order, or it is another user's.
    """
    facts = await orders.facts(caller.tenant, order_id)
    if facts is None:
        raise Problem(ProblemCode.UNKNOWN_ORDER, f"There is no order {order_id}.")
    if not may_read_order_of(caller, facts.owner):
        raise Problem(ProblemCode.NOT_OWNER, f"Order {order_id} belongs to another user.")
    return facts


def _tag(orders: WaitingOrders, facts: OrderFacts, language: Language) -> str:
    """Return the tag of a document. Expected times move by themselves, so it holds five minutes at most."""
    period = int(orders.clock.now().timestamp() / LONGEST_PAUSE.total_seconds())
    return weak_tag(f"{version_of(facts)}-{language}-{period if facts.unfinished else 'end'}")


async def _answer(
    request: Request,
    orders: WaitingOrders,
    order: tuple[Tenant, OrderId],
    facts: OrderFacts,
    language: Language,
) -> Response:
    """Return the document, or 304 if the caller has it."""
    tenant, order_id = order
    expectations = await orders.expectations(tenant)
    tag = _tag(orders, facts, language)
    answer = Response(status_code=304)
    if not is_known(request, tag):
        details = await orders.progress.details(tenant, order_id, facts, expectations.now)
        document = progress_document(order_id, details, expectations, language)
        answer = json_answer(request, {"expected": None, **document.to_wire()})
    answer.headers["ETag"] = tag
    answer.headers["Content-Language"] = language
    if facts.unfinished:
        pause = waiting(facts, expectations).next_check
        answer.headers["Retry-After"] = str(int(pause.total_seconds()))
    return answer


def _serve_sub_orders(endpoints: Endpoints, orders: WaitingOrders) -> None:
    @endpoints.serve(LIST_SUB_ORDER_PROGRESS, model=SubOrderProgressPage, responses=_FAILURES)
    async def list_sub_order_progress(  # noqa: PLR0917 - FastAPI passes them by name
        request: Request,
        caller: AuthorisedCaller,
        order_id: OrderIdInPath,
        state: Annotated[SubOrderState | None, Query(description="Only those in it.")] = None,
        limit: Annotated[int, Query(ge=1, le=LARGEST_PAGE)] = PAGE_SIZE,
        token: Annotated[
            list[str] | None, Query(description="From the link `next` of the page before.")
        ] = None,
        accepted: AcceptLanguage = "",
    ) -> Response:
        """The sub-orders of an order, newest first. The link `next` leads to older ones."""
        before, language = _position(token or []), language_of(accepted)
        facts = await _facts(orders, caller, OrderId(order_id))
        expectations = await orders.expectations(caller.tenant)
        found = await orders.progress.sub_orders(
            caller.tenant, OrderId(order_id), state, expectations.now, limit=limit, before=before
        )
        if not facts.files_known:
            found = []
        content = [
            sub_order_document(facts, one, expectations, language).to_wire() for one in found
        ]
        links = []
        if len(found) == limit:
            address = own_address(request).include_query_params(token=f"s{found[-1].id}")
            links.append({"rel": "next", "href": str(address)})
        return json_answer(request, {"content": content, "links": links})


def _position(tokens: list[str]) -> SubOrderId | None:
    """Return the sub-order before which a page begins; the token of the caller may be among the tokens.

    Raises:
        Problem: the token isn't one of a page.
    """
    own = [token for token in tokens if "." not in token]
    if not own:
        return None
    number = own[0].removeprefix("s")
    known = number != own[0] and number.isascii() and number.isdigit()
    if not known or len(number) >= _DIGITS_OF_ID:
        raise Problem(ProblemCode.MALFORMED_REQUEST, "token: it isn't from a link `next`.")
    return SubOrderId(int(number))
