"""The order token that a public link carries in its address (rest.md 10.2)."""

from typing import Annotated

from fastapi import Query, Request

from rs_order.domain.identity import Caller
from rs_order.entrypoints.rest.errors import Refused
from rs_order.entrypoints.rest.request_log import facts_of
from rs_order.entrypoints.rest.services import RestServices
from rs_order.ports.order_tokens import InvalidOrderToken, OrderToken

OrderTokenInQuery = Annotated[
    str, Query(alias="orderToken", description="From the metalink, or from the mail on the order.")
]


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
