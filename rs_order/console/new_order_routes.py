"""The pages of a new order: what it would be, and then the order (console.md 3)."""

from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import Form, Path, Query, Response

from rs_order.console.order_acts import rejection
from rs_order.console.quote_orders import OrderQuoteOnce
from rs_order.console.quote_view import basket_rows, quote_model
from rs_order.console.selections import KINDS, LONGEST_PATTERN, Selection, Unusable
from rs_order.console.texts import Texts
from rs_order.console.visits import Pages, Tone, Visit, Visiting, redirect
from rs_order.contracts.order_messages import OrderRequest
from rs_order.contracts.quote_bodies import quote_id_of, quote_name
from rs_order.core.errors import (
    InvalidInput,
    LabelRejected,
    QuoteChanged,
    QuoteRejected,
    TooManyQuotes,
    UnknownQuote,
)
from rs_order.domain.order import MAX_LABEL
from rs_order.quotes.make import MakeQuotes
from rs_order.requests.accept import MAX_USER
from rs_order.rest.errors import HttpError
from rs_order.rest.middleware import facts_of
from rs_order.rest.problems import PROBLEMS, ProblemCode
from rs_order.rest.resources import APPLY_ORDER, CREATE_ORDER, GET_QUOTE, MAKE_QUOTE
from rs_order.store.quotes import StoredQuote
from rs_order.store.unit_of_work import Store

_NAME: Final = 32
_INVALID: Final = 422
QuoteInPath = Annotated[str, Path(alias="quoteId", max_length=_NAME)]


@dataclass(frozen=True, slots=True)
class NewOrders:
    """Makes quotes, reads them, and orders them."""

    store: Store
    make: MakeQuotes
    order: OrderQuoteOnce


def serve_new_orders(pages: Pages, services: NewOrders) -> None:
    _serve_form(pages, services)
    _serve_quote(pages, services)
    _serve_ordering(pages, services)


def _serve_form(pages: Pages, services: NewOrders) -> None:
    @pages.page("/new-order", MAKE_QUOTE)
    async def new_order(
        visit: Visiting, like: Annotated[str, Query(max_length=_NAME)] = ""
    ) -> Response:
        """Show the form, filled with what a quote was made of if the address names one."""
        quote = await _find(visit, services, like) if like else None
        chosen = Selection() if quote is None else Selection.of_request(quote.request or {})
        return await _form(visit, services, chosen)

    @pages.act("/quotes", MAKE_QUOTE)
    async def quote_selection(
        visit: Visiting,
        queries: Annotated[str, Form()] = "",
        ids: Annotated[str, Form()] = "",
        kind: Annotated[list[str] | None, Form()] = None,
        pattern: Annotated[str, Form(max_length=LONGEST_PATTERN)] = "",
    ) -> Response:
        kinds = [one for one in KINDS if one in (kind or ())]
        chosen = Selection(queries, ids, kinds, pattern.strip())
        try:
            request = chosen.request(visit.texts)
            quote = await services.make.answer(visit.caller, request)
        except Unusable as error:
            return await _form(visit, services, chosen, *error.problems)
        except InvalidInput as error:
            problem = visit.texts("new-order.invalid", text=" ".join(error.messages))
            return await _form(visit, services, chosen, problem)
        except QuoteRejected as error:
            problem = problem_text(visit.texts, error)
            status = PROBLEMS[ProblemCode(error.code)].status
            answer = await _form(visit, services, chosen, problem, status=status)
            if isinstance(error, TooManyQuotes):
                answer.headers["Retry-After"] = str(error.seconds)
            return answer
        return _to(visit, quote)

    @pages.act("/quotes/basket", MAKE_QUOTE)
    async def quote_basket(visit: Visiting) -> Response:
        try:
            quote = await services.make.answer(visit.caller, None)
        except QuoteRejected as error:
            return _rejected(visit, "new-order", error)
        return _to(visit, quote)


async def _form(
    visit: Visit,
    services: NewOrders,
    chosen: Selection,
    *problems: str,
    status: int = _INVALID,
) -> Response:
    """Return the form, with what was entered and the problems with it."""
    basket = await services.store.baskets.of(visit.caller.tenant, visit.caller.email)
    return visit.page(
        "new_order.html",
        status if problems else 200,
        current="new-order",
        chosen=chosen,
        kinds=KINDS,
        longest_pattern=LONGEST_PATTERN,
        problems=problems,
        basket=basket_rows(basket, visit.texts) if basket else [],
    )


def _serve_quote(pages: Pages, services: NewOrders) -> None:
    @pages.page("/quotes/{quoteId}", GET_QUOTE)
    async def show_quote(visit: Visiting, quote_id: QuoteInPath) -> Response:
        quote = await _find(visit, services, quote_id)
        ordered = await services.order.order_of(visit.caller, quote)
        return visit.page(
            "quote.html",
            current="new-order",
            may_quote=visit.may(MAKE_QUOTE),
            may_order=_may_order(visit, quote),
            longest_label=MAX_LABEL,
            ordered=str(ordered) if ordered else None,
            **quote_model(quote.at(visit.now), visit.texts, visit.now),
        )

    @pages.act("/quotes/{quoteId}/again", MAKE_QUOTE)
    async def quote_again(visit: Visiting, quote_id: QuoteInPath) -> Response:
        """Quote the same searches again, or the basket as it is now."""
        quote = await _find(visit, services, quote_id)
        request = None if quote.request is None else OrderRequest.model_validate(quote.request)
        try:
            return _to(visit, await services.make.answer(visit.caller, request))
        except QuoteRejected as error:
            return _rejected(visit, _path(quote), error)


def _serve_ordering(pages: Pages, services: NewOrders) -> None:
    @pages.act("/quotes/{quoteId}/order", CREATE_ORDER)
    async def order_quote(
        visit: Visiting, quote_id: QuoteInPath, label: Annotated[str, Form()] = ""
    ) -> Response:
        quote = await _find(visit, services, quote_id)
        if not _may_order(visit, quote):
            raise HttpError(403, "Access is denied")
        try:
            order = await services.order.order(visit.caller, quote, label.strip() or None)
        except UnknownQuote as error:
            raise _no_quote(visit, quote_id) from error
        except (QuoteRejected, LabelRejected) as error:
            return _rejected(visit, _path(quote), error)
        facts_of(visit.request.scope)["order"] = order.id
        said = "did.order" if order.first else "did.order.before"
        return visit.back(f"orders/{order.id}", said, id=str(order.id))


def _may_order(visit: Visit, quote: StoredQuote) -> bool:
    """True if the visitor may order a quote: of queries, it lives as long as an order that was applied."""
    return visit.may(CREATE_ORDER) and (quote.request is None or visit.may(APPLY_ORDER))


async def _find(visit: Visit, services: NewOrders, name: str) -> StoredQuote:
    """Return a quote of the visitor.

    Raises:
        HttpError: they have none with this id.
    """
    known, caller = quote_id_of(name), visit.caller
    found = known and await services.store.quote(caller.tenant, caller.email[:MAX_USER], known)
    if not found:
        raise _no_quote(visit, name)
    return found


def _no_quote(visit: Visit, name: str) -> HttpError:
    return HttpError(404, visit.texts("failure.no-quote", id=name))


def _path(quote: StoredQuote) -> str:
    return f"quotes/{quote_name(quote.id)}"


def _to(visit: Visit, quote: StoredQuote) -> Response:
    return redirect(f"{visit.root}/{_path(quote)}")


def _rejected(visit: Visit, path: str, error: QuoteRejected | LabelRejected) -> Response:
    """Return the way back with the reason why nothing was done."""
    text = problem_text(visit.texts, error)
    return visit.back(path, "did.quote.rejected", tone=Tone.BAD, text=text)


def problem_text(texts: Texts, error: QuoteRejected | LabelRejected) -> str:
    """Return why a quote can't be made or ordered, in words."""
    match error:
        case LabelRejected():
            return rejection(texts, error)
        case TooManyQuotes():
            return texts("quote.rejected.too-many-quotes", seconds=error.seconds)
        case QuoteChanged():
            return texts(
                "quote.rejected.quote-changed",
                files=texts.count("file", error.quoted.files),
                size=texts.size(error.quoted.bytes),
                files_now=texts.count("file", error.now.files),
                size_now=texts.size(error.now.bytes),
            )
    return texts(f"quote.rejected.{error.code}")
