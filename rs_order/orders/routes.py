"""Routes that create, list and show orders (rest.md 7.1 to 7.5)."""

import time
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from typing import Annotated, Any, Final

import orjson
from fastapi import APIRouter, Request, Response

from rs_order.contracts.order_bodies import AppliedResponse, OrderDto, QuotedCreation, QuotedRequest
from rs_order.contracts.order_messages import OrderResponse, ResponseStatus
from rs_order.contracts.wire import Entity, Page
from rs_order.core.errors import InvalidInput, QuoteChanged
from rs_order.core.order_watch import version_of
from rs_order.core.reason_texts import Language, language_of
from rs_order.core.waiting_orders import WaitingOrders, waiting
from rs_order.domain.identity import Caller
from rs_order.domain.ids import OrderId
from rs_order.domain.reasons import OrderFacts
from rs_order.orders.apply import CATALOG_UNAVAILABLE, ApplyOrder
from rs_order.orders.changed_quotes import changed_quote
from rs_order.orders.create import (
    CreateOrder,
    OrderOptions,
    WithOrder,
    generated_correlation_id,
)
from rs_order.orders.quoted import OrderQuote
from rs_order.orders.representation import (
    NewOrderAnswer,
    order_entities,
    wait_members,
    waits_of,
)
from rs_order.ports import Users
from rs_order.requests.accept import MAX_CORRELATION_ID
from rs_order.rest.access import Access, may_read_order_of
from rs_order.rest.answers import entity, json_answer, page
from rs_order.rest.conditional import is_known, preferred_wait, weak_tag
from rs_order.rest.errors import HttpError, Messages
from rs_order.rest.keyed_requests import AnswerWithSecret, Keyed, KeyedAnswers, KeyedWork
from rs_order.rest.middleware import facts_of
from rs_order.rest.parameters import AcceptLanguage, OrderIdInPath, Paging, paging
from rs_order.rest.problems import MEDIA_TYPE, answer_with_problems
from rs_order.rest.resources import (
    APPLY_ORDER,
    CREATE_ADMIN_ORDER,
    CREATE_ORDER,
    GET_ORDER,
    LIST_ORDERS,
)
from rs_order.rest.routing import (
    BAD_BODY,
    STORE_UNAVAILABLE,
    AuthorisedCaller,
    Documented,
    Endpoints,
)
from rs_order.store.order_views import OrderView, OrderViews
from rs_order.store.unit_of_work import UnitOfWork
from rs_order.subscriptions.order_webhooks import OrderWebhook
from rs_order.subscriptions.webhooks import ManageWebhooks

OwnPaging = Annotated[Paging, paging(20)]

CATALOG_PAUSE_SECONDS: Final = 30
"""The pause before a request is sent again that the catalog didn't answer."""

_PROBLEM: Final = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
_OF_QUOTES: Final[Documented] = {
    404: {
        "model": Messages,
        "content": _PROBLEM,
        "description": "The caller has no such quote (`unknown-quote`), or the project isn't served",
    },
    409: {
        "content": _PROBLEM,
        "description": "The quote can't be ordered (`quote-expired`, `quote-changed`, `quote-not-ready`, "
        "`quote-failed`)",
    },
    503: {
        "model": Messages,
        "content": _PROBLEM,
        "description": "The database or, for a quote, the catalog doesn't answer; nothing was changed",
    },
}
_CREATION: Final[Documented] = {
    **_OF_QUOTES,
    204: {"description": "The caller has no basket"},
    422: {
        "model": Messages,
        "content": _PROBLEM,
        "description": "`TOO_MANY_CHARACTERS_IN_LABEL` or `LABEL_NOT_UNIQUE_FOR_OWNER`; or the quote has "
        "no file (`nothing-to-order`)",
    },
}


@dataclass(frozen=True, slots=True)
class OrderServices:
    """The use cases and views behind the routes of orders."""

    create: CreateOrder
    apply: ApplyOrder
    order_quote: OrderQuote
    views: OrderViews
    waiting: WaitingOrders
    users: Users
    keyed: KeyedAnswers
    webhooks: ManageWebhooks


def orders_router(access: Access, services: OrderServices) -> APIRouter:
    endpoints = Endpoints(access, tag="orders", keyed=services.keyed)
    _serve_creation(endpoints, access, services)
    _serve_views(endpoints, access, services)
    _serve_automatic_orders(endpoints, services)
    return endpoints.router


def _serve_creation(endpoints: Endpoints, access: Access, services: OrderServices) -> None:
    @endpoints.serve(
        CREATE_ORDER,
        success=201,
        model=Entity[OrderDto],
        responses=BAD_BODY,
        documented=_CREATION,
        creates=True,
    )
    async def create_order(
        request: Request, caller: AuthorisedCaller, wanted: QuotedCreation, work: Keyed
    ) -> Response:
        """The basket, or a quote, becomes an order, PENDING until its files are read (rest.md 7.2)."""
        new = NewOrderAnswer(request, access, caller, work)
        return await _created(services, new, wanted)

    @endpoints.serve(
        CREATE_ADMIN_ORDER,
        success=201,
        model=Entity[OrderDto],
        responses=BAD_BODY,
        documented=_CREATION,
        creates=True,
    )
    async def create_admin_order(
        request: Request, caller: AuthorisedCaller, wanted: QuotedCreation, work: Keyed
    ) -> Response:
        """The same, and storage keeps the files as long as for automatic orders (rest.md 7.2)."""
        new = NewOrderAnswer(request, access, caller, work)
        return await _created(services, new, wanted, applicative=True)


def _serve_views(endpoints: Endpoints, access: Access, services: OrderServices) -> None:
    @endpoints.serve(LIST_ORDERS, model=Page[OrderDto], responses=STORE_UNAVAILABLE)
    async def list_orders(
        request: Request,
        caller: AuthorisedCaller,
        paging: OwnPaging,
        accepted: AcceptLanguage = "",
    ) -> Response:
        """The caller's own orders but the deleted ones, newest first (rest.md 7.4)."""
        found = await services.views.of_owner(
            caller.tenant, caller.email, limit=paging.size, offset=paging.offset
        )
        waits = await waits_of(services.waiting, caller.tenant, found.items, language_of(accepted))
        items = await order_entities(
            request, access, services.users, caller, found.items, waits=waits
        )
        return json_answer(request, page(request, paging, found.total, items))

    @endpoints.serve(
        GET_ORDER,
        model=Entity[OrderDto],
        responses={400: "The id isn't a number", **STORE_UNAVAILABLE},
        documented={
            304: {"description": "Nothing changed since the response with this ETag"},
            403: {"description": "The role isn't allowed, or somebody else's order (then no body)"},
            404: {"description": "There is no such order (no body)"},
        },
    )
    async def get_order(
        request: Request,
        caller: AuthorisedCaller,
        order_id: OrderIdInPath,
        accepted: AcceptLanguage = "",
    ) -> Response:
        """One order, whatever its status (rest.md 7.5).

        With `If-None-Match` and `Prefer: wait=30` the response comes as soon as something changes, and after
        30 s (at most 45) as 304.
        """
        reader = _OrderReader(access, services, request, caller, OrderId(order_id), accepted)
        waited = preferred_wait(request)
        if waited is None or "If-None-Match" not in request.headers:
            return _order_answer(request, await reader.read())
        found, version = await reader.read_with_version()
        if not is_known(request, found.tag):
            return _order_answer(request, found)
        until = time.monotonic() + waited
        while is_known(request, found.tag) and (left := until - time.monotonic()) > 0:
            watch = services.waiting.watch
            await watch.until_changed(caller.tenant, OrderId(order_id), version, left)
            found, version = await reader.read_with_version()
        return _order_answer(request, found, waited)


@dataclass(frozen=True, slots=True)
class _ShownOrder:
    """An order as a caller sees it."""

    body: dict[str, Any]
    tag: str
    language: Language
    next_check: timedelta | None
    """None: it is finished."""


@dataclass(frozen=True, slots=True)
class _OrderReader:
    """Reads an order for a caller."""

    access: Access
    services: OrderServices
    request: Request
    caller: Caller
    order_id: OrderId
    accepted: str
    """The languages that the caller accepts."""

    async def read(self) -> _ShownOrder:
        """Return the order. What its reason follows from is read only if it isn't finished.

        Raises:
            HttpError: there is no such order, or it is another user's.
        """
        view = await self._view()
        facts = await self._facts() if view.status.unfinished else None
        return await self._shown(view, facts)

    async def read_with_version(self) -> tuple[_ShownOrder, str]:
        """Return the order, and its version when, or shortly before, it was read.

        The facts are read first: what changes before the view is read then ends a wait at once.

        Raises:
            HttpError: there is no such order, or it is another user's.
        """
        facts = await self._facts()
        return await self._shown(await self._view(), facts), version_of(facts)

    async def _view(self) -> OrderView:
        view = await self.services.views.order(self.caller.tenant, self.order_id)
        if view is None:
            raise HttpError(404)
        if not may_read_order_of(self.caller, view.owner):
            raise HttpError(403)
        return view

    async def _facts(self) -> OrderFacts | None:
        return await self.services.waiting.facts(self.caller.tenant, self.order_id)

    async def _shown(self, view: OrderView, facts: OrderFacts | None) -> _ShownOrder:
        language, waiting_orders = language_of(self.accepted), self.services.waiting
        wait = None
        if facts and facts.unfinished and view.status.unfinished:
            wait = waiting(facts, await waiting_orders.expectations(self.caller.tenant))
        waits = {view.id: wait_members(wait, language)} if wait else {}
        (body,) = await order_entities(
            self.request, self.access, self.services.users, self.caller, [view], waits=waits
        )
        tag = weak_tag(sha256(orjson.dumps(body)).hexdigest()[:24])
        return _ShownOrder(body, tag, language, wait.next_check if wait else None)


def _order_answer(request: Request, found: _ShownOrder, waited: int | None = None) -> Response:
    """Return the order, or 304 if the caller has it."""
    known = is_known(request, found.tag)
    answer = Response(status_code=304) if known else json_answer(request, found.body)
    answer.headers["ETag"] = found.tag
    if waited:
        answer.headers["Preference-Applied"] = f"wait={waited}"
    if found.next_check is not None:
        answer.headers["Content-Language"] = found.language
        answer.headers["Retry-After"] = str(int(found.next_check.total_seconds()))
    return answer


def _serve_automatic_orders(endpoints: Endpoints, services: OrderServices) -> None:
    @endpoints.serve(
        APPLY_ORDER,
        model=Entity[AppliedResponse],
        responses={
            **BAD_BODY,
            409: "The caller or the project has too many subscriptions; nothing was ordered",
        },
        creates=True,
        documented={
            **_OF_QUOTES,
            422: {
                "model": Entity[OrderResponse] | Messages,
                "content": _PROBLEM,
                "description": "Nothing was ordered: why, or which rules the request breaks",
            },
        },
    )
    async def apply_order(
        request: Request, caller: AuthorisedCaller, wanted: QuotedRequest, work: Keyed
    ) -> Response:
        """Files found by queries become an order at once; the basket isn't touched (rest.md 7.3).

        With `quoteId`, the files of the quote are ordered. With `notify`, a webhook gets the events of the
        order; the answer has the secret of its signatures, which is shown only once.
        """
        return await _applied(services, request, caller, wanted, work)


async def _applied(
    services: OrderServices,
    request: Request,
    caller: Caller,
    wanted: QuotedRequest,
    work: KeyedWork | None,
) -> Response:
    """Order what queries or a quote find, like an automatic order, and return the answer.

    Raises:
        InvalidInput: the request breaks rules of rest.md 4.3; one message for each.
        WebhooksOff, AddressNotAllowed, TooManySubscriptions: it can't have its webhook.
    """
    correlation_id = wanted.correlation_id or generated_correlation_id()
    webhook = await OrderWebhook.of(services.webhooks, caller, wanted.notify)

    async def granted(_: UnitOfWork, order_id: OrderId) -> Response:
        return _granted_answer(request, _granted(order_id, correlation_id), webhook)

    with_order = webhook.with_order(work.with_order(granted) if work else None)
    if wanted.quote_id is None:
        response = await services.apply.handle(caller, wanted, correlation_id, with_order)
    else:
        answer_with_problems(request.scope)
        order_id = await _applied_quote(
            services, caller, wanted, wanted.quote_id, correlation_id, with_order
        )
        response = _granted(order_id, correlation_id)
    facts_of(request.scope)["order"] = response.order_id
    if response.status is ResponseStatus.GRANTED:
        webhook.begin()
        return (work.answer if work else None) or _granted_answer(request, response, webhook)
    answer = json_answer(request, entity(response), 422)
    if response.message == CATALOG_UNAVAILABLE:
        answer.headers["Retry-After"] = str(CATALOG_PAUSE_SECONDS)
    return answer


def _granted_answer(request: Request, response: OrderResponse, webhook: OrderWebhook) -> Response:
    """Return the answer about a new order. The secret of its webhook isn't kept for a repetition."""

    def answer(*, secret: bool) -> Response:
        members = {**response.model_dump(), "notify": webhook.shown(secret=secret)}
        return json_answer(request, entity(AppliedResponse.model_validate(members)))

    return AnswerWithSecret(answer(secret=True), kept=answer(secret=False))


def _granted(order_id: OrderId, correlation_id: str) -> OrderResponse:
    return OrderResponse(
        status=ResponseStatus.GRANTED, order_id=order_id, correlation_id=correlation_id
    )


async def _applied_quote(  # noqa: PLR0917 - one call, above its definition
    services: OrderServices,
    caller: Caller,
    wanted: QuotedRequest,
    quote: str,
    correlation_id: str,
    with_order: WithOrder | None,
) -> OrderId:
    """Order a quote like an automatic order, and return the id of the order.

    Raises:
        InvalidInput: the body has queries, too, or its correlation id is too long.
    """
    if wanted.queries or wanted.filters:
        raise InvalidInput(
            "quoteId: the queries of the quote are ordered; leave out queries and filters"
        )
    if len(correlation_id) > MAX_CORRELATION_ID:
        raise InvalidInput(
            f"provided correlationId must not exceed {MAX_CORRELATION_ID} characters."
        )
    return await _ordered_quote(
        services, caller, quote, options=None, correlation_id=correlation_id, with_order=with_order
    )


async def _ordered_quote(
    services: OrderServices,
    caller: Caller,
    quote: str,
    *,
    options: OrderOptions | None,
    applicative: bool = False,
    correlation_id: str | None = None,
    with_order: WithOrder | None,
) -> OrderId:
    """Order a quote, and return the id of the order.

    Raises:
        Problem: the selection of the quote has changed; with both figures.
    """
    try:
        return await services.order_quote.handle(
            caller,
            quote,
            options,
            applicative=applicative,
            correlation_id=correlation_id,
            with_order=with_order,
        )
    except QuoteChanged as error:
        raise changed_quote(error) from error


async def _created(
    services: OrderServices,
    new: NewOrderAnswer,
    wanted: QuotedCreation,
    *,
    applicative: bool = False,
) -> Response:
    options = OrderOptions(wanted.label, wanted.on_success_url or None)
    if wanted.quote_id is None:
        order_id = await services.create.handle(
            new.caller, options, applicative=applicative, with_order=new.with_order
        )
    else:
        answer_with_problems(new.request.scope)
        order_id = await _ordered_quote(
            services,
            new.caller,
            wanted.quote_id,
            options=options,
            applicative=applicative,
            with_order=new.with_order,
        )
    facts_of(new.request.scope)["order"] = order_id
    return await new.answer(services.views, order_id)
