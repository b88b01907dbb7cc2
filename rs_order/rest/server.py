"""Serves the application over HTTP until it is stopped."""

import asyncio
import logging
import math
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from rs_order.rest.connection_limits import ConnectionLimits, limited_protocol

_CUT: Final = "ASGI callable returned without completing response."
"""uvicorn logs this message when a response was cut on purpose. The log of requests reports it already."""

CLEAN_UP_SECONDS: Final = 5.0
"""Time for aborted responses to close their sources, and to record the files that were sent completely."""


_FREED_AT_ONCE: Final = 16 * 2**20
"""Bytes of a block whose release tells the allocator to keep that much."""


def _keep_freed_memory() -> None:
    """Let the allocator keep the memory of pieces of files, which come and go by hundreds each second.

    The one of glibc returns freed memory to the system from 128 KiB on, and the system clears each page
    anew. It learns from larger blocks that are freed (``mallopt(3)``, M_MMAP_THRESHOLD). This one isn't
    written to, so that it never takes memory.
    """
    bytes(_FREED_AT_ONCE)


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

    Then the server accepts no new connection, waits ``grace_seconds`` for responses in progress, and
    aborts those that aren't finished.

    Args:
        app: the application to serve.
        host: the address to listen on.
        port: the port to listen on, 0 for any free one.
        stop: stops the server when it is set.
        on_ready: called with the port as soon as requests are answered.
        grace_seconds: the time for responses in progress, rounded up to whole seconds.
        limits: what a connection may send. Tests have shorter limits.

    Raises:
        OSError: the server can't listen on the address.
    """
    _keep_freed_memory()
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
            await server.wait_for_aborted_responses()


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=1024)


def _is_news(record: logging.LogRecord) -> bool:
    return record.msg != _CUT


class _Server(uvicorn.Server):
    """uvicorn without signal handlers, and with a callback when it is ready."""

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
        logging.getLogger("uvicorn.error").addFilter(_is_news)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def wait_for_aborted_responses(self) -> None:
        """Wait until aborted responses have cleaned up, because the caller then closes what they use.

        uvicorn cancels their tasks but doesn't wait for them.
        """
        responses = list(self.server_state.tasks)
        if responses:
            await asyncio.wait(responses, timeout=CLEAN_UP_SECONDS)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_ready()
