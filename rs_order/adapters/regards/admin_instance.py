"""rs-admin-instance: where the projects live (remote-services.md 6.1)."""

import time
from collections.abc import Callable
from urllib.parse import quote

from rs_order.adapters.regards.http import RemoteService
from rs_order.adapters.regards.tokens import TokenMinter
from rs_order.adapters.regards.verdicts import VerdictCache
from rs_order.domain.ids import Tenant


class RegardsProjects:
    """Implements ``Projects``."""

    def __init__(
        self,
        service: RemoteService,
        tokens: TokenMinter,
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
