"""Tokens of the users who place the orders of the demo."""

from rs_order.domain.identity import Caller
from rs_order.domain.ids import Tenant
from rs_order.regards.http import TokenIssuer


class UserTokens:
    """Issues the tokens that the platform would give to users of one tenant."""

    def __init__(self, tenant: Tenant, key: str) -> None:
        """``key``: the HS512 key of the platform's tokens."""
        self._tenant = tenant
        self._issuer = TokenIssuer(key)

    def headers(self, user: str, role: str = "REGISTERED_USER") -> dict[str, str]:
        """Return the headers of a request of a user."""
        token = self._issuer.on_behalf(Caller(self._tenant, user, role))
        return {"Authorization": f"Bearer {token}"}
