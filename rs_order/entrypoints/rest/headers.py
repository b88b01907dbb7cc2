"""The headers every answer has, and requests that only ask for them (rest.md 2.1, 2.5)."""

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
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif scope["method"] == "OPTIONS" and "Authorization" not in Headers(scope=scope):
            await Response(headers=_CORS)(scope, receive, send)
        else:
            await self._app(scope, receive, _adding_headers(send))


def _adding_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            # Who says anything on caching has said it all.
            no_cache = {} if any(name in headers for name in _NO_CACHE) else _NO_CACHE
            headers.update({**_CORS, **no_cache, **_SAFETY})
        await send(message)

    return sending
