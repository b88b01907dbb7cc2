"""What a stranger sends without a token is limited before any endpoint sees it (docs/security.md)."""

import asyncio
import json
import resource
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from ipaddress import ip_network

import pytest
from pydantic import SecretStr
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from rs_order.app.serve import connection_limits
from rs_order.rest.connection_limits import ConnectionLimits, OpenConnections
from rs_order.rest.server import run_rest
from rs_order.settings import Settings

PATIENT = ConnectionLimits()
HASTY = ConnectionLimits(head_seconds=0.1, body_seconds=0.1, unread_seconds=0.1)
START = b"POST / HTTP/1.1\r\nHost: x\r\n"
CHUNKED = START + b"Transfer-Encoding: chunked\r\n\r\n"


async def echo_length(scope: Scope, receive: Receive, send: Send) -> None:
    body = await Request(scope, receive).body()
    await PlainTextResponse(str(len(body)))(scope, receive, send)


class Connection:
    """A raw connection to the server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @asynccontextmanager
    async def another(self) -> AsyncIterator["Connection"]:
        """Open another connection to the same server."""
        host, port = self._writer.get_extra_info("peername")
        reader, writer = await asyncio.open_connection(host, port)
        yield Connection(reader, writer)
        writer.close()
        await writer.wait_closed()

    async def send(self, *pieces: bytes) -> None:
        for piece in pieces:
            self._writer.write(piece)
            await self._writer.drain()

    async def rest(self) -> bytes:
        """Return everything until the server ends the connection."""
        async with asyncio.timeout(30):
            return await self._reader.read()

    async def answer(self) -> bytes:
        """Return one response that has a Content-Length."""
        async with asyncio.timeout(30):
            head = await self._reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
            return head + await self._reader.readexactly(length)


@asynccontextmanager
async def connected(
    limits: ConnectionLimits = PATIENT, app: object = echo_length
) -> AsyncIterator[Connection]:
    stop = asyncio.Event()
    port: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    server = asyncio.create_task(
        run_rest(
            app,  # type: ignore[arg-type] # an ASGI application
            "127.0.0.1",
            0,
            stop=stop,
            on_ready=port.set_result,
            grace_seconds=1,
            limits=limits,
        )
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", await port)
    try:
        yield Connection(reader, writer)
    finally:
        writer.close()
        stop.set()
        await server


def rejected(answer: bytes, status: int) -> str:
    """Return the message of a rejection, which has the format of every REGARDS error."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status), answer[:200]
    assert b"connection: close" in head
    (message,) = json.loads(body)["messages"]
    return str(message)


def head_of(size: int) -> bytes:
    """Return the whole head of a request with that many bytes."""
    head = b"GET / HTTP/1.1\r\nHost: x\r\nX: "
    return head + b"y" * (size - len(head) - 4) + b"\r\n\r\n"


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nX: " + b"y" * 200_000,
        b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 40_000,
        b"GET /" + b"y" * 200_000,
        b"GET / HTTP/1.1\r\n" + b"y" * 200_000,
        b"\r\n" * 100_000,
        head_of(PATIENT.head + 1),
    ],
    ids=["value", "headers", "address", "name", "empty lines", "one byte more"],
)
async def test_a_head_that_is_too_large(head: bytes) -> None:
    """F9: one connection without a token took 2.4 GB."""
    async with connected() as connection:
        await connection.send(head)
        assert "65536 bytes" in rejected(await connection.rest(), 431)


async def test_the_largest_head_is_answered() -> None:
    async with connected() as connection:
        await connection.send(head_of(PATIENT.head))
        assert (await connection.answer()).endswith(b"\r\n\r\n0")
        await connection.send(head_of(PATIENT.head))
        assert (await connection.answer()).endswith(b"\r\n\r\n0")


async def test_each_head_of_a_connection_is_limited() -> None:
    async with connected() as connection:
        await connection.send(head_of(100))
        await connection.answer()
        await connection.send(head_of(200_000))
        rejected(await connection.rest(), 431)


async def test_trailers_and_chunk_extensions_are_limited_like_a_head() -> None:
    """The parser adds trailers to the headers, however many there are."""
    for frame in (b"0\r\n" + b"X: y\r\n" * 40_000, b"1;" + b"y" * 200_000):
        async with connected() as connection:
            await connection.send(CHUNKED, b"3\r\nabc\r\n", frame)
            rejected(await connection.rest(), 431)


async def test_a_large_body_is_no_head() -> None:
    """Frames and pieces of a body don't add up to a head."""
    async with connected() as connection:
        await connection.send(CHUNKED, b"3\r\nabc\r\n" * 40_000, b"0\r\n\r\n")
        assert (await connection.answer()).endswith(b"\r\n\r\n120000")
        await connection.send(START + b"Content-Length: 3000000\r\n\r\n", b"y" * 3_000_000)
        assert (await connection.answer()).endswith(b"\r\n\r\n3000000")


async def test_a_head_that_never_ends() -> None:
    """F9: 4000 half-open requests stayed."""
    async with connected(HASTY) as connection:
        await connection.send(START)
        assert "0.1 s" in rejected(await connection.rest(), 408)


async def test_a_connection_without_a_request_is_ended() -> None:
    async with connected(HASTY) as connection:
        assert await connection.rest() == b""


async def test_an_idle_connection_is_ended() -> None:
    async with connected(replace(PATIENT, idle_seconds=0.1)) as connection:
        await connection.send(head_of(100))
        await connection.answer()
        assert await connection.rest() == b""


async def test_an_idle_connection_is_ended_when_the_response_overtook_the_body() -> None:
    async def hurried(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse("no")(scope, receive, send)

    async with connected(replace(PATIENT, idle_seconds=0.1), hurried) as connection:
        await connection.send(START + b"Content-Length: 1\r\n\r\n")
        await connection.answer()
        await connection.send(b"y")
        assert await connection.rest() == b""


async def test_a_second_head_that_never_ends() -> None:
    async with connected(replace(PATIENT, head_seconds=1.0)) as connection:
        await connection.send(head_of(100))
        await connection.answer()
        await connection.send(b"\r\n")
        rejected(await connection.rest(), 408)


async def test_a_body_that_never_ends() -> None:
    async with connected(replace(PATIENT, body_seconds=0.1)) as connection:
        await connection.send(START + b"Content-Length: 10\r\n\r\n", b"y")
        rejected(await connection.rest(), 408)


async def test_a_response_that_nobody_reads() -> None:
    """The sender is released, and with it what it reads from."""
    released = asyncio.Event()

    async def endless(_: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})
        sending = asyncio.create_task(_send_endlessly(send))
        while (await receive())["type"] != "http.disconnect":
            pass
        sending.cancel()
        released.set()

    async with connected(replace(PATIENT, unread_seconds=0.1), endless) as connection:
        await connection.send(head_of(100))
        await asyncio.wait_for(released.wait(), 30)


async def _send_endlessly(send: Send) -> None:
    while True:
        await send({"type": "http.response.body", "body": b"y" * 100_000, "more_body": True})
        await asyncio.sleep(0)  # without a client, sending doesn't wait


async def test_too_many_requests_ahead() -> None:
    """Requests that wait behind one that is answered are kept in memory."""
    answering = asyncio.Event()

    async def never(_: Scope, receive: Receive, __: Send) -> None:
        answering.set()
        while (await receive())["type"] != "http.disconnect":
            pass

    async with connected(PATIENT, never) as connection:
        await connection.send(head_of(100))
        await answering.wait()
        await connection.send(head_of(100) * 100)
        with suppress(ConnectionResetError):  # what the server didn't read resets the connection
            assert await connection.rest() == b""


async def test_a_request_that_is_no_http() -> None:
    """The reason has the format of every REGARDS error."""
    async with connected() as connection:
        await connection.send(b"\x16\x03\x01 hello\r\n\r\n")
        rejected(await connection.rest(), 400)


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (ConnectionLimits(connections=1), "More than 1 connections are open"),
        (ConnectionLimits(connections_per_address=1), "connections of 127.0.0.1 are open"),
    ],
    ids=["in total", "of an address"],
)
async def test_too_many_connections(limits: ConnectionLimits, reason: str) -> None:
    """One more than allowed is answered 503 at once; once another one ends, the next one is served."""
    empty = START + b"Connection: close\r\nContent-Length: 0\r\n\r\n"
    async with connected(limits) as first:
        async with first.another() as second:
            assert reason in rejected(await second.rest(), 503)
        await first.send(empty)
        await first.rest()
        async with first.another() as third:
            await third.send(empty)
            assert (await third.rest()).endswith(b"\r\n\r\n0")


@pytest.mark.parametrize(
    ("addresses", "is_refused"),
    [
        (["192.0.2.1", "192.0.2.2"], False),
        (["192.0.2.1", "192.0.2.1"], True),
        (["192.0.2.1", "::ffff:192.0.2.1"], True),
        (["2001:db8::1", "2001:db8::2"], True),
        (["2001:db8::1", "2001:db8:0:1::1"], False),
        (["198.51.100.7", "198.51.100.7"], False),
    ],
)
def test_what_counts_as_one_address(addresses: list[str], is_refused: bool) -> None:
    """An IPv6 network of 64 bits belongs to one sender; the last address is a trusted proxy's."""
    proxies = [ip_network("198.51.100.0/24")]
    open_ones = OpenConnections(ConnectionLimits(connections_per_address=1, proxies=proxies))
    assert open_ones.count(addresses[0]) is None

    assert (open_ones.count(addresses[1]) is not None) == is_refused


def test_the_limit_of_open_files_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections to database, broker and storage remain possible."""
    monkeypatch.setattr(resource, "getrlimit", lambda _: (100, 4000))
    connections = OpenConnections(PATIENT)

    assert [connections.count("192.0.2.1") for _ in range(60)].count(None) == 50


def test_operators_may_change_the_limits() -> None:
    """The defaults are those of this module; a setting changes one of them."""
    key = SecretStr("k" * 64)

    assert connection_limits(Settings(jwt_key_hs512=key)) == ConnectionLimits(proxies=[])
    hasty = Settings(
        jwt_key_hs512=key,
        http_head_seconds=1,
        http_body_seconds=2,
        http_idle_seconds=3,
        http_unread_seconds=4,
    )
    assert connection_limits(hasty) == ConnectionLimits(
        head_seconds=1, body_seconds=2, idle_seconds=3, unread_seconds=4, proxies=[]
    )
