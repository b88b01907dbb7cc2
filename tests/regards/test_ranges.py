"""Whether storage takes ranges is found out by asking for one, and nothing depends on it (faces.md R-21)."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import aiohttp
import pytest

from rs_order.domain.ids import Checksum, DataFileId, Urn
from rs_order.ports import FetchError, FileToDownload
from rs_order.regards.file_sources import (
    ExternalAccess,
    ExternalFiles,
    RegardsFileSources,
    StoredFiles,
)
from rs_order.regards.http import TokenIssuer
from rs_order.regards.range_answers import KEPT_SECONDS, RangeAnswers
from tests.regards.conftest import DEMO, LOOPBACK
from tests.regards.raw_server import answer

JANE = "jane@example.org"
CONTENT = b"0123456789"
FILE = FileToDownload(
    DataFileId(1), Urn("a"), "file", "https://host/x", False, len(CONTENT), Checksum("a"), "MD5"
)
WHOLE = answer("200 OK", CONTENT)

Answer = Callable[[int | None], bytes]
"""Returns the response to a request for the bytes from one on, or for all."""


def honest(start: int | None) -> bytes:
    if start is None:
        return WHOLE
    return answer("206 Partial", CONTENT[start:], f"Content-Range: bytes {start}-9/10")


def ignorant(start: int | None) -> bytes:
    return WHOLE


def partial(*headers: str, body: bytes = CONTENT[4:]) -> Answer:
    """Return a storage that answers each range in the same way."""
    return lambda start: WHOLE if start is None else answer("206 Partial", body, *headers)


class RangeServer:
    """A storage of one file."""

    def __init__(self, storage: Answer) -> None:
        self.storage = storage
        self.asked: list[int | None] = []
        """The first byte that each request asked for; None: for all."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        ranges = [line for line in head.splitlines() if line.startswith("Range: ")]
        start = int(ranges[0].removeprefix("Range: bytes=").removesuffix("-")) if ranges else None
        self.asked.append(start)
        writer.write(self.storage(start))
        await writer.drain()
        writer.close()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        async with await asyncio.start_server(self.serve, "127.0.0.1", 0) as server:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.fixture
async def stored(
    files_client: aiohttp.ClientSession, tokens: TokenIssuer, server: RangeServer
) -> AsyncIterator[RegardsFileSources]:
    external = ExternalFiles(ExternalAccess(policy=LOOPBACK))
    async with server.running() as url:
        files = StoredFiles(files_client, tokens, storage_url=url, dam_url=url)
        yield RegardsFileSources(files, external)
    await external.aclose()


@pytest.fixture
def server() -> RangeServer:
    return RangeServer(honest)


async def read(
    stored: RegardsFileSources, start: int = 4, file: FileToDownload = FILE
) -> tuple[int, bytes]:
    """Return the byte that was begun with, and the bytes."""
    async with stored.open(DEMO, JANE, file, start=start) as source:
        return source.start, b"".join([chunk async for chunk in source.chunks])


async def test_a_storage_that_takes_ranges(stored: RegardsFileSources, server: RangeServer) -> None:
    before = stored.takes_ranges(FILE)

    assert await read(stored) == (4, CONTENT[4:])
    assert await read(stored, start=0) == (0, CONTENT)
    assert (before, stored.takes_ranges(FILE)) == (False, True)
    assert server.asked == [4, None]


async def test_a_storage_that_does_not(stored: RegardsFileSources, server: RangeServer) -> None:
    """The probe costs nothing: its response is read from the start. It isn't asked again."""
    server.storage = ignorant

    assert [await read(stored), await read(stored)] == [(0, CONTENT)] * 2
    assert (server.asked, stored.takes_ranges(FILE)) == ([4, None], False)


async def test_a_storage_that_does_not_any_more(
    stored: RegardsFileSources, server: RangeServer
) -> None:
    """It did once, so it is asked; its response is read from the start."""
    await read(stored)
    server.storage = ignorant

    assert await read(stored) == (0, CONTENT)
    assert (server.asked, stored.takes_ranges(FILE)) == ([4, 4], False)


@pytest.mark.parametrize(
    "storage",
    [
        partial(),
        partial("Content-Range: bytes 5-9/10", body=CONTENT[5:]),
        partial("Content-Range: bytes 4-8/10", body=CONTENT[4:9]),
        partial("Content-Range: bytes 4-9/11"),
        partial("Content-Range: items 4-9/10"),
        lambda start: WHOLE if start is None else answer("416 Range Not Satisfiable"),
    ],
    ids=["no range", "another start", "another end", "another length", "another unit", "416"],
)
async def test_a_response_that_is_not_what_was_asked_for(
    stored: RegardsFileSources, server: RangeServer, storage: Answer
) -> None:
    """Nobody knows what it is, so the file is asked for as a whole, now and from now on."""
    server.storage = storage

    assert [await read(stored), await read(stored)] == [(0, CONTENT)] * 2
    assert (server.asked, stored.takes_ranges(FILE)) == ([4, None, None], False)


@pytest.mark.parametrize("length", ["10", "*"], ids=["known", "unknown"])
async def test_the_length_of_the_whole_may_be_left_out(
    stored: RegardsFileSources, server: RangeServer, length: str
) -> None:
    server.storage = partial(f"Content-Range: bytes 4-9/{length}")

    assert await read(stored) == (4, CONTENT[4:])


async def test_a_rejection_says_nothing_about_ranges(
    stored: RegardsFileSources, server: RangeServer
) -> None:
    """It is the same with and without one, and passed on as ever."""
    server.storage = lambda _: answer("503 Busy")
    with pytest.raises(FetchError) as raised:
        await read(stored)
    server.storage = honest

    assert raised.value.status == 503
    assert await read(stored) == (4, CONTENT[4:])


async def test_a_range_that_breaks_off(stored: RegardsFileSources, server: RangeServer) -> None:
    """The reason counts the bytes before it."""
    server.storage = lambda start: answer(
        "206 Partial", b"45", f"Content-Range: bytes {start}-9/10", length=6
    )

    with pytest.raises(FetchError) as raised:
        await read(stored)

    assert raised.value.reason.endswith("only 6/10 bytes")


async def test_external_servers_are_not_asked(
    stored: RegardsFileSources, server: RangeServer
) -> None:
    async with server.running() as url:
        file = replace(FILE, external=True, url=url)

        assert await read(stored, file=file) == (0, CONTENT)
    assert (server.asked, stored.takes_ranges(file)) == ([None], False)


def test_an_answer_is_kept_for_an_hour() -> None:
    """Then the service is asked again: it may be another version."""
    now = [0.0]
    answers = RangeAnswers(lambda: now[0])
    answers.note("rs-storage", takes=False)
    answers.note("rs-dam", takes=True)

    kept = answers.is_worth_asking("rs-storage"), answers.takes_ranges("rs-dam")
    now[0] = KEPT_SECONDS
    later = answers.is_worth_asking("rs-storage"), answers.takes_ranges("rs-dam")

    assert (kept, later) == ((False, True), (True, False))
