"""rs-admin: the users of a project (remote-services.md 5)."""

import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from rs_order.adapters.regards.http import RemoteService
from rs_order.adapters.regards.token_issuer import TokenIssuer
from rs_order.adapters.regards.verdicts import VerdictCache
from rs_order.domain.ids import Tenant
from rs_order.ports.directory import User

_Key = tuple[Tenant, str]


class RegardsUsers:
    """Implements ``Users``. Verdicts belong to a tenant and an e-mail, never to an e-mail alone."""

    def __init__(
        self,
        service: RemoteService,
        tokens: TokenIssuer,
        *,
        known_seconds: float = 300.0,
        unknown_seconds: float = 30.0,
        users_cached: int = 10_000,
        admin_seconds: float = 600.0,
        admins_cached: int = 1000,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._service = service
        self._tokens = tokens
        self._users: VerdictCache[_Key, User | None] = VerdictCache(
            self._ask_user,
            seconds=lambda user: known_seconds if user else unknown_seconds,
            size=users_cached,
            now=now,
        )
        self._admins: VerdictCache[_Key, bool] = VerdictCache(
            self._ask_is_admin, seconds=lambda _: admin_seconds, size=admins_cached, now=now
        )

    async def find(self, tenant: Tenant, email: str) -> User | None:
        return await self._users.get((tenant, email))

    async def is_admin(self, tenant: Tenant, email: str) -> bool:
        return await self._admins.get((tenant, email))

    async def _ask_user(self, key: _Key) -> User | None:
        tenant, email = key
        path = f"/users/email/{quote(email, safe='')}"
        answer = await self._service.get(path, self._tokens.system(tenant))
        if answer is None:
            return None
        role = _role_name(answer)
        if role is None:
            raise self._service.nonsense(path, "the answer has no content.role.name")
        return User(email, role)

    async def _ask_is_admin(self, key: _Key) -> bool:
        tenant, email = key
        path = f"/users/email/{quote(email, safe='')}/admin"
        answer = await self._service.get(path, self._tokens.system(tenant))
        if answer is None:
            return False
        if not isinstance(answer, bool):
            raise self._service.nonsense(path, "the answer is neither true nor false")
        return answer


def _role_name(answer: Any) -> str | None:
    try:
        name = answer["content"]["role"]["name"]
    except (KeyError, TypeError):
        return None
    return name if isinstance(name, str) and name else None
