"""The order token that a public link carries in its address (rest.md 10.2)."""

from typing import Annotated, Final

from fastapi import Query, Request

from rs_order.domain.identity import Caller
from rs_order.entrypoints.rest.errors import Refused
from rs_order.entrypoints.rest.request_log import facts_of
from rs_order.entrypoints.rest.routing import Documented
from rs_order.entrypoints.rest.services import RestServices
from rs_order.ports.order_tokens import InvalidOrderToken, OrderToken

OrderTokenInQuery = Annotated[
    str, Query(alias="orderToken", description="From the metalink, or from the mail on the order.")
]

BAD_ORDER_TOKEN: Final[Documented] = {
    401: {
        "description": "No bearer token that can be trusted; or, without a body, an order token "
        "that proves nothing"
    }
}
"""What an endpoint that takes one answers beside the rest."""


def verified(
    services: RestServices, request: Request, caller: Caller, order_token: str
) -> OrderToken:
    """What the token proves in the project the request is about.

    Raises:
        Refused: 401 without a body for a token that proves nothing; why is in the log.
    """
    try:
        return services.order_tokens.verify(caller.tenant, order_token)
    except InvalidOrderToken as error:
        facts_of(request.scope)["refused"] = str(error)
        raise Refused(401) from error
