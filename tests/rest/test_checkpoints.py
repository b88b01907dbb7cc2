"""Large files of archives go on at a checkpoint where storage takes ranges (faces.md R-21)."""

import asyncio
import zlib
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from rs_order.app.rest import RestServices
from rs_order.domain.archives import ArchiveId, Checkpoint
from rs_order.domain.ids import DataFileId
from rs_order.downloads import archive_download
from rs_order.downloads.range_places import RangePlaces
from rs_order.downloads.readings import CheckpointLimits, ParkingLimits, Readings
from rs_order.ports import FetchResult
from tests.rest.conftest import serving, stored_archives
from tests.rest.fake_downloads import DEMO, DownloadableOrder, incompressible
from tests.rest.stored_downloads import StoredFakeDownloads
from tests.rest.test_archives import KINDS, PATH, made, part, read
from tests.rest.test_file_download import PLAIN
from tests.support.polling import eventually
from tests.support.rows import in_tenant

pytestmark = pytest.mark.usefixtures("one_piece_at_a_time")

CONTENT = incompressible(400_000)
EVERY = 65_000
MIDDLE = 220_000
BEFORE_MIDDLE = 3 * EVERY
"""Also before the block of a zip that has the middle."""
CHANGED = CONTENT[:300_000] + bytes(100) + CONTENT[300_100:]
NO_PARKING = ParkingLimits(least=2**40)
"""A reader that isn't parked leaves only what is stored, as if its process had ended."""


@pytest.fixture
def checkpoints() -> CheckpointLimits:
    return CheckpointLimits(least=100_000, every=EVERY)


@pytest.fixture
def parking() -> ParkingLimits:
    return NO_PARKING


@pytest.fixture
def downloadable(downloadable: DownloadableOrder) -> DownloadableOrder:
    """An order of a large and of a small file, whose storage takes ranges."""
    downloadable.sources.ranges = True
    downloadable.add("large", CONTENT)
    downloadable.add("small", b"content")
    return downloadable


async def begun(api: httpx.AsyncClient, archive: dict[str, Any]) -> bytes:
    """Return the first half of an archive, once it is recorded that it was sent."""
    answer = await part(api, archive, f"0-{MIDDLE - 1}")

    async def is_recorded() -> bool:
        return bool((await api.get(f"{PATH}/{archive['id']}")).json()["sent"])

    await eventually(is_recorded, "the first half is recorded")
    return answer.content


def starts(downloadable: DownloadableOrder) -> list[int]:
    """Return where each read of the large file began."""
    sources = downloadable.sources
    read_files = zip(sources.opened, sources.starts, strict=True)
    return [start for file, start in read_files if file == 1]


async def described(api: httpx.AsyncClient, archive: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what the manifest has of the files."""
    files: list[dict[str, Any]] = (await api.get(f"{PATH}/{archive['id']}/manifest")).json()[
        "files"
    ]
    return files


@KINDS
async def test_r21_an_archive_goes_on_at_a_checkpoint(
    api: httpx.AsyncClient, downloadable: DownloadableOrder, kind: str
) -> None:
    """Only what follows it is read. The archive is right; its manifest says that nothing proves the file."""
    downloadable.add("large", CONTENT)  # a copy, which is in the archive once
    archive = await made(api, kind)
    received = await begun(api, archive)

    rest = await part(api, archive, f"{MIDDLE}-")
    await eventually(lambda: len(downloadable.order.results) == 3, "all downloaded")
    directory = await part(api, archive, "-200")
    large, small = await described(api, archive)

    assert read(kind, received + rest.content) == {"large": CONTENT, "small": b"content"}
    assert starts(downloadable) == [0, BEFORE_MIDDLE]
    assert rest.content.endswith(directory.content)
    assert (large["assembled"], large["verified"], large["sha256"]) == (True, None, None)
    assert large["crc32"] == f"{zlib.crc32(CONTENT):08x}"
    assert small["assembled"] is False
    assert small["verified"]
    assert [one.unverifiable for one in downloadable.order.settled] == [True, False, True]
    assert (await api.get(f"{PATH}/{archive['id']}")).json()["hashes"] == {"crc32Known": 2}


async def test_r21_a_complete_download_proves_what_was_sent_in_parts(
    api: httpx.AsyncClient, downloadable: DownloadableOrder
) -> None:
    """It has the same CRC-32, so the archive is as good as any other."""
    archive = await made(api)
    received = await begun(api, archive)
    rest = (await part(api, archive, f"{MIDDLE}-")).content
    await eventually(lambda: len(downloadable.order.results) == 2, "all downloaded")

    await api.get(PLAIN)
    await eventually(lambda: is_verified(api, archive), "it is proven")
    again = await api.get(archive["href"])

    assert again.content == received + rest


async def is_verified(api: httpx.AsyncClient, archive: dict[str, Any]) -> bool:
    large = (await described(api, archive))[0]
    return large["verified"] is not None and not large["assembled"]


async def test_r21_a_complete_download_disproves_what_was_sent_in_parts(
    api: httpx.AsyncClient, downloadable: DownloadableOrder
) -> None:
    """The archive ends, and what it sent is never called verified. The file itself is right."""
    archive = await made(api)
    received = await begun(api, archive)
    downloadable.sources.contents[1] = CHANGED
    rest = (await part(api, archive, f"{MIDDLE}-")).content
    await eventually(lambda: len(downloadable.order.results) == 2, "all downloaded")
    downloadable.sources.contents[1] = CONTENT

    await api.get(PLAIN)
    after = await part(api, archive, "0-99")
    large = (await described(api, archive))[0]

    assert read("zip", received + rest)["large"] == CHANGED, "nothing could show it"
    assert (after.status_code, after.json()["code"]) == (410, "archive-superseded")
    assert (large["assembled"], large["verified"]) == (True, None)
    assert large["crc32"] == f"{zlib.crc32(CHANGED):08x}"
    assert downloadable.order.results[1] is FetchResult.DOWNLOADED


async def test_r21_parts_are_compared_with_what_is_proven(
    api: httpx.AsyncClient, downloadable: DownloadableOrder
) -> None:
    """If they differ, the end isn't sent, and the file is read as a whole. Then its checksum decides."""
    archive = await made(api)
    whole = (await api.get(archive["href"])).content
    await eventually(lambda: len(downloadable.order.results) == 2, "all downloaded")
    downloadable.sources.contents[1] = CHANGED

    with pytest.raises(httpx.RemoteProtocolError):
        await part(api, archive, f"{MIDDLE}-")
    downloadable.sources.contents[1] = CONTENT
    await eventually(lambda: has_none(downloadable), "the checkpoints are forgotten")
    rest = (await part(api, archive, f"{MIDDLE}-")).content
    large = (await described(api, archive))[0]

    assert rest == whole[MIDDLE:]
    assert starts(downloadable) == [0, BEFORE_MIDDLE, 0]
    assert (large["assembled"], bool(large["verified"])) == (False, True)


async def test_r21_a_storage_that_takes_no_ranges(
    api: httpx.AsyncClient, downloadable: DownloadableOrder
) -> None:
    """The file is read from its first byte, and verified, as ever."""
    downloadable.sources.ranges = False
    archive = await made(api)
    received = await begun(api, archive)

    rest = await part(api, archive, f"{MIDDLE}-")
    await eventually(lambda: is_verified(api, archive), "it is verified")

    assert read("zip", received + rest.content)["large"] == CONTENT
    assert starts(downloadable) == [0, 0]
    assert [one.unverifiable for one in downloadable.order.settled] == [False, False]


async def test_r21_another_instance_goes_on_where_a_process_died(
    api: httpx.AsyncClient,
    services: RestServices,
    downloadable: DownloadableOrder,
    checkpoints: CheckpointLimits,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Checkpoints are kept while a file passes, with what was sent."""
    monkeypatch.setattr(archive_download, "KEEP_SECONDS", 0)
    halt = asyncio.Event()

    async def halting() -> AsyncGenerator[bytes, None]:
        for start in range(0, 300_000, 5_000):
            yield CONTENT[start : start + 5_000]
        await halt.wait()

    downloadable.sources.contents[1] = halting
    archive, received = await made(api), b""
    async with api.stream("GET", archive["href"]) as answer:
        async for piece in answer.aiter_raw():
            received += piece
            if len(received) >= MIDDLE:
                break
        downloadable.sources.contents[1] = CONTENT
        other = Readings(downloadable.sources, NO_PARKING, checkpoints)
        parts = stored_archives(downloadable, services.downloads.order_tokens, other, RangePlaces())
        async for url in serving(replace(services, **parts)):  # type: ignore[arg-type]
            path = archive["href"].removeprefix(str(api.base_url).rstrip("/"))
            headers = {**api.headers, "Range": f"bytes={len(received)}-"}
            async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
                rest = (await client.get(path, headers=headers)).content

    assert read("zip", received + rest)["large"] == CONTENT
    _, start = starts(downloadable)
    assert 0 < start <= len(received)
    assert start % EVERY == 0


async def has_none(downloadable: DownloadableOrder) -> bool:
    """Return whether no checkpoint is kept."""
    order = downloadable.order
    assert isinstance(order, StoredFakeDownloads)
    async with in_tenant(order._pool, DEMO) as connection:  # noqa: SLF001 - the rows show it
        return not await connection.fetch("select from archive_checkpoint")


async def test_r21_checkpoints_of_an_archive_that_was_deleted(
    downloadable: DownloadableOrder,
) -> None:
    """Its order was deleted while it was sent. Nothing is kept, and the request ends like any other."""
    order = downloadable.order
    assert isinstance(order, StoredFakeDownloads)
    passed = [(DataFileId(1), Checkpoint(EVERY, 1)), (DataFileId(1), Checkpoint(EVERY, 2))]

    await order.archives.keep_checkpoints(DEMO, ArchiveId(7), passed)

    assert await has_none(downloadable)
