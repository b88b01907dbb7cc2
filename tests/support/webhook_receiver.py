"""A receiver of webhooks, as a client of ours would write one."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web
from cloudevents.core.bindings.http import HTTPMessage, from_http_event
from standardwebhooks.webhooks import Webhook

from tests.support.polling import WAIT_SECONDS


@dataclass
class Request:
    """A request that came."""

    headers: dict[str, str]
    body: bytes

    @property
    def event(self) -> dict[str, Any]:
        found: dict[str, Any] = orjson.loads(self.body)
        return found

    @property
    def name(self) -> str:
        return str(self.event["data"]["event"])

    def verified(self, secret: str) -> dict[str, Any]:
        """Return the data of the event, as the libraries read it.

        Raises:
            WebhookVerificationError: it wasn't signed with this secret.
        """
        Webhook(secret).verify(self.body, self.headers)
        data = from_http_event(HTTPMessage(self.headers, self.body)).get_data()
        assert isinstance(data, dict)
        return data


@dataclass
class Receiver:
    """Keeps what comes, and answers as the test says."""

    url: str = ""
    requests: list[Request] = field(default_factory=list)
    status: Callable[[Request], int] = lambda _: 204
    agrees: bool = True
    """Whether it answers the handshake."""
    hangs: asyncio.Event | None = None
    """Answers wait until it is set."""
    _came: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def handle(self, request: web.Request) -> web.Response:
        if request.method == "OPTIONS":
            allowed = {"WebHook-Allowed-Origin": request.headers["WebHook-Request-Origin"]}
            return web.Response(headers=allowed) if self.agrees else web.Response(status=405)
        came = Request(dict(request.headers), await request.read())
        async with self._came:
            self.requests.append(came)
            self._came.notify_all()
        if self.hangs is not None:
            await self.hangs.wait()
        return web.Response(status=self.status(came), text="thanks")

    async def until(self, name: str, count: int = 1) -> list[Request]:
        """Wait for so many events of a type, and return all requests until then."""
        async with self._came:
            try:
                async with asyncio.timeout(WAIT_SECONDS):
                    await self._came.wait_for(lambda: self.names().count(name) >= count)
            except TimeoutError:
                raise AssertionError(f"waited for {count} {name}, got {self.names()}") from None
        return list(self.requests)

    def names(self) -> list[str]:
        return [one.name for one in self.requests]


@asynccontextmanager
async def running_receiver(port: int = 0) -> AsyncIterator[Receiver]:
    """Run a receiver until the end of the block."""
    receiver = Receiver()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", receiver.handle)
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    receiver.url = f"{site.name}/hook"
    try:
        yield receiver
    finally:
        if receiver.hangs is not None:
            receiver.hangs.set()
        await runner.cleanup()
