"""The proxy loses exactly what a test wants to lose."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.support.proxy import TcpProxy, tcp_proxy


@pytest.fixture
def heard() -> asyncio.Queue[bytes]:
    """Everything the echo server hears."""
    return asyncio.Queue()


@pytest.fixture
async def proxy(heard: asyncio.Queue[bytes]) -> AsyncIterator[TcpProxy]:
    """A proxy before a server that echoes."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while chunk := await reader.read(100):
                heard.put_nowait(chunk)
                writer.write(chunk)
        except ConnectionError:
            pass  # what this suite is about
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
    """The URL differs from the server's in nothing but the address."""
    assert proxy.url == f"amqp://me:secret@127.0.0.1:{proxy.port}"


async def test_forwards_both_ways(proxy: TcpProxy) -> None:
    """Without faults the proxy can't be noticed."""
    reader, writer = await connect(proxy)
    writer.write(b"hello")

    assert await reader.readexactly(5) == b"hello"
    writer.close()


async def test_held_answer_comes_with_resume(proxy: TcpProxy, heard: asyncio.Queue[bytes]) -> None:
    """With answers held, the server hears and the client doesn't until resume."""
    reader, writer = await connect(proxy)
    proxy.pause(requests=False)
    writer.write(b"hello")
    answer = asyncio.create_task(reader.readexactly(5))

    assert await heard.get() == b"hello"
    assert not answer.done()
    proxy.resume()
    assert await answer == b"hello"
    writer.close()


async def test_cut_loses_the_held_answer(proxy: TcpProxy, heard: asyncio.Queue[bytes]) -> None:
    """A lost confirm: the server acted, the client sees a broken connection."""
    reader, writer = await connect(proxy)
    proxy.pause(requests=False)
    writer.write(b"hello")
    await heard.get()
    proxy.cut()

    assert await _read_to_end(reader) == b""
    writer.close()


async def test_refused_until_mended(proxy: TcpProxy) -> None:
    """After cut(refuse=True) nobody gets through before mend()."""
    proxy.cut(refuse=True)
    reader, writer = await connect(proxy)
    refused = await _read_to_end(reader)
    writer.close()
    proxy.mend()
    reader, writer = await connect(proxy)
    writer.write(b"hello")

    assert (refused, await reader.readexactly(5)) == (b"", b"hello")
    writer.close()


async def _read_to_end(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read()
    except ConnectionResetError:
        return b""
