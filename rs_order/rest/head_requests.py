"""Answers HEAD wherever GET is answered, with the same status and headers and without effect."""

from collections.abc import Iterable
from typing import Final

from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_HEAD: Final = "rs_order.head"


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
