"""rs-admin-instance: where the projects live, and which we are connected to (remote-services.md 6)."""

import time
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import quote

from rs_order.adapters.regards.http import RemoteService
from rs_order.adapters.regards.token_issuer import TokenIssuer
from rs_order.adapters.regards.verdicts import VerdictCache
from rs_order.domain.identity import INSTANCE, SERVICE
from rs_order.domain.ids import Tenant
from rs_order.ports.connections import ConnectionState

_CONNECTIONS: Final = f"/connections/{SERVICE}"


class RegardsProjects:
    """Implements ``Projects``."""

    def __init__(
        self,
        service: RemoteService,
        tokens: TokenIssuer,
        *,
        seconds: float = 300.0,
        projects_cached: int = 1000,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._service = service
        self._tokens = tokens
        self._hosts: VerdictCache[Tenant, str | None] = VerdictCache(
            self._ask_host, seconds=lambda _: seconds, size=projects_cached, now=now
        )

    async def host(self, tenant: Tenant) -> str | None:
        return await self._hosts.get(tenant)

    async def _ask_host(self, tenant: Tenant) -> str | None:
        path = f"/projects/{quote(tenant, safe='')}"
        answer = await self._service.get(path, self._tokens.system(tenant))
        if answer is None:
            return None
        content = answer.get("content") if isinstance(answer, dict) else None
        if not isinstance(content, dict):
            raise self._service.nonsense(path, "the answer has no content")
        host = content.get("host")
        if host is not None and not isinstance(host, str):
            raise self._service.nonsense(path, "content.host isn't a text")
        return host.rstrip("/") if host else None


class RegardsConnections:
    """Implements :class:`rs_order.ports.connections.Connections` (remote-services.md 6.4)."""

    def __init__(self, service: RemoteService, tokens: TokenIssuer) -> None:
        self._service = service
        self._tokens = tokens

    async def wanted(self) -> list[Tenant]:
        answer = await self._service.get(_CONNECTIONS, self._tokens.system(INSTANCE))
        if answer is None:
            return []
        try:
            return [
                Tenant(_name_of(connection))
                for connection in answer
                if connection.get("state") != ConnectionState.DISABLED
            ]
        except (AttributeError, TypeError, KeyError) as error:
            raise self._service.nonsense(
                _CONNECTIONS, "the answer isn't a list of connections"
            ) from error

    async def report(
        self, tenant: Tenant, state: ConnectionState, cause: str | None = None
    ) -> None:
        body: dict[str, str] = {"tenant": tenant, "state": state}
        if cause is not None:
            body["errorCause"] = cause
        await self._service.put(_CONNECTIONS, self._tokens.system(INSTANCE), body)


def _name_of(connection: Any) -> str:
    name = connection["tenant"]
    if not isinstance(name, str):
        raise TypeError("a tenant's name is a text")
    return name
