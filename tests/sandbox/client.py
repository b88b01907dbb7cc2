"""An HTTP client of the sandbox with the token of an identity."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from rs_order.sandbox.simulated_platform import Sandbox

ORDERABLE = ["RAWDATA", "QUICKLOOK_SD", "QUICKLOOK_MD", "QUICKLOOK_HD"]


class Client:
    """Calls the services of a sandbox."""

    def __init__(self, sandbox: Sandbox, http: httpx.AsyncClient) -> None:
        self.sandbox = sandbox
        self.http = http

    async def search(self, *queries: str, **body: Any) -> httpx.Response:
        """Return the response to a complex search with one request for each query."""
        return await self._catalog("", queries, {"page": 0, "size": 100} | body)

    async def summary(self, *queries: str, **body: Any) -> httpx.Response:
        return await self._catalog(
            "/summary", queries, {"dataTypes": ORDERABLE, "page": 0, "size": 1} | body
        )

    async def found(self, *queries: str, **body: Any) -> list[str]:
        """Return the product ids of the requested page, in its order."""
        return [entry["providerId"] for entry in await self.features(*queries, **body)]

    async def features(self, *queries: str, **body: Any) -> list[dict[str, Any]]:
        response = await self.search(*queries, **body)
        assert response.status_code == 200, response.text
        return [entry["content"] for entry in response.json()["content"]]

    async def download(self, checksum: str) -> httpx.Response:
        url = f"{self.sandbox.urls['STORAGE_URL']}/files/{checksum}/download"
        return await self.http.get(url, params={"isContentInline": "false"})

    async def get(self, service: str, path: str) -> httpx.Response:
        """GET a path of the service of a setting, for example ``ADMIN_URL``."""
        return await self.http.get(self.sandbox.urls[service] + path)

    async def _catalog(
        self, path: str, queries: tuple[str, ...], body: dict[str, Any]
    ) -> httpx.Response:
        one = {"engineType": "legacy"} | body.pop("request", {})
        requests = [one | {"searchParameters": {"q": [query]}} for query in queries]
        url = f"{self.sandbox.urls['CATALOG_URL']}/complex/search{path}"
        return await self.http.post(url, json={"requests": requests} | body)


@asynccontextmanager
async def calling(
    sandbox: Sandbox, email: str = "jane@example.org", role: str = "REGISTERED_USER"
) -> AsyncIterator[Client]:
    headers = {"Authorization": f"Bearer {sandbox.token(email, role)}"}
    async with httpx.AsyncClient(headers=headers, timeout=60) as http:
        yield Client(sandbox, http)
