"""Serving the application until told to stop."""

import asyncio
import math
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from rs_order.rest.connection_limits import ConnectionLimits, limited_protocol

CLEAN_UP_SECONDS: Final = 5.0
"""What cut answers have to let go of their sources, and to record what they had sent whole."""


async def run_rest(
    app: ASGIApp,
    host: str,
    port: int,
    *,
    stop: asyncio.Event,
    on_ready: Callable[[int], None] = lambda _: None,
    grace_seconds: float = 20.0,
    limits: ConnectionLimits | None = None,
) -> None:
    """Serve until ``stop`` is set or the caller is cancelled.

    Then no connection is taken any more, answers under way have ``grace_seconds`` to finish, and
    those that don't are cut.

    Args:
        app: what answers.
        host: address to listen on.
        port: 0 for any free one.
        stop: set by whoever owns the signals.
        on_ready: told the port once requests are answered.
        grace_seconds: rounded up to whole seconds.
        limits: what a connection may send; tests have shorter ones.

    Raises:
        OSError: the address can't be listened on.
    """
    with _listening(host, port) as listener:
        server = _Server(
            app,
            grace_seconds,
            limits or ConnectionLimits(),
            lambda: on_ready(listener.getsockname()[1]),
        )
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            server.should_exit = True
            await serving
            await server.wait_for_cut_answers()


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=1024)


class _Server(uvicorn.Server):
    """uvicorn that leaves the signals alone and says when it is ready."""

    def __init__(
        self,
        app: ASGIApp,
        grace_seconds: float,
        limits: ConnectionLimits,
        on_ready: Callable[[], None],
    ) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=limited_protocol(limits),  # type: ignore[arg-type] # any factory will do
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                lifespan="off",
                ws="none",
                timeout_graceful_shutdown=math.ceil(grace_seconds),
            )
        )
        self._on_ready = on_ready

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def wait_for_cut_answers(self) -> None:
        """Let the answers that were cut clean up, before what they use is closed.

        uvicorn cancels them and leaves.
        """
        answers = list(self.server_state.tasks)
        if answers:
            await asyncio.wait(answers, timeout=CLEAN_UP_SECONDS)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_ready()
