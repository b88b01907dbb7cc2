"""Order tokens as JSON web tokens, with a key of their own (rest.md 10.2)."""

from typing import Final, NoReturn

import jwt

from rs_order.domain.ids import Tenant
from rs_order.ports.order_tokens import OrderTokensUnset, TokenHolder

ALGORITHM: Final = "HS256"


class JwtOrderTokens:
    """Implements :class:`rs_order.ports.order_tokens.OrderTokens`."""

    def __init__(self, key: str) -> None:
        """Take the key, whose UTF-8 bytes are used as they are."""
        self._key = key.encode()

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


class NoOrderTokens:
    """Implements :class:`rs_order.ports.order_tokens.OrderTokens` where no key is set."""

    def issue(self, tenant: Tenant, holder: TokenHolder) -> str:  # noqa: ARG002 - the port's
        _unset()


def _unset() -> NoReturn:
    raise OrderTokensUnset(
        "Order tokens can neither be made nor checked: RS_ORDER_ORDER_SECRET is not set"
    )
