"""What the demo asks of the sandbox beside the platform it plays."""

from typing import Any

import httpx

from rs_order.demo.errors import DemoError


class SandboxControl:
    """The ``/sandbox`` API of a running sandbox."""

    def __init__(self, client: httpx.AsyncClient, url: str) -> None:
        self._client = client
        self._url = url

    async def add_user(self, email: str) -> None:
        """Make somebody known to the platform."""
        await self._call("PUT", f"/users/{email}", {"email": email})

    async def restore_requests(self) -> list[frozenset[str]]:
        """The checksums of each request that storage has got."""
        restores = await self._call("GET", "/restores")
        return [frozenset(request["checksums"]) for request in restores["requests"]]

    async def _call(self, verb: str, path: str, body: Any = None) -> Any:
        try:
            answer = await self._client.request(verb, f"{self._url}/sandbox{path}", json=body)
            answer.raise_for_status()
        except httpx.HTTPError as error:
            raise DemoError(f"The sandbox failed: {error or type(error).__name__}") from error
        return answer.json() if answer.content else None
