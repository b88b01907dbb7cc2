"""One line per request, with all that is worth knowing of it."""

import time
from typing import Any, Final

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rs_order.entrypoints.rest.errors import messages_answer

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
