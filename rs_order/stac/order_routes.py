"""The endpoint that orders items of STAC, or a quote (faces.md 2.4)."""

from typing import Any, Final

from fastapi import APIRouter, Request, Response

from rs_order.contracts.stac_bodies import (
    LONGEST_ITEM,
    MOST_ITEMS,
    ItemOrderRequest,
    StacCollection,
)
from rs_order.core.errors import InvalidInput, ItemsRejected, QuoteChanged
from rs_order.core.reason_texts import language_of
from rs_order.domain.files import FileKind
from rs_order.domain.identity import Caller
from rs_order.domain.ids import OrderId
from rs_order.domain.reasons import ReasonCode, WaitingReason
from rs_order.orders.changed_quotes import changed_quote
from rs_order.rest.access import Access
from rs_order.rest.answers import json_answer
from rs_order.rest.conditional import RETURN_MINIMAL, prefers_minimal
from rs_order.rest.errors import Problem
from rs_order.rest.keyed_requests import AnswerWithSecret, Keyed
from rs_order.rest.middleware import facts_of
from rs_order.rest.parameters import AcceptLanguage
from rs_order.rest.problems import ProblemCode
from rs_order.rest.resources import ORDER_ITEMS
from rs_order.rest.routing import BAD_BODY, AuthorisedCaller, Endpoints
from rs_order.stac.addresses import Addresses, DownloadAddresses
from rs_order.stac.collection import Wait, collection
from rs_order.stac.order_items import Wanted, WantedItems, WantedQuote
from rs_order.stac.parameters import LinkKind
from rs_order.stac.services import StacServices
from rs_order.store.unit_of_work import UnitOfWork
from rs_order.subscriptions.order_webhooks import OrderWebhook

CATALOG_PAUSE_SECONDS: Final = 30
"""The pause before a request is sent again that the catalog didn't answer."""
FIRST_PAUSE_SECONDS: Final = 5
"""The pause before the status of a new order is read."""
MAX_BODY: Final = 8 * 2**20
"""A body may be what a search found: a thousand products with their geometries."""

_CREATED: Final = 201
_FAILURES: Final = {
    **BAD_BODY,
    404: "The caller has no such quote (`unknown-quote`), or the project isn't served",
    409: "The quote can't be ordered: `quote-expired`, `quote-changed` with both figures, `quote-not-ready` "
    "or `quote-failed`. Or the caller or the project has too many subscriptions (`too-many-subscriptions`)",
    422: "Nothing was ordered: `nothing-to-order`, `too-many-items`, `search-rejected`, `invalid-input`, "
    "`label-too-long`, `label-in-use`, `webhooks-off` or `address-not-allowed`",
    503: "The catalog (`catalog-unreachable`) or the database doesn't answer; nothing was changed",
}


def item_orders_router(access: Access, services: StacServices) -> APIRouter:
    endpoints = Endpoints(access, tag="stac", problems=True, keyed=services.keyed)

    @endpoints.serve(
        ORDER_ITEMS,
        success=201,
        model=StacCollection,
        responses=_FAILURES,
        documented={
            200: {
                "model": StacCollection,
                "description": "The caller has ordered the same before: this is that order",
            }
        },
        max_body=MAX_BODY,
        creates=True,
    )
    async def order_stac_items(
        request: Request,
        caller: AuthorisedCaller,
        wanted: ItemOrderRequest,
        work: Keyed,
        accepted: AcceptLanguage = "",
    ) -> Response:
        """Order products by their ids, or a quote. Who orders the same again gets the same order.

        The response is the status of the order, which is read at the address in `Location`. With `notify`, a
        webhook gets the events of the order; the answer has the secret of its signatures, which is shown only
        once.
        """
        webhook = await OrderWebhook.of(services.webhooks, caller, wanted.notify)
        new = _NewOrder(request, caller, accepted, webhook)
        keep = work.with_order(new.in_commit) if work else None
        try:
            made = await services.order_items.handle(
                caller, _wanted(wanted), webhook.with_order(keep)
            )
        except ItemsRejected as error:
            raise _problem(error) from error
        except QuoteChanged as error:
            raise changed_quote(error) from error
        facts_of(request.scope)["order"] = made.order_id
        if made.new:
            webhook.begin()
        if made.new and work is not None and work.answer is not None:
            return work.answer
        return await new.after_commit(services, made.order_id, 201 if made.new else 200)

    return endpoints.router


def _wanted(body: ItemOrderRequest) -> Wanted:
    """Return what a body asks for.

    Raises:
        Problem: there are too many items.
        InvalidInput: an id is too long, or there are both a quote and items.
    """
    if body.quote_id is not None:
        if body.ids or body.data_types is not None or body.filename_reg_exp:
            raise InvalidInput(
                "quoteId: the files of the quote are ordered; leave out items, dataTypes and filenameRegExp"
            )
        return WantedQuote(body.quote_id, label=body.label, reuse=body.reuse)
    if len(body.ids) > MOST_ITEMS:
        text = f"There are {len(body.ids)} items; an order has at most {MOST_ITEMS}. Make several orders."
        raise Problem(ProblemCode.TOO_MANY_ITEMS, text)
    if any(len(one) > LONGEST_ITEM or not one.strip() for one in body.ids):
        raise InvalidInput(f"items: an id has 1 to {LONGEST_ITEM} characters")
    kinds = body.data_types if body.data_types is not None else [FileKind.RAWDATA]
    return WantedItems(
        items=body.ids,
        kinds=frozenset(FileKind(kind) for kind in kinds),
        name_pattern=body.filename_reg_exp or None,
        label=body.label,
        reuse=body.reuse,
    )


def _problem(error: ItemsRejected) -> Problem:
    code = ProblemCode(error.code)
    headers = {}
    if code is ProblemCode.CATALOG_UNREACHABLE:
        headers = {"Retry-After": str(CATALOG_PAUSE_SECONDS)}
    return Problem(code, str(error), headers=headers)


class _NewOrder:
    """The answer to a request that creates an order."""

    def __init__(
        self, request: Request, caller: Caller, accepted: str, webhook: OrderWebhook
    ) -> None:
        self._webhook = webhook
        self._request = request
        self._caller = caller
        self._language = language_of(accepted)
        self._addresses = Addresses.of(request)

    async def in_commit(self, uow: UnitOfWork, order_id: OrderId) -> Response:
        """Return the answer that the commit of the order keeps: its files aren't read yet."""
        if prefers_minimal(self._request):
            return self._minimal(order_id)
        order = await uow.item_orders.order(order_id)
        wait = Wait(WaitingReason(ReasonCode.READING_CATALOG, order.created_at))
        downloads = DownloadAddresses(self._addresses, order_id)
        return self._whole(order_id, collection(order, wait, downloads, self._language), 201)

    async def after_commit(
        self, services: StacServices, order_id: OrderId, status: int
    ) -> Response:
        """Return the answer with the order as it is after the commit."""
        if prefers_minimal(self._request):
            return self._minimal(order_id, status)
        shown = await services.read(self._caller, order_id, self._language)
        body = await services.document(self._request, self._caller.tenant, shown, LinkKind.BEARER)
        return self._whole(order_id, body, status)

    def _minimal(self, order_id: OrderId, status: int = 201) -> Response:
        preference = {"Preference-Applied": RETURN_MINIMAL}
        headers = {**self._headers(order_id), **preference}
        return Response(status_code=status, headers=headers)

    def _whole(self, order_id: OrderId, body: dict[str, Any], status: int) -> Response:
        """Return the answer. The secret of the webhook isn't kept for a repetition of the request."""

        def answer(*, secret: bool) -> Response:
            shown = self._webhook.shown(secret=secret) if status == _CREATED else None
            notify = {"rsorder:notify": shown.to_wire()} if shown else {}
            answer = json_answer(self._request, {**body, **notify}, status)
            answer.headers.update(self._headers(order_id))
            answer.headers["Content-Language"] = self._language
            return answer

        return AnswerWithSecret(answer(secret=True), kept=answer(secret=False))

    def _headers(self, order_id: OrderId) -> dict[str, str]:
        return {
            "Location": self._addresses.collection(order_id),
            "Retry-After": str(FIRST_PAUSE_SECONDS),
        }
