"""Middleware of all endpoints: request log, tokens in addresses, common headers, public prefix, HEAD.

The rules are those of rest.md 1.1, 2.1 and 2.5.
"""

import re
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final
from urllib.parse import parse_qs

import structlog
from starlette.responses import Response
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rs_order import traces
from rs_order.correlation_ids import CORRELATION_HEADER, correlated
from rs_order.rest.addresses import PUBLIC_PREFIX
from rs_order.rest.errors import expected_cause, messages_answer
from rs_order.rest.forwarded import header_of

_CORRELATION: Final = CORRELATION_HEADER.encode("latin-1")
_PARENT: Final = traces.HEADER.encode("latin-1")
_NO_SPAN: Final = nullcontext()
_FACTS: Final = "rs_order.facts"
_HEAD: Final = "rs_order.head"
_DOTS_OF_JWT: Final = 2

log = structlog.stdlib.get_logger("rs_order.rest")


def facts_of(scope: Scope) -> dict[str, Any]:
    """Return the members of the request's log line. An endpoint adds what it knows, such as the order."""
    facts: dict[str, Any] = scope.setdefault(_FACTS, {})
    return facts


class RequestLog:
    """Logs each request, and answers 500 if an exception is raised before the response starts.

    The query isn't logged, because it may hold a token.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        with correlated(header_of(scope, _CORRELATION)):
            await self._logged(scope, receive, _ResponseRecorder(send))

    async def _logged(self, scope: Scope, receive: Receive, response: "_ResponseRecorder") -> None:
        started = time.perf_counter()
        facts = facts_of(scope)
        client = scope.get("client")
        try:
            with _span(scope):
                await self._app(scope, receive, response.send)
        except Exception as error:
            cause = expected_cause(error)
            facts["error"] = type(cause or error).__name__
            if cause is not None:
                # The server cuts a connection whose response isn't complete.
                log.warning("response-cut", path=scope["path"], cause=str(cause), **facts)
                return
            log.exception("request-failed", path=scope["path"], **facts)
            if response.status is not None:
                # The response has started. Cut the connection, so that the client sees it is incomplete.
                raise
            text = f"An unexpected error occurred: {type(error).__name__}"
            await messages_answer(500, text)(scope, receive, response.send)
        finally:
            log.info(
                "request",
                verb=scope["method"],
                path=scope["path"],
                status=response.status,
                bytes=response.bytes,
                ms=round((time.perf_counter() - started) * 1000, 1),
                address=client[0] if client else None,
                **facts,
            )


def _span(scope: Scope) -> AbstractContextManager[None]:
    """Return the span of a request. Monitoring has none."""
    path = scope["path"]
    if not traces.are_on() or "/actuator/" in path:
        return _NO_SPAN
    parent = header_of(scope, _PARENT)
    return traces.span(f"HTTP {scope['method']}", "SERVER", parent=parent, url_path=path)


class _ResponseRecorder:
    """Passes a response on to the server, and records its status and the size of its body."""

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
    """Replaces the Authorization header by the token in ``?token=``, if there is one (rest.md 1.1)."""

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
    """Return the token of the caller. Pages of lists have a ``token`` too, which is no JWT."""
    query: bytes = scope["query_string"]
    tokens = parse_qs(query.decode("latin-1")).get("token")
    if not tokens:
        return None
    signed = [token for token in tokens if token.count(".") == _DOTS_OF_JWT]
    if not signed and header_of(scope, b"authorization") is not None:
        return None
    return (signed or tokens)[0]


RawHeader = tuple[bytes, bytes]
"""A header as ASGI has it, with its name in lower case."""


def raw_headers(headers: Mapping[str, str]) -> list[RawHeader]:
    return [
        (name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()
    ]


_ALLOWED: Final = (
    # Those of the reference come first.
    "authorization",
    "content-type",
    "scope",
    "idempotency-key",
    "if-match",
    "if-none-match",
    "if-range",
    "last-event-id",
    "prefer",
    "range",
)
"""Headers that a page of another origin may send."""
_EXPOSED: Final = (
    "Accept-Ranges",
    "Content-Disposition",
    "Content-Length",
    "Content-Range",
    "Digest",
    "ETag",
    "Idempotent-Replayed",
    "Link",
    "Location",
    "Preference-Applied",
    "RateLimit",
    "RateLimit-Policy",
    "Repr-Digest",
    "Retry-After",
    "rs-order-position",
)
"""Headers that such a page may read, beside those that any page may."""
_CORS: Final = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "POST, PUT, GET, OPTIONS, DELETE",
    "Access-Control-Allow-Headers": ", ".join(_ALLOWED),
    "Access-Control-Max-Age": "3600",
    "Access-Control-Expose-Headers": ", ".join(_EXPOSED),
}
_CORS_OF_ALL: Final = raw_headers(_CORS)
_ORIGIN: Final = re.compile(r"https?://([^/:@\[\]]+)(?::[0-9]+)?")
_NO_CACHE: Final = raw_headers(
    {
        "Cache-Control": "no-cache, no-store, max-age=0, must-revalidate",
        "Pragma": "no-cache",
        "Expires": "0",
    }
)
_CACHE_NAMES: Final = frozenset(name for name, _ in _NO_CACHE)
_SECURITY: Final = raw_headers(
    {
        "X-Frame-Options": "DENY",
        "X-Content-Type-Options": "nosniff",
        "X-XSS-Protection": "0",
    }
)


class CommonHeaders:
    """Adds the CORS, cache and security headers to every response (rest.md 2.5).

    A page of an origin that isn't allowed gets no CORS header, so its browser blocks the response.

    Args:
        app: the application that answers.
        origins: allowed origins (``https://example.org:8443``) or hosts. If empty, all are allowed.
    """

    def __init__(self, app: ASGIApp, origins: Collection[str] = ()) -> None:
        self._app = app
        self._origins = frozenset(origin.rstrip("/").lower() for origin in origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        cors = self._cors(scope)
        if scope["method"] == "OPTIONS" and header_of(scope, b"authorization") is None:
            response = Response()
            response.raw_headers += cors
            await response(scope, receive, send)
        else:
            await self._app(scope, receive, _with_headers(cors, send))

    def _cors(self, scope: Scope) -> Sequence[RawHeader]:
        if not self._origins:
            return _CORS_OF_ALL
        origin = header_of(scope, b"origin") or ""
        if not self._origins.isdisjoint({origin.lower(), _host(origin.lower())}):
            return raw_headers({**_CORS, "Access-Control-Allow-Origin": origin, "Vary": "Origin"})
        return raw_headers({"Vary": "Origin"})


def _host(origin: str) -> str:
    """Return the host of an origin, or an empty string if the text is no HTTP origin."""
    found = _ORIGIN.fullmatch(origin)
    return found[1] if found else ""


def _with_headers(cors: Sequence[RawHeader], send: Send) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            own = message["headers"]
            # An endpoint that sets one of the cache headers decides about all of them.
            decides = not _CACHE_NAMES.isdisjoint([name for name, _ in own])
            added = [*cors, *_SECURITY] if decides else [*cors, *_NO_CACHE, *_SECURITY]
            replaced = {name for name, _ in added}
            message["headers"] = [one for one in own if one[0] not in replaced] + added
        await send(message)

    return send_with_headers


class PublicPrefix:
    """Lets the routes match below the public prefix, too (rest.md 1.1)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith(f"{PUBLIC_PREFIX}/"):
            scope = {**scope, "root_path": PUBLIC_PREFIX}
        await self._app(scope, receive, send)


def is_head(scope: Scope) -> bool:
    """True if the request is a HEAD that is handled as a GET, so that a body must not be produced."""
    return bool(scope.get(_HEAD))


class HeadRequests:
    """Handles a HEAD as the GET of the same address, without a body, unless a route serves HEAD itself.

    Args:
        app: the application that answers.
        routes: the routes of the application.
    """

    def __init__(self, app: ASGIApp, routes: Iterable[BaseRoute]) -> None:
        self._app = app
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD" or self._served(scope):
            await self._app(scope, receive, send)
            return
        await self._app({**scope, "method": "GET", _HEAD: True}, receive, _without_body(send))

    def _served(self, scope: Scope) -> bool:
        return any(route.matches(scope)[0] is Match.FULL for route in self._routes)


def _without_body(send: Send) -> Send:
    async def send_without_body(message: Message) -> None:
        if message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await send(message)

    return send_without_body
