"""A client that calls rs-order and reads its responses like the official web interface (rest.md 12)."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from tests.acceptance.platform import TENANT, Platform
from tests.support.polling import eventually

BASE = "/api/v1/rs-order"
HISTORY_SIZE = 20


@dataclass
class Answer:
    """A response as the interface reads it: JSON is parsed only if the media type is JSON."""

    status: int
    payload: Any
    headers: httpx.Headers

    @classmethod
    def of(cls, response: httpx.Response) -> "Answer":
        is_json = "json" in response.headers.get("Content-Type", "")
        parsed = is_json and response.status_code != httpx.codes.NO_CONTENT
        return cls(
            response.status_code, response.json() if parsed else response.content, response.headers
        )

    @property
    def message(self) -> str:
        """The text that the user sees when a call fails."""
        return str(self.payload["messages"][0])


class WebInterface:
    """One browser window of one user."""

    def __init__(self, client: httpx.AsyncClient, token: str) -> None:
        self._client = client
        self._token = token

    @classmethod
    @asynccontextmanager
    async def opened(
        cls, here: Platform, email: str, role: str = "REGISTERED_USER"
    ) -> AsyncIterator["WebInterface"]:
        token = here.sandbox.token(email, role, TENANT)
        headers = {
            "Accept": "application/json, text/plain",
            "Authorization": f"Bearer {token}",
            "Origin": "https://regards.example.org",
        }
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{here.port}{BASE}",
            headers=headers,
            timeout=60,
            trust_env=False,
        ) as client:
            yield cls(client, token)

    async def call(self, verb: str, path: str, body: Any = None, **parameters: Any) -> Answer:
        """Send a request as the interface does; development builds send an extra ``offset=0``."""
        given = {} if body is None else {"json": body}
        response = await self._client.request(
            verb, path, params={"offset": 0, **parameters}, **given
        )
        return Answer.of(response)

    async def send_file(self, path: str, name: str, content: bytes) -> Answer:
        return Answer.of(await self._client.post(path, files={"file": (name, content)}))

    async def follow(self, path: str) -> httpx.Response:
        """Open a plain browser link: no extra header, the token in the URL."""
        async with httpx.AsyncClient(
            base_url=str(self._client.base_url), timeout=60, trust_env=False
        ) as browser:
            return await browser.get(path, params={"token": self._token})

    async def history(self, pages: int = 1) -> dict[str, Any]:
        """Return the order history; a refresh requests all shown pages at once."""
        answer = await self.call("GET", "/user/orders", page=0, size=HISTORY_SIZE * pages)
        assert answer.status == httpx.codes.OK
        page: dict[str, Any] = answer.payload
        return page

    async def order(self, order_id: int) -> dict[str, Any]:
        """Return the order with its links from the history."""
        (found,) = [
            item for item in (await self.history())["content"] if item["content"]["id"] == order_id
        ]
        return dict(found)

    async def until_status(self, order_id: int, *statuses: str) -> dict[str, Any]:
        """Poll the history like the page until the order has a status."""

        async def reached() -> dict[str, Any] | None:
            item = await self.order(order_id)
            return item if item["content"]["status"] in statuses else None

        found: dict[str, Any] = await eventually(reached, f"order {order_id} {statuses}")
        return found

    async def until_state(self, files: str, state: str) -> None:
        """Poll a table of files like the page until one has a state."""

        async def reached() -> bool:
            answer = await self.call("GET", files, page=0, size=20)
            return any(item["content"]["state"] == state for item in answer.payload["content"])

        await eventually(reached, f"a file is {state}")


def rels(item: dict[str, Any]) -> set[str]:
    """Return the relations of the links.

    Links have only ``rel`` and ``href``, since Java readers fail for other members.
    """
    assert all(set(link) == {"rel", "href"} for link in item["links"])
    return {link["rel"] for link in item["links"]}
