"""The calls of RabbitMQ's management API that servers and tests need."""

from collections.abc import Iterable
from types import TracebackType
from typing import Self
from urllib.parse import quote, urlsplit, urlunsplit

import httpx

_TIMEOUT_SECONDS = 30.0


class Management:
    """A client of the management API of one broker.

    Args:
        url: with the credentials of an administrator.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._user = parts.username or "guest"
        address = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
        self._client = httpx.AsyncClient(
            base_url=address,
            auth=(self._user, parts.password or "guest"),
            timeout=_TIMEOUT_SECONDS,
            trust_env=False,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._client.aclose()

    async def answers(self) -> bool:
        """Return True if the API serves now.

        Raises:
            httpx.HTTPStatusError: the credentials are rejected.
        """
        try:
            response = await self._client.get("/api/whoami")
        except httpx.TransportError:
            return False
        if response.status_code == httpx.codes.UNAUTHORIZED:
            response.raise_for_status()
        return response.is_success

    async def create_vhost(self, name: str) -> None:
        """Create a virtual host if it is missing, and give the user all rights in it."""
        vhost, user = quote(name, safe=""), quote(self._user, safe="")
        await self._put(f"/api/vhosts/{vhost}", {})
        everything = {"configure": ".*", "write": ".*", "read": ".*"}
        await self._put(f"/api/permissions/{vhost}/{user}", everything)

    async def create_user(
        self, name: str, password: str, permissions: dict[str, str], vhosts: Iterable[str]
    ) -> None:
        """Create a user without rights of administration, and give it permissions on virtual hosts."""
        user = quote(name, safe="")
        await self._put(f"/api/users/{user}", {"password": password, "tags": ""})
        for vhost in vhosts:
            await self._put(f"/api/permissions/{quote(vhost, safe='')}/{user}", permissions)

    async def delete_user(self, name: str) -> None:
        response = await self._client.delete(f"/api/users/{quote(name, safe='')}")
        response.raise_for_status()

    async def delete_vhost(self, name: str) -> None:
        response = await self._client.delete(f"/api/vhosts/{quote(name, safe='')}")
        response.raise_for_status()

    async def queue_names(self, vhost: str) -> list[str]:
        """Return the names of all queues in a virtual host."""
        path = f"/api/queues/{quote(vhost, safe='')}"
        response = await self._client.get(path, params={"columns": "name"})
        response.raise_for_status()
        return [queue["name"] for queue in response.json()]

    async def _put(self, path: str, body: dict[str, str]) -> None:
        response = await self._client.put(path, json=body)
        response.raise_for_status()
