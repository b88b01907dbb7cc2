"""The headers every answer has, and requests that only ask for them (rest.md 2.1, 2.5)."""

import re
from collections.abc import Collection, Mapping
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

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
