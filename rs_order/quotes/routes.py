"""The endpoints of quotes (faces.md Q-1)."""

from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import APIRouter, Path, Request, Response

from rs_order.contracts.order_messages import OrderRequest
from rs_order.contracts.quote_bodies import QuoteDto, QuoteRequest, quote_id_of, quote_name
from rs_order.core.errors import InvalidInput, TooManyQuotes
from rs_order.domain.quotes import QuoteState
from rs_order.ports import Clock
from rs_order.quotes.begin import BeginQuotes
from rs_order.quotes.document import quote_answer
from rs_order.quotes.make import MakeQuotes
from rs_order.requests.accept import MAX_USER
from rs_order.rest.access import Access
from rs_order.rest.addresses import base_address, expand
from rs_order.rest.answers import json_answer
from rs_order.rest.conditional import RESPOND_ASYNC, prefers_async
from rs_order.rest.errors import Problem
from rs_order.rest.keyed_requests import KeyedAnswers
from rs_order.rest.problems import ProblemCode
from rs_order.rest.resources import APPLY_ORDER, CREATE_ORDER, GET_QUOTE, MAKE_QUOTE
from rs_order.rest.routing import BAD_BODY, AuthorisedCaller, Endpoints
from rs_order.store.quotes import StoredQuote
from rs_order.store.unit_of_work import Store

RETRY_SECONDS: Final = 5
"""The pause before a quote at work is read again."""
LONGEST_NAME: Final = 32

QuoteIdInPath = Annotated[str, Path(alias="quoteId", max_length=LONGEST_NAME, examples=["q-12"])]

_FAILURES: Final = {
    **BAD_BODY,
    400: "The body can't be read (`malformed-request`), or has items of STAC (`not-supported`)",
    422: "The body breaks a rule (`invalid-input`), or the catalog rejects the search (`search-rejected`); "
    "nothing was changed",
    429: "The caller has too many quotes, or too many of the project are at work (`too-many-quotes`)",
    503: "The catalog (`catalog-unreachable`) or the database doesn't answer; nothing was changed",
}


@dataclass(frozen=True, slots=True)
class QuoteServices:
    """Begins quotes, makes them, and reads them."""

    begin: BeginQuotes
    make: MakeQuotes
    store: Store
    clock: Clock
    keyed: KeyedAnswers


def quotes_router(access: Access, services: QuoteServices) -> APIRouter:
    endpoints = Endpoints(access, tag="quotes", problems=True, keyed=services.keyed)
    _serve_making(endpoints, services)
    _serve_quote(endpoints, services)
    return endpoints.router


def _serve_making(endpoints: Endpoints, services: QuoteServices) -> None:
    @endpoints.serve(
        MAKE_QUOTE,
        model=QuoteDto,
        responses=_FAILURES,
        creates=True,
        documented={
            202: {"model": QuoteDto, "description": "It is being made: `Location` has its address"}
        },
    )
    async def make_quote(
        request: Request, caller: AuthorisedCaller, wanted: QuoteRequest
    ) -> Response:
        """What an order would be. Nothing is ordered, and nothing reserved.

        With `Prefer: respond-async`, or if it takes long, the response is 202, and the quote is made
        meanwhile.
        """
        quoted = _quoted(wanted)
        at_once = prefers_async(request)
        try:
            quote = (
                await services.begin.begin(caller, quoted)
                if at_once
                else await services.make.answer(caller, quoted)
            )
        except TooManyQuotes as error:
            headers = {"Retry-After": str(error.seconds)}
            raise Problem(ProblemCode.TOO_MANY_QUOTES, str(error), headers=headers) from error
        answer = _answer(request, quote, 200 if quote.state is QuoteState.READY else 202)
        if at_once:
            answer.headers["Preference-Applied"] = RESPOND_ASYNC
        return answer


def _quoted(wanted: QuoteRequest) -> OrderRequest | None:
    """Return the order to quote, or None for the caller's basket.

    Raises:
        Problem: a member can't be quoted.
        InvalidInput: the body has both queries and the basket.
    """
    unsupported = wanted.unsupported_member()
    if unsupported:
        text = f"{unsupported}: items of STAC can't be quoted here. Send queries, or the basket."
        raise Problem(ProblemCode.NOT_SUPPORTED, text, members={"member": unsupported})
    if not wanted.basket:
        return OrderRequest.model_validate(wanted.to_wire())
    if wanted.queries or wanted.filters:
        raise InvalidInput("basket: a quote is of the basket, or of queries, not of both")
    return None


def _serve_quote(endpoints: Endpoints, services: QuoteServices) -> None:
    @endpoints.serve(
        GET_QUOTE,
        model=QuoteDto,
        responses={
            404: "The caller has no such quote (`unknown-quote`), or the project isn't served"
        },
    )
    async def get_quote(
        request: Request, caller: AuthorisedCaller, quote_id: QuoteIdInPath
    ) -> Response:
        """A quote of the caller. While it is being made, ask again after the seconds of `Retry-After`."""
        known = quote_id_of(quote_id)
        owner = caller.email[:MAX_USER]
        found = known and await services.store.quote(caller.tenant, owner, known)
        if not found:
            raise Problem(ProblemCode.UNKNOWN_QUOTE, f"You have no quote {quote_id}.")
        return _answer(request, found.at(services.clock.now()), 200)


def _answer(request: Request, quote: StoredQuote, status: int) -> Response:
    """Return the response with a quote; with the time to ask again, if it isn't ready."""
    base = base_address(request)
    ordered_by = APPLY_ORDER if quote.request is not None else CREATE_ORDER
    answer = json_answer(request, quote_answer(quote, base + ordered_by.template), status)
    if quote.state is QuoteState.AT_WORK:
        answer.headers["Retry-After"] = str(RETRY_SECONDS)
    if status == 202:  # noqa: PLR2004
        path = expand(GET_QUOTE.template, {"quoteId": quote_name(quote.id)})
        answer.headers["Location"] = base + path
    return answer
