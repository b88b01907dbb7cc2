"""Issues and verifies order tokens as JSON web tokens with their own key (rest.md 10.2)."""

from typing import Any, Final, NoReturn

import jwt

from rs_order.contracts.wire import INT64
from rs_order.domain.ids import OrderId, Tenant
from rs_order.ports import Clock, InvalidOrderToken, OrderToken, OrderTokensUnset, TokenHolder

ALGORITHM: Final = "HS256"


class JwtOrderTokens:
    """Implements :class:`rs_order.ports.OrderTokens`."""

    def __init__(self, key: str, clock: Clock) -> None:
        """``key``: its UTF-8 bytes are the HMAC key."""
        self._key = key.encode()
        self._clock = clock

    def issue(self, tenant: Tenant, holder: TokenHolder) -> str:
        claims = {
            "tenant": tenant,
            "role": holder.role,
            "sub": holder.owner,
            "email": holder.owner,
            "ORDER_ID": str(holder.order_id),
            "exp": int(holder.expires_at.timestamp()),
        }
        return jwt.encode(claims, self._key, algorithm=ALGORITHM)

    def verify(self, tenant: Tenant, token: str) -> OrderToken:
        claims = self._claims(token)
        if claims.get("tenant") != tenant:
            raise InvalidOrderToken("the order token is of another project")
        expires = claims.get("exp")
        if not isinstance(expires, int) or expires <= self._clock.now().timestamp():
            raise InvalidOrderToken("the order token has expired")
        return OrderToken(_order_of(claims), claims.get("sub"))

    def _claims(self, token: str) -> dict[str, Any]:
        try:
            # verify checks tenant and expiry, the latter with the service's clock.
            return jwt.decode(
                token,
                self._key,
                algorithms=[ALGORITHM],
                options={
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                    "verify_aud": False,
                    "verify_iss": False,
                },
            )
        except jwt.PyJWTError as error:
            raise InvalidOrderToken("the order token can't be trusted") from error


class NoOrderTokens:
    """Implements :class:`rs_order.ports.OrderTokens` where no key is set."""

    def issue(self, tenant: Tenant, holder: TokenHolder) -> str:  # noqa: ARG002 - the port's
        _unset()

    def verify(self, tenant: Tenant, token: str) -> OrderToken:  # noqa: ARG002 - likewise
        _unset()


def _unset() -> NoReturn:
    raise OrderTokensUnset(
        "Order tokens can neither be made nor checked: RS_ORDER_ORDER_SECRET is not set"
    )


def _order_of(claims: dict[str, Any]) -> OrderId:
    """Return the id of the order, which the token contains as a text.

    Raises:
        InvalidOrderToken: it is missing, or no number of an order.
    """
    order_id = claims.get("ORDER_ID")
    if not isinstance(order_id, str) or not (order_id.isascii() and order_id.isdecimal()):
        raise InvalidOrderToken("the order token names no order")
    if len(order_id) > len(str(INT64)) or int(order_id) > INT64:
        raise InvalidOrderToken("the order token names no order")
    return OrderId(int(order_id))
