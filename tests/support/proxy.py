"""A TCP proxy that can break connections and hold back the data of one side.

With it a test causes network failures: a confirm that never arrives, a broker that doesn't answer,
a connection that breaks at a chosen moment.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit, urlunsplit

_CHUNK_BYTES = 65_536


class TcpProxy:
    """Forwards the connections of a loopback port to a server.

    Args:
        url: of the server, with host and port.
    """

    def __init__(self, url: str) -> None:
        self._url = urlsplit(url)
        self._listener: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._clients: set[asyncio.StreamWriter] = set()
        self._requests_flow = _set_event()
        self._answers_flow = _set_event()
        self._accepting = True
        self.delay_seconds = 0.0
        """The time by which each piece of data is late."""

    @property
    def target(self) -> str:
        """The server's own URL."""
        return urlunsplit(self._url)

    @property
    def url(self) -> str:
        """The server's URL with the address of the proxy."""
        credentials, at, _ = self._url.netloc.rpartition("@")
        return urlunsplit(self._url._replace(netloc=f"{credentials}{at}127.0.0.1:{self.port}"))

    @property
    def port(self) -> int:
        if self._listener is None:
            raise RuntimeError("the proxy isn't open: enter its context first")
        port: int = self._listener.sockets[0].getsockname()[1]
        return port

    @property
    def connections(self) -> int:
        """The number of connected clients."""
        return len(self._writers) // 2

    def pause(self, *, requests: bool = True, answers: bool = True) -> None:
        """Hold data back until ``resume``; connections stay open.

        Args:
            requests: hold data from clients.
            answers: hold data from the server. With ``requests=False`` the server acts on a request, and
                the client doesn't learn of it.
        """
        if requests:
            self._requests_flow.clear()
        if answers:
            self._answers_flow.clear()

    def resume(self) -> None:
        """Deliver the held data and everything after it."""
        self._requests_flow.set()
        self._answers_flow.set()

    def send_to_clients(self, data: bytes) -> None:
        """Write to all clients, as if the server had."""
        for writer in self._clients:
            writer.write(data)

    def cut(self, *, refuse: bool = False) -> None:
        """Break all connections; held data is lost. New connections work.

        Args:
            refuse: break new connections as well, until ``accept``.
        """
        self._accepting = not refuse
        for writer in self._writers:
            writer.transport.abort()
        self.resume()

    def accept(self) -> None:
        """Accept new connections again."""
        self._accepting = True

    async def open(self) -> None:
        self._listener = await asyncio.start_server(self._forward, "127.0.0.1", 0)

    async def close(self) -> None:
        if self._listener is None:
            return
        self._listener.close()
        self.cut(refuse=True)
        await self._listener.wait_closed()

    async def _forward(
        self, client_reader: asyncio.StreamReader, client_writer: asyncio.StreamWriter
    ) -> None:
        if not self._accepting:
            client_writer.transport.abort()
            return
        try:
            server_reader, server_writer = await asyncio.open_connection(
                self._url.hostname, self._url.port
            )
        except OSError:  # the server is down: break the connection as it would
            client_writer.transport.abort()
            return
        pair = {client_writer, server_writer}
        self._writers |= pair
        self._clients.add(client_writer)
        try:
            async with asyncio.TaskGroup() as pumps:
                pumps.create_task(self._pump(client_reader, server_writer, self._requests_flow))
                pumps.create_task(self._pump(server_reader, client_writer, self._answers_flow))
        finally:
            self._writers -= pair
            self._clients.discard(client_writer)
            for writer in pair:
                writer.transport.abort()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, flow: asyncio.Event
    ) -> None:
        try:
            while chunk := await reader.read(_CHUNK_BYTES):
                await flow.wait()
                if self.delay_seconds:
                    await asyncio.sleep(self.delay_seconds)
                writer.write(chunk)
                await writer.drain()
        except ConnectionError:
            pass  # cut by the test or closed by one side; the other side is closed below
        finally:
            writer.close()


@asynccontextmanager
async def tcp_proxy(url: str) -> AsyncIterator[TcpProxy]:
    """Run a proxy for the server of this URL."""
    proxy = TcpProxy(url)
    await proxy.open()
    try:
        yield proxy
    finally:
        await proxy.close()


def _set_event() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event
