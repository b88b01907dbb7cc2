"""Large files that were cut off are resumed without an endless skip (faces.md R-33)."""

import asyncio
import io
import zipfile
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field, replace

import httpx
import pytest

from rs_order.downloads.readings import ParkingLimits
from rs_order.ports import FetchError, FetchResult
from tests.rest.fake_downloads import DownloadableOrder, incompressible
from tests.rest.test_archives import made
from tests.rest.test_file_download import PLAIN
from tests.support.polling import WAIT_SECONDS, eventually

CONTENT = incompressible(3_000_000)
CHUNK = 50_000
DONE = FetchResult.DOWNLOADED
LIMITS = ParkingLimits(least=500_000, kept=8 * 2**20)
"""More is kept than all buffers between the server and a client on the same machine hold."""
KINDS = pytest.mark.parametrize("kind", ["file", "zip", "tar"])


@dataclass
class Gated:
    """A file whose source stops at a byte until it is let on."""

    stop_at: int = len(CONTENT) // 2
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    stopped: asyncio.Event = field(default_factory=asyncio.Event)
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    breaks: bool = False
    """Whether the source has closed its connection when it is let on."""

    async def __call__(self) -> AsyncGenerator[bytes, None]:
        try:
            for start in range(0, len(CONTENT), CHUNK):
                if start == self.stop_at:
                    self.stopped.set()
                    await self.go_on.wait()
                    if self.breaks:
                        self.breaks = False
                        raise FetchError("the connection was closed")
                yield CONTENT[start : start + CHUNK]
        finally:
            self.closed.set()


@pytest.fixture
def parking() -> ParkingLimits:
    return LIMITS


async def address(api: httpx.AsyncClient, kind: str) -> str:
    """Return the address of the file, or of an archive that holds it."""
    return PLAIN if kind == "file" else str((await made(api, kind))["href"])


async def cut_off(api: httpx.AsyncClient, url: str) -> bytes:
    """Return what a client receives that leaves in the middle."""
    received = b""
    async with api.stream("GET", url) as answer:
        async for piece in answer.aiter_raw():
            received += piece
            if len(received) >= 1_000_000:
                break
    return received


def content_of(kind: str, received: bytes) -> bytes:
    if kind == "file":
        return received
    if kind == "zip":
        with zipfile.ZipFile(io.BytesIO(received)) as archive:
            return archive.read("a")
    return received[512 : 512 + len(CONTENT)]


@KINDS
async def test_a_quick_return_goes_on_without_skipping(
    api: httpx.AsyncClient, downloadable: DownloadableOrder, kind: str
) -> None:
    """The file is opened once; its end is verified, and the states are those of a download in one go."""
    gated = Gated()
    downloadable.add("a", gated, of=CONTENT)
    url = await address(api, kind)

    received = await cut_off(api, url)
    still_open = downloadable.sources.open_now
    gated.go_on.set()
    rest = await api.get(url, headers={"Range": f"bytes={len(received)}-"})

    assert rest.status_code == 206
    assert content_of(kind, received + rest.content) == CONTENT
    assert (still_open, downloadable.sources.opened) == (1, [1])
    await eventually(lambda: downloadable.order.results.get(1) is DONE, "it is downloaded")


@KINDS
async def test_a_part_that_was_sent_leaves_no_reader(
    api: httpx.AsyncClient, downloadable: DownloadableOrder, kind: str
) -> None:
    """Its client has what it wanted, so the source is closed."""
    downloadable.add("a", CONTENT)

    answer = await api.get(await address(api, kind), headers={"Range": "bytes=1000000-1999999"})

    assert len(answer.content) == 1_000_000
    await eventually(lambda: downloadable.sources.open_now == 0, "the source is closed")


@KINDS
async def test_a_source_that_did_not_wait(
    api: httpx.AsyncClient, downloadable: DownloadableOrder, kind: str
) -> None:
    """Storage closes the connection of a parked reader: the file is read again within the same request."""
    gated = Gated(breaks=True)
    downloadable.add("a", gated, of=CONTENT)
    url = await address(api, kind)

    received = await cut_off(api, url)
    gated.go_on.set()
    rest = await api.get(url, headers={"Range": f"bytes={len(received)}-"})

    assert content_of(kind, received + rest.content) == CONTENT
    assert downloadable.sources.opened == [1, 1]
    await eventually(lambda: downloadable.order.results.get(1) is DONE, "it is downloaded")


@pytest.mark.parametrize("parking", [replace(LIMITS, seconds=0.01)], ids=["for a moment"])
async def test_a_reader_that_nobody_comes_back_to(
    api: httpx.AsyncClient, downloadable: DownloadableOrder
) -> None:
    """After a while it is closed."""
    gated = Gated()
    downloadable.add("a", gated, of=CONTENT)
    await cut_off(api, PLAIN)

    await asyncio.wait_for(gated.closed.wait(), WAIT_SECONDS)

    assert downloadable.sources.opened == [1]


@KINDS
@pytest.mark.parametrize("parking", [replace(LIMITS, patience=0.3)], ids=["impatient"])
async def test_a_skip_that_takes_too_long(
    api: httpx.AsyncClient, downloadable: DownloadableOrder, kind: str
) -> None:
    """The client is told to come back. Meanwhile the reader goes on by itself, and isn't begun anew."""
    gated = Gated()
    downloadable.add("a", gated, of=CONTENT)
    url = await address(api, kind)
    headers = {"Range": "bytes=2000000-"}

    refused = await api.get(url, headers=headers)
    changed = dict(downloadable.order.results)
    gated.go_on.set()
    async with asyncio.timeout(WAIT_SECONDS):
        while (rest := await api.get(url, headers=headers)).status_code == 503:
            assert "Retry-After" in rest.headers, "the reader is on its way, and clients ask again"

    assert (refused.status_code, rest.status_code) == (503, 206)
    assert 5 <= int(refused.headers["Retry-After"]) <= 300
    assert "up to where you go on" in refused.json()["messages"][0]
    assert (changed, downloadable.sources.opened) == ({}, [1])
    whole = (await api.get(url)).content
    assert rest.content == whole[2_000_000:]
