"""A client of ``GET /user/orders/{id}/progress``, as the owner of the order uses it (faces.md 10.1)."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

import httpx

from rs_order.demo.errors import DemoError
from rs_order.demo.user_tokens import UserTokens

WAIT_SECONDS = 10
"""The service may wait for so long for a change before it answers."""


@dataclass(frozen=True, slots=True)
class OrderProgress:
    """Why an order isn't further, and when its last file is expected."""

    code: str
    text: str
    earliest: datetime | None
    latest: datetime | None
    why: str | None
    """Why no time is expected."""

    @classmethod
    def of(cls, document: dict[str, Any]) -> Self:
        reason, expected = document["reason"], document["expected"]
        return cls(
            code=reason["code"],
            text=reason["text"],
            earliest=_instant(expected["earliest"]) if expected else None,
            latest=_instant(expected["latest"]) if expected else None,
            why=document.get("why"),
        )


class ProgressClient:
    """Reads the progress of orders."""

    def __init__(self, client: httpx.AsyncClient, url: str, tokens: UserTokens) -> None:
        """Create a client.

        Args:
            client: makes the HTTP calls.
            url: the address of the service.
            tokens: of the owners of the orders.
        """
        self._client = client
        self._url = url
        self._tokens = tokens

    async def until(self, order_id: int, user: str, code: str) -> OrderProgress:
        """Wait until this is the reason why an order isn't further, and return the progress.

        The service answers as soon as the order changes, so that the client needs no pauses.

        Raises:
            DemoError: the service gave no progress.
        """
        headers = {
            **self._tokens.headers(user),
            "Accept-Language": "en",
            "Prefer": f"wait={WAIT_SECONDS}",
        }
        while True:
            answer = await self._get(f"{self._url}/user/orders/{order_id}/progress", headers)
            headers["If-None-Match"] = answer.headers.get("ETag", "")
            if answer.status_code == httpx.codes.OK:
                progress = OrderProgress.of(answer.json())
                if progress.code == code:
                    return progress

    async def _get(self, url: str, headers: dict[str, str]) -> httpx.Response:
        try:
            answer = await self._client.get(url, headers=headers, timeout=2 * WAIT_SECONDS)
        except httpx.HTTPError as error:
            raise DemoError(f"{url} failed: {error or type(error).__name__}") from error
        if answer.status_code not in (httpx.codes.OK, httpx.codes.NOT_MODIFIED):
            raise DemoError(f"{url} answered {answer.status_code}: {answer.text[:200]}")
        return answer


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
