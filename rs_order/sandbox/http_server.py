"""The HTTP server of the sandbox. It runs in the caller's loop and can close connections."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator

import uvicorn
from starlette.types import ASGIApp, Receive, Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_HANG_UP = "sandbox.hang_up"
_GRACE_SECONDS = 2


class _Protocol(HttpToolsProtocol):
    """HTTP/1.1 with an extension by which the application closes the connection."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {_HANG_UP: {"close": self.transport.close}}


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the program that runs the loop."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()


async def hang_up(scope: Scope, receive: Receive) -> None:
    """Close the connection after the bytes already sent, and wait until it is closed."""
    scope["extensions"][_HANG_UP]["close"]()
    while (await receive())["type"] != "http.disconnect":
        continue


@contextlib.asynccontextmanager
async def listening(app: ASGIApp, host: str, port: int) -> AsyncIterator[int]:
    """Serve an application during the block; yield the port, which is a free one if ``port`` is 0.

    Raises:
        OSError: the address can't be bound.
    """
    server = _Server(
        uvicorn.Config(
            app,
            http=_Protocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
    )
    with socket.create_server((host, port), backlog=512) as bound:
        # asyncio sets this only on its own sockets; without it each response is delayed by 40 ms
        bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        running = asyncio.create_task(server.serve(sockets=[bound]))
        await server.listening.wait()
        try:
            yield bound.getsockname()[1]
        finally:
            server.should_exit = True
            await running
