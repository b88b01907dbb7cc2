"""The tokens of pages, which lead to where the next page begins (faces.md C-11)."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

from fastapi import Query, Request

from rs_order.domain.ids import OrderId
from rs_order.rest.addresses import own_address
from rs_order.rest.errors import Problem
from rs_order.rest.problems import ProblemCode
from rs_order.stac.addresses import GEO_JSON, Link
from rs_order.store.stac import OrderPosition, ProductPosition

PAGE_SIZE: Final = 100
LARGEST_PAGE: Final = 1000

LimitInQuery = Annotated[int, Query(ge=1, le=LARGEST_PAGE)]
TokenInQuery = Annotated[
    list[str] | None, Query(description="From the link `next` of the page before.")
]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_ORDER: Final = re.compile(r"o(\d{1,16})-(\d{1,18})", re.ASCII)
_PRODUCT: Final = re.compile(r"p(\d{1,16})-(\d{1,18})-([0-9a-f]{16})", re.ASCII)


def order_token(position: OrderPosition) -> str:
    return f"o{_micros(position.created_at)}-{position.order_id}"


def product_token(position: ProductPosition) -> str:
    order, key = position.order, position.key.to_bytes(8, signed=True).hex()
    return f"p{_micros(order.created_at)}-{order.order_id}-{key}"


def order_position(token: str | None) -> OrderPosition | None:
    """Return the order that a token names; None without a token.

    Raises:
        Problem: the token isn't one of a list of orders.
    """
    if token is None:
        return None
    found = _ORDER.fullmatch(token)
    if found is None:
        raise _bad_token()
    return _order_position(found)


def product_position(token: str | None) -> ProductPosition | None:
    """Return the product that a token names; None without a token.

    Raises:
        Problem: the token isn't one of a list of products.
    """
    if token is None:
        return None
    found = _PRODUCT.fullmatch(token)
    if found is None:
        raise _bad_token()
    key = int.from_bytes(bytes.fromhex(found[3]), signed=True)
    return ProductPosition(_order_position(found), key)


def own_token(tokens: Sequence[str] | None) -> str | None:
    """Return the token of a page; the token of the caller, which has dots, may be among the parameters."""
    return next((token for token in tokens or () if "." not in token), None)


def next_page(request: Request, token: str, media_type: str = GEO_JSON) -> Link:
    """Return the link to the next page, with the other parameters of the request."""
    address = own_address(request).remove_query_params("token").include_query_params(token=token)
    return {"rel": "next", "type": media_type, "href": str(address), "method": "GET"}


def _order_position(found: re.Match[str]) -> OrderPosition:
    return OrderPosition(_EPOCH + int(found[1]) * _MICROSECOND, OrderId(int(found[2])))


def _micros(at: datetime) -> int:
    return (at - _EPOCH) // _MICROSECOND


def _bad_token() -> Problem:
    return Problem(
        ProblemCode.MALFORMED_REQUEST, "token: it isn't from a link `next` of this list."
    )
