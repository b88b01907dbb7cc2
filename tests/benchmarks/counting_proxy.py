"""Counts the statements and the round trips between a process and PostgreSQL, on the wire."""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit, urlunsplit

SIMPLE_QUERY, EXECUTE, SYNC = b"Q", b"E", b"S"
_CHUNK_BYTES = 65_536


class CountingProxy:
    """Forwards connections to a server, and counts what the client asks."""

    def __init__(self, url: str) -> None:
        self._url = urlsplit(url)
        self.port = 0
        self.statements = 0
        """Executed statements; each of those that one message holds counts."""
        self.round_trips = 0

    @property
    def url(self) -> str:
        """The URL of the database through the proxy, without encryption."""
        credentials, at, _ = self._url.netloc.rpartition("@")
        address = f"{credentials}{at}127.0.0.1:{self.port}"
        return urlunsplit(self._url._replace(netloc=address, query="sslmode=disable"))

    async def forward(self, client: asyncio.StreamReader, answers: asyncio.StreamWriter) -> None:
        """Forward one connection until one side ends it."""
        server, requests = await asyncio.open_connection(self._url.hostname, self._url.port)
        back = asyncio.ensure_future(_copy(server, answers))
        try:
            (size,) = struct.unpack("!I", start := await client.readexactly(4))
            requests.write(start + await client.readexactly(size - 4))
            while True:
                kind = await client.readexactly(1)
                (size,) = struct.unpack("!I", length := await client.readexactly(4))
                body = await client.readexactly(size - 4)
                self._count(kind, body)
                requests.write(kind + length + body)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client has closed the connection
        finally:
            requests.close()
            await back

    def _count(self, kind: bytes, body: bytes) -> None:
        if kind == SIMPLE_QUERY:
            self.statements += sum(bool(one.strip(b" \n\0")) for one in body.split(b";"))
        self.statements += kind == EXECUTE
        self.round_trips += kind in (SIMPLE_QUERY, SYNC)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while chunk := await reader.read(_CHUNK_BYTES):
            writer.write(chunk)
            await writer.drain()
    except ConnectionError:
        pass  # one side has closed the connection
    finally:
        writer.close()


@asynccontextmanager
async def counting_proxy(url: str) -> AsyncIterator[CountingProxy]:
    """Run a proxy for the database of this URL."""
    proxy = CountingProxy(url)
    async with await asyncio.start_server(proxy.forward, "127.0.0.1", 0) as listener:
        proxy.port = listener.sockets[0].getsockname()[1]
        yield proxy
