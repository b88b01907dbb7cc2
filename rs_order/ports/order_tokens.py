"""Order tokens: they open an order to whoever follows a link, until it expires (rest.md 10.2)."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from rs_order.domain.ids import OrderId, Tenant


@dataclass(frozen=True, slots=True)
class TokenHolder:
    """The order a token is made for, and whom it speaks for: its owner (W24)."""

    order_id: OrderId
    owner: str
    role: str
    """Role of the owner in the project when he ordered."""
    expires_at: datetime
    """When the order expires, and the token with it."""


@dataclass(frozen=True, slots=True)
class OrderToken:
    """What a token proves."""

    order_id: OrderId
    subject: str | None
    """E-mail it speaks for; None in tokens of mails that the Java service sent."""


class InvalidOrderToken(Exception):
    """Forged, expired, of another tenant, or no order token at all. Says nothing of the token."""

    code = "invalid-order-token"


class OrderTokensUnset(Exception):
    """There is no key to make or check order tokens with; the text names the setting."""

    code = "order-tokens-unset"


class OrderTokens(Protocol):
    """Makes and checks order tokens."""

    def issue(self, tenant: Tenant, holder: TokenHolder) -> str:
        """A token that opens the order to its bearer.

        Raises:
            OrderTokensUnset: no key is set.
        """
        ...

    def verify(self, tenant: Tenant, token: str) -> OrderToken:
        """Read a token that a request to this tenant came with.

        Raises:
            InvalidOrderToken: it proves nothing.
            OrderTokensUnset: no key is set.
        """
        ...
