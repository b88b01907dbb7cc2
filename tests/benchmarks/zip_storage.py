"""A storage whose answers cost next to nothing, in a process of its own: every file has the same bytes."""

import asyncio
import signal
from collections.abc import Iterator
from functools import partial
from typing import cast

import uvloop

from tests.benchmarks.children import options_of_child, report
from tests.rest.memory_probe import CHUNK

BLOCK = 4 * CHUNK
"""Bytes that are sent at once; they can't be compressed."""


def content(size: int) -> Iterator[memoryview]:
    """Yield a file of this size, block by block."""
    for start in range(0, size, len(BLOCK)):
        yield memoryview(BLOCK)[: size - start]


class _Storage(asyncio.Protocol):
    """Answers every request with a file."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._received = b""
        self._writable = asyncio.Event()
        self._writable.set()
        self._answering: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the signature of asyncio
        for task in self._answering:
            task.cancel()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._received.endswith(b"\r\n\r\n"):
            self._received = b""
            task = asyncio.create_task(self._answer())
            self._answering.add(task)
            task.add_done_callback(self._answering.discard)

    async def _answer(self) -> None:
        self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % self._size)
        for block in content(self._size):
            await self._writable.wait()
            self._transport.write(block)


async def _serve(size: int, descriptor: int) -> None:
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    server = await loop.create_server(partial(_Storage, size), "127.0.0.1", 0)
    report(descriptor, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    await stop.wait()


if __name__ == "__main__":
    options, descriptor = options_of_child()
    uvloop.run(_serve(options["size"], descriptor))
