"""Issues the tokens for calls of other services (remote-services.md 1.5)."""

import time
from collections.abc import Callable
from typing import Final

import jwt
from cachetools import TTLCache

from rs_order.contracts.platform_names import INSTANCE_ADMIN, PROJECT_ADMIN
from rs_order.domain.identity import INSTANCE, SERVICE, Caller
from rs_order.domain.ids import Tenant

ALGORITHM: Final = "HS512"
RENEW_BEFORE_SECONDS: Final = 60.0
"""A token is replaced this long before it expires, so that it outlives the call it is made for."""
MAX_TOKENS: Final = 1000


class TokenIssuer:
    """Issues the tokens of outgoing calls, and caches each until shortly before it expires."""

    def __init__(
        self,
        key: str,
        *,
        service: str = SERVICE,
        validity_seconds: float = 7200.0,
        now: Callable[[], float] = time.time,
    ) -> None:
        """``key``: the platform's HS512 key; its UTF-8 bytes are the HMAC key.

        Raises:
            ValueError: the tokens would expire before they could be used.
        """
        if validity_seconds <= RENEW_BEFORE_SECONDS:
            raise ValueError(
                f"the validity of tokens must be more than {RENEW_BEFORE_SECONDS:.0f} s, "
                f"not {validity_seconds:g} s"
            )
        self._key = key.encode()
        self._service = service
        self._validity = validity_seconds
        self._now = now
        self._issued: TTLCache[Caller, str] = TTLCache(
            MAX_TOKENS, validity_seconds - RENEW_BEFORE_SECONDS, timer=now
        )

    def system(self, tenant: Tenant) -> str:
        """Return a token of the service itself, within a tenant."""
        return self.on_behalf(Caller(tenant, self._service, f"ROLE_SYS_{self._service}"))

    def instance(self) -> str:
        """Return a token of the service itself, as administrator of the platform."""
        return self.on_behalf(Caller(INSTANCE, self._service, INSTANCE_ADMIN))

    def downloader(self, tenant: Tenant, email: str) -> str:
        """Return a token of the user whose quota is charged, with a role that may read every file."""
        return self.on_behalf(Caller(tenant, email, PROJECT_ADMIN))

    def on_behalf(self, caller: Caller) -> str:
        """Return a token of the caller, with their role and tenant."""
        token = self._issued.get(caller)
        if token is None:
            token = self._issued[caller] = self._sign(caller)
        return token

    def _sign(self, caller: Caller) -> str:
        claims = {
            "tenant": caller.tenant,
            "role": caller.role,
            "sub": caller.email,
            "email": caller.email,
            "exp": int(self._now() + self._validity),
        }
        return jwt.encode(claims, self._key, algorithm=ALGORITHM)
