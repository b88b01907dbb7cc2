"""Middleware of all endpoints: the request log, tokens in addresses, common headers (rest.md 2.1, 2.5)."""

import re
import time
from collections.abc import Collection, Mapping
from typing import Any, Final
from urllib.parse import parse_qs

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rs_order.rest.errors import messages_answer

_FACTS: Final = "rs_order.facts"

log = structlog.stdlib.get_logger("rs_order.rest")


def facts_of(scope: Scope) -> dict[str, Any]:
    """What the line of a request will say; whoever learns something adds it."""
    facts: dict[str, Any] = scope.setdefault(_FACTS, {})
    return facts


class RequestLog:
    """Writes the line, and answers 500 where nothing else was answered.

    The query isn't logged: it may hold a token.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        answer = _Answer(send)
        facts = facts_of(scope)
        client = scope.get("client")
        try:
            await self._app(scope, receive, answer.send)
        except Exception as error:
            facts["error"] = type(error).__name__
            log.exception("request-failed", path=scope["path"], **facts)
            if answer.status is not None:
                # Cut: the client must not take what it has for the whole.
                raise
            text = f"An unexpected error occurred: {type(error).__name__}"
            await messages_answer(500, text)(scope, receive, answer.send)
        finally:
            log.info(
                "request",
                verb=scope["method"],
                path=scope["path"],
                status=answer.status,
                bytes=answer.bytes,
                ms=round((time.perf_counter() - started) * 1000, 1),
                address=client[0] if client else None,
                **facts,
            )


class _Answer:
    """Watches what is sent."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status: int | None = None
        self.bytes = 0

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        else:
            self.bytes += len(message.get("body", b""))
        await self._send(message)


class QueryToken:
    """Turns ``?token=`` into ``Authorization: Bearer`` (rest.md 1.1), in place of any there was."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        token = _token(scope) if scope["type"] == "http" else None
        if token:
            others = [header for header in scope["headers"] if header[0] != b"authorization"]
            bearer = (b"authorization", f"Bearer {token}".encode("latin-1", "replace"))
            scope = {**scope, "headers": [*others, bearer]}
        await self._app(scope, receive, send)


def _token(scope: Scope) -> str | None:
    query: bytes = scope["query_string"]
    tokens = parse_qs(query.decode("latin-1")).get("token")
    return tokens[0] if tokens else None


_CORS: Final = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "POST, PUT, GET, OPTIONS, DELETE",
    "Access-Control-Allow-Headers": "authorization, content-type, scope",
    "Access-Control-Max-Age": "3600",
}
_ORIGIN: Final = re.compile(r"https?://([^/:@\[\]]+)(?::[0-9]+)?")
_NO_CACHE: Final = {
    "Cache-Control": "no-cache, no-store, max-age=0, must-revalidate",
    "Pragma": "no-cache",
    "Expires": "0",
}
_SAFETY: Final = {
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "X-XSS-Protection": "0",
}


class CommonHeaders:
    """Adds them; pages of other origins than the allowed ones get no CORS header, so browsers refuse.

    Args:
        app: what answers.
        origins: origins (``https://example.org:8443``) or hosts; none: every page may call.
    """

    def __init__(self, app: ASGIApp, origins: Collection[str] = ()) -> None:
        self._app = app
        self._origins = frozenset(origin.rstrip("/").lower() for origin in origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        cors = self._cors(headers.get("Origin", ""))
        if scope["method"] == "OPTIONS" and "Authorization" not in headers:
            await Response(headers=cors)(scope, receive, send)
        else:
            await self._app(scope, receive, _adding(cors, send))

    def _cors(self, origin: str) -> Mapping[str, str]:
        if not self._origins:
            return _CORS
        if not self._origins.isdisjoint({origin.lower(), _host(origin.lower())}):
            return {**_CORS, "Access-Control-Allow-Origin": origin, "Vary": "Origin"}
        return {"Vary": "Origin"}


def _host(origin: str) -> str:
    """The host of an origin, by whatever scheme and port; nothing of what isn't an origin."""
    found = _ORIGIN.fullmatch(origin)
    return found[1] if found else ""


def _adding(cors: Mapping[str, str], send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            # Who says anything on caching has said it all.
            no_cache = {} if any(name in headers for name in _NO_CACHE) else _NO_CACHE
            headers.update({**cors, **no_cache, **_SAFETY})
        await send(message)

    return sending
