"""An HTTP server that sends exactly the bytes of a test."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field


@dataclass
class RawServer:
    url: str = ""
    answers: list[bytes] = field(default_factory=list)
    """One answer per connection; later connections get the last one. Then the connection is closed."""
    requests: list[str] = field(default_factory=list)
    """Request line and headers of each request."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.requests.append(head.decode())
        writer.write(self.answers.pop(0) if len(self.answers) > 1 else self.answers[0])
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    @classmethod
    @asynccontextmanager
    async def running(cls, *answers: bytes) -> AsyncIterator["RawServer"]:
        raw = cls(answers=list(answers))
        server = await asyncio.start_server(raw.serve, "127.0.0.1", 0)
        async with server:
            raw.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            yield raw


def answer(status: str, body: bytes = b"", *headers: str, length: int | None = None) -> bytes:
    """Return the bytes of an answer; ``length`` announces another size than the body has."""
    announced = len(body) if length is None else length
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {announced}", "Connection: close", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@asynccontextmanager
async def one_response_per_connection(body: bytes) -> AsyncIterator[str]:
    """Run a server that keeps a connection open after its response, but closes it at the next request."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        with suppress(asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@asynccontextmanager
async def endless_response() -> AsyncIterator[str]:
    """Run a server whose response is a byte from time to time, without an end."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        left = asyncio.create_task(reader.read())
        with suppress(ConnectionError):
            while not left.done():
                writer.write(b" ")
                await asyncio.wait({left}, timeout=0.02)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
