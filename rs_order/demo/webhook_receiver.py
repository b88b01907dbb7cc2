"""A webhook, as a user has one: a server that verifies the events that come, and its subscription.

Signatures are verified with the standard library alone: code of rs_order would not find its own mistakes.
"""

import asyncio
import base64
import hashlib
import hmac
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, Self

import httpx
import orjson
from aiohttp import web

from rs_order.demo.errors import DemoError
from rs_order.demo.user_tokens import UserTokens
from rs_order.domain.settings import WEBHOOK_HOSTS

HOST: Final = "127.0.0.1"
PATH: Final = "/events"
ADMINISTRATOR: Final = "admin@demo.example"
_TIMEOUT: Final = 30.0
"""Seconds for a request. rs_order asks the receiver meanwhile."""


@dataclass(frozen=True, slots=True)
class HeardEvent:
    """An event that a webhook got."""

    id: str
    order_id: int
    ordinal: int
    """Its number among the events of its order, from 1."""
    name: str
    status: str
    """Of the order, when the event was written."""
    percent: int
    is_verified: bool
    """Its signature is right."""

    @classmethod
    def of(cls, event: Mapping[str, Any], *, is_verified: bool) -> Self:
        data = event["data"]
        return cls(
            id=event["id"],
            order_id=data["orderId"],
            ordinal=data["ordinal"],
            name=data["event"],
            status=data["status"],
            percent=data["percent"],
            is_verified=is_verified,
        )


class Receiver:
    """Agrees to get events, verifies those that come, and keeps each once."""

    def __init__(self, show: Callable[[HeardEvent], None]) -> None:
        """``show``: is called with each event as it comes."""
        self._show = show
        self._key = b""
        self._came = asyncio.Condition()
        self.events: dict[str, HeardEvent] = {}
        """By id, in the order in which they came."""

    def trust(self, secret: str) -> None:
        """Verify what comes with the secret of the subscription."""
        self._key = base64.b64decode(secret.removeprefix("whsec_"))

    async def until(self, names: Collection[str]) -> list[HeardEvent]:
        """Wait until each of these events has come, and return all that came."""
        async with self._came:
            await self._came.wait_for(lambda: {*names} <= {one.name for one in self._kept()})
        return self._kept()

    async def answer(self, request: web.Request) -> web.Response:
        """Answer a request of rs_order."""
        if request.method == "OPTIONS":
            origin = request.headers.get("WebHook-Request-Origin", "")
            return web.Response(headers={"WebHook-Allowed-Origin": origin})
        body = await request.read()
        is_verified = self._is_signed(request.headers, body)
        event = HeardEvent.of(orjson.loads(body), is_verified=is_verified)
        if event.id not in self.events:
            self._show(event)
            async with self._came:
                self.events[event.id] = event
                self._came.notify_all()
        return web.Response(status=204)

    def _is_signed(self, headers: Mapping[str, str], body: bytes) -> bool:
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        digest = hmac.new(self._key, signed, hashlib.sha256).digest()
        expected = f"v1,{base64.b64encode(digest).decode()}"
        found = headers["webhook-signature"].split()
        return any(hmac.compare_digest(expected, one) for one in found)

    def _kept(self) -> list[HeardEvent]:
        return list(self.events.values())


class WebhookClient:
    """Subscribes for users of one tenant."""

    def __init__(self, client: httpx.AsyncClient, url: str, tokens: UserTokens) -> None:
        """Create a client.

        Args:
            client: makes the HTTP calls.
            url: the address of the service.
            tokens: of the users.
        """
        self._client = client
        self._url = url
        self._tokens = tokens

    @asynccontextmanager
    async def subscribed(
        self, user: str, show: Callable[[HeardEvent], None]
    ) -> AsyncIterator[tuple[str, Receiver]]:
        """Run a receiver that gets the events of a user's orders until the block is left.

        Yields:
            Its address, and the receiver.

        Raises:
            DemoError: the service didn't accept it.
        """
        receiver = Receiver(show)
        async with listening(receiver) as address:
            admin, own = self._tokens.headers(ADMINISTRATOR, "ADMIN"), self._tokens.headers(user)
            await self._call("PUT", f"/settings/{WEBHOOK_HOSTS}", admin, {"value": [HOST]})
            wanted = {"kind": "webhook", "url": address}
            webhook = await self._call("POST", "/subscriptions?verify=now", own, wanted)
            receiver.trust(webhook["secret"])
            yield address, receiver
            await self._call("DELETE", f"/subscriptions/{webhook['id']}", own)

    async def _call(self, verb: str, path: str, headers: dict[str, str], body: Any = None) -> Any:
        url = f"{self._url}{path}"
        try:
            answer = await self._client.request(
                verb, url, json=body, headers=headers, timeout=_TIMEOUT
            )
        except httpx.HTTPError as error:
            raise DemoError(f"{verb} {url} failed: {error or type(error).__name__}") from error
        if not answer.is_success:
            raise DemoError(f"{verb} {url} answered {answer.status_code}: {answer.text[:200]}")
        return answer.json() if answer.content else None


@asynccontextmanager
async def listening(receiver: Receiver) -> AsyncIterator[str]:
    """Let a receiver listen until the block is left; yield its address."""
    app = web.Application()
    app.router.add_route("*", PATH, receiver.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, HOST, 0)
        await site.start()
        yield f"{site.name}{PATH}"
    finally:
        await runner.cleanup()
