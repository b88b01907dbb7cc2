"""The proxy loses exactly the bytes that a test wants to lose."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.support.proxy import TcpProxy, tcp_proxy


@pytest.fixture
def received() -> asyncio.Queue[bytes]:
    """All bytes that the echo server receives."""
    return asyncio.Queue()


@pytest.fixture
async def proxy(received: asyncio.Queue[bytes]) -> AsyncIterator[TcpProxy]:
    """A proxy before a server that echoes."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while chunk := await reader.read(100):
                received.put_nowait(chunk)
                writer.write(chunk)
        except ConnectionError:
            pass  # the connection is cut on purpose
        finally:
            writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with tcp_proxy(f"amqp://me:secret@127.0.0.1:{port}") as proxy:
        yield proxy
    server.close()
    await server.wait_closed()


async def connect(proxy: TcpProxy) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", proxy.port)


async def test_url_keeps_the_credentials(proxy: TcpProxy) -> None:
    """The URL differs from that of the server only in the address."""
    assert proxy.url == f"amqp://me:secret@127.0.0.1:{proxy.port}"


async def test_forwards_both_ways(proxy: TcpProxy) -> None:
    """Without faults the proxy forwards everything."""
    reader, writer = await connect(proxy)
    writer.write(b"hello")

    assert await reader.readexactly(5) == b"hello"
    writer.close()


async def test_paused_answer_comes_with_resume(
    proxy: TcpProxy, received: asyncio.Queue[bytes]
) -> None:
    """While answers are paused, the server receives requests, and the client gets the answer on resume."""
    reader, writer = await connect(proxy)
    proxy.pause(requests=False)
    writer.write(b"hello")
    answer = asyncio.create_task(reader.readexactly(5))

    assert await received.get() == b"hello"
    assert not answer.done()
    proxy.resume()
    assert await answer == b"hello"
    writer.close()


async def test_cut_loses_the_paused_answer(proxy: TcpProxy, received: asyncio.Queue[bytes]) -> None:
    """A confirm is lost: the server has acted, and the client sees a broken connection."""
    reader, writer = await connect(proxy)
    proxy.pause(requests=False)
    writer.write(b"hello")
    await received.get()
    proxy.cut()

    assert await _read_to_end(reader) == b""
    writer.close()


async def test_connections_are_refused_until_accept(proxy: TcpProxy) -> None:
    """After cut(refuse=True) connections are refused until accept()."""
    proxy.cut(refuse=True)
    reader, writer = await connect(proxy)
    refused = await _read_to_end(reader)
    writer.close()
    proxy.accept()
    reader, writer = await connect(proxy)
    writer.write(b"hello")

    assert (refused, await reader.readexactly(5)) == (b"", b"hello")
    writer.close()


async def _read_to_end(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read()
    except ConnectionResetError:
        return b""
