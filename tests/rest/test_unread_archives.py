"""Steps read an archive whose directory is asked for before anybody has downloaded it (faces.md R-19)."""

import asyncio
import io
import zipfile
from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Any

import httpx
import orjson
import pytest

from rs_order.core.steps import read_step
from rs_order.domain.archives import Archive, ArchiveId
from rs_order.downloads.archive_failures import ArchiveFailures
from rs_order.downloads.archive_reader import DirectoryLimits
from rs_order.downloads.make_archives import MakeArchives
from rs_order.downloads.read_archives import ReadArchives, ReadArchiveStep, ReadingLimits
from rs_order.ports import FetchError, FetchResult
from tests.rest.conftest import NOW
from tests.rest.fake_downloads import DEMO, OWNER, DownloadableOrder, incompressible
from tests.rest.stored_downloads import StoredFakeDownloads
from tests.rest.test_archives import PATH, made, part, read
from tests.support.clock import ManualClock
from tests.support.polling import eventually
from tests.support.rows import in_tenant

CONTENTS = {"a": incompressible(30_000), "b": incompressible(40_000), "c": incompressible(50_000)}
FILE_BY_FILE = ReadingLimits(seconds=0)
TAIL = "-60"
"""The end of the last record, and what follows. Of that alone, 22 bytes, the CRC-32 of no file is needed."""


@pytest.fixture
def directory() -> DirectoryLimits:
    """A request reads no file itself, and doesn't wait."""
    return DirectoryLimits(read=1000, patience=0)


class Worker:
    """Handles the steps that requests write, like another process."""

    def __init__(self, downloadable: DownloadableOrder) -> None:
        assert isinstance(downloadable.order, StoredFakeDownloads)
        self.order = order = downloadable.order
        self.sources = downloadable.sources
        self.clock = ManualClock(NOW)
        self.stopping = asyncio.Event()
        make = MakeArchives(order, order.archives, order.store, self.clock)
        self.failures = ArchiveFailures(order.archives, make, order.settle)
        self.reads = self.with_limits(FILE_BY_FILE)

    def with_limits(self, limits: ReadingLimits) -> ReadArchives:
        order = self.order
        parts = order.archives, self.failures, order.store, self.sources, self.clock
        return ReadArchives(*parts, self.stopping, limits)

    async def rows(self, query: str, *parameters: object) -> list[dict[str, Any]]:
        pool = self.order._pool  # noqa: SLF001 - the rows show it
        async with in_tenant(pool, DEMO) as connection:
            return [dict(row) for row in await connection.fetch(query, *parameters)]

    async def steps(self) -> list[tuple[ReadArchiveStep, datetime | None]]:
        """Return the steps in the outbox, and when they are due."""
        rows = await self.rows(
            "select body, due_at from rs_order.outbox where body like '%read-archive%' order by id"
        )
        return [
            (read_step(ReadArchiveStep, orjson.loads(row["body"])), row["due_at"]) for row in rows
        ]

    async def take(self) -> ReadArchiveStep:
        ((step, _),) = await self.steps()
        await self.rows("delete from rs_order.outbox where body like '%read-archive%'")
        return step

    async def run(self) -> int:
        """Handle the steps until none follows, and return how many there were."""
        count = 0
        while await self.steps():
            await self.reads.handle(DEMO, await self.take())
            count += 1
        return count

    async def archive(self, made_one: dict[str, Any]) -> Archive:
        found = await self.order.archives.find(DEMO, ArchiveId(int(made_one["id"][1:])))
        assert found is not None
        return found


@pytest.fixture
def worker(downloadable: DownloadableOrder) -> Worker:
    return Worker(downloadable)


class Halting:
    """A file whose source halts before its end until it is let on."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.halted, self.go_on = asyncio.Event(), asyncio.Event()

    async def __call__(self) -> AsyncGenerator[bytes, None]:
        yield self.content[:1000]
        yield self.content[1000:2000]
        self.halted.set()
        await self.go_on.wait()
        for start in range(2000, len(self.content), 10_000):
            yield self.content[start : start + 10_000]


class RemoteFile(io.RawIOBase):
    """A file that is read by ranges, as remote readers of zips do."""

    def __init__(self, client: httpx.Client, url: str, length: int) -> None:
        self._client, self._url, self._length, self._position = client, url, length, 0

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        starts = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._length}
        self._position = starts[whence] + offset
        return self._position

    def read(self, size: int = -1) -> bytes:
        end = self._length if size < 0 else min(self._length, self._position + size)
        if end <= self._position:
            return b""
        headers = {"Range": f"bytes={self._position}-{end - 1}"}
        answer = self._client.get(self._url, headers=headers)
        assert answer.status_code == 206, answer.text
        self._position += len(answer.content)
        return answer.content


async def read_remotely(api: httpx.AsyncClient, archive: dict[str, Any]) -> dict[str, bytes]:
    """Return the members of a zip whose directory is read first; their CRCs are verified."""

    def read_it() -> dict[str, bytes]:
        with (
            httpx.Client(headers=api.headers, trust_env=False) as client,
            zipfile.ZipFile(RemoteFile(client, archive["href"], archive["length"])) as opened,
        ):
            return {one.filename: opened.read(one) for one in opened.infolist()}

    return await asyncio.to_thread(read_it)


async def test_r19_steps_read_what_nobody_downloads(
    api: httpx.AsyncClient, downloadable: DownloadableOrder, worker: Worker
) -> None:
    """However often the directory is asked for, one chain of steps reads each file once, for the owner."""
    downloadable.add_all(CONTENTS.items())
    archive = await made(api)

    refused = await asyncio.gather(*(part(api, archive, TAIL) for _ in range(3)))
    first = await worker.take()
    await worker.reads.handle(DEMO, first)
    in_between = await part(api, archive, TAIL)
    ((following, _),) = await worker.steps()
    await worker.reads.handle(DEMO, first)  # the broker may deliver a step twice
    later_steps = await worker.run()

    assert {(one.status_code, one.json()["code"]) for one in (*refused, in_between)} == {
        (503, "archive-not-indexed")
    }
    assert {one.headers["Retry-After"] for one in refused} == {"60"}
    assert "They are read now" in refused[0].json()["detail"]
    assert following == replace(first, slice=first.slice + 1)
    assert later_steps == 4, "two files, the end of the page, and nothing behind it"
    assert downloadable.sources.opened == [1, 2, 3]
    assert set(downloadable.sources.emails) == {OWNER}
    assert (await part(api, archive, TAIL)).status_code == 206
    assert downloadable.sources.opened == [1, 2, 3], "the directory needs no file any more"
    assert await read_remotely(api, archive) == CONTENTS
    assert await worker.steps() == []


async def test_r19_no_step_reads_what_is_being_downloaded(
    api: httpx.AsyncClient, downloadable: DownloadableOrder, worker: Worker
) -> None:
    """Its download proves the files. If nothing more was sent of it, the next request lets steps read it."""
    downloadable.add_all(CONTENTS.items())
    made_one = await made(api)
    before = await worker.archive(made_one)
    await part(api, made_one, "0-999")

    async def is_recorded() -> bool:
        return (await worker.archive(made_one)).sent > 0

    await eventually(is_recorded, "it is recorded what was sent")
    await worker.reads.begin(DEMO, before)
    while_it_is_sent = await worker.steps()
    await part(api, made_one, TAIL)

    assert while_it_is_sent == []
    assert len(await worker.steps()) == 1


async def test_r19_a_step_that_was_killed(
    api: httpx.AsyncClient, downloadable: DownloadableOrder, worker: Worker
) -> None:
    """It comes again and reads the rest. If it was lost, a request begins a chain after ten minutes."""
    downloadable.add_all(CONTENTS.items())
    halting = Halting(CONTENTS["b"])
    downloadable.sources.contents[2] = halting
    archive = await made(api)
    await part(api, archive, TAIL)
    step = await worker.take()
    reads = worker.with_limits(ReadingLimits())

    handling = asyncio.create_task(reads.handle(DEMO, step))
    await halting.halted.wait()
    handling.cancel()
    with suppress(asyncio.CancelledError):
        await handling
    downloadable.sources.contents[2] = CONTENTS["b"]
    await part(api, archive, TAIL)
    while_it_counts = await worker.steps()
    await worker.rows("update archive set read_at = read_at - interval '11 minutes'")
    await part(api, archive, TAIL)
    begun = await worker.take()
    await reads.handle(DEMO, step)
    by_the_lost_one = list(downloadable.sources.opened)
    await reads.handle(DEMO, begun)

    assert while_it_counts == []
    assert begun.slice == step.slice + 1
    assert by_the_lost_one == [1, 2], "it is outdated now"
    assert downloadable.sources.opened == [1, 2, 2, 3]
    assert await read_remotely(api, archive) == CONTENTS


async def test_r19_a_process_that_stops(
    api: httpx.AsyncClient, downloadable: DownloadableOrder, worker: Worker
) -> None:
    """It doesn't read a large file to its end: another process begins it again."""
    halting = Halting(incompressible(3_000_000))
    downloadable.add("b", halting, of=halting.content)
    archive = await made(api)
    await part(api, archive, TAIL)

    handling = asyncio.create_task(worker.reads.handle(DEMO, await worker.take()))
    await halting.halted.wait()
    worker.stopping.set()
    halting.go_on.set()
    await handling
    unread = await part(api, archive, TAIL)
    worker.stopping.clear()
    steps = await worker.run()

    assert (unread.status_code, steps) == (503, 3)
    assert await read_remotely(api, archive) == {"b": halting.content}


async def test_r19_few_slices_are_read_at_once(
    api: httpx.AsyncClient, downloadable: DownloadableOrder, worker: Worker
) -> None:
    """Others come again later, so that other steps find a place."""
    downloadable.add("a", halting := Halting(CONTENTS["a"]), of=CONTENTS["a"])
    archives = [await made(api, kind) for kind in ("zip", "tar")]
    reads = worker.with_limits(ReadingLimits(at_once=1))
    await reads.begin(DEMO, await worker.archive(archives[0]))
    handling = asyncio.create_task(reads.handle(DEMO, await worker.take()))
    await halting.halted.wait()
    await reads.begin(DEMO, await worker.archive(archives[1]))
    step = await worker.take()

    await reads.handle(DEMO, step)
    ((later, due_at),) = await worker.steps()
    halting.go_on.set()
    await handling

    assert later == replace(step, slice=step.slice + 1)
    assert due_at == NOW + ReadingLimits().pause
    assert downloadable.sources.opened == [1]


@pytest.mark.parametrize(
    ("error", "result"),
    [
        (FetchError("broken", 500), None),
        (FetchError("gone", 404), FetchResult.FAILED),
        (FetchError("Download quota exceeded", 429), FetchResult.QUOTA_EXCEEDED),
    ],
    ids=["broken", "gone", "quota"],
)
async def test_r19_a_file_that_storage_does_not_deliver(
    api: httpx.AsyncClient,
    downloadable: DownloadableOrder,
    worker: Worker,
    error: FetchError,
    result: FetchResult | None,
) -> None:
    """The chain ends. What was read is kept, and the next request begins another chain."""
    downloadable.add_all(CONTENTS.items())
    downloadable.sources.contents[2] = error
    archive = await made(api)

    await part(api, archive, TAIL)
    steps = await worker.run()
    results = dict(downloadable.order.results)
    downloadable.sources.contents[2] = CONTENTS["b"]
    await part(api, archive, TAIL)
    await worker.run()
    opened = list(downloadable.sources.opened)
    tail = await part(api, archive, TAIL)
    whole = await api.get(archive["href"])

    assert steps == 2
    assert results == ({} if result is None else {2: result})
    assert opened == [1, 2, 2, 3]
    assert tail.status_code == 206
    assert read("zip", whole.content) == CONTENTS


async def test_r19_wrong_content(
    api: httpx.AsyncClient, downloadable: DownloadableOrder, worker: Worker
) -> None:
    """It ends the archive as a download does (R-22, R-23)."""
    right = CONTENTS["b"]
    downloadable.add("a", CONTENTS["a"])
    downloadable.add("b", right[:-1] + b"x", of=right)
    archive = await made(api)

    await part(api, archive, TAIL)
    await worker.run()
    after, results = await part(api, archive, TAIL), dict(downloadable.order.results)
    successor = await api.get(after.links["successor-version"]["url"])

    assert (after.status_code, after.json()["code"]) == (410, "archive-superseded")
    assert results == {2: FetchResult.WRONG_CONTENT}
    assert list(read("zip", successor.content)) == ["a", "NOTICE.txt"]


async def test_r19_an_archive_that_has_ended(
    api: httpx.AsyncClient, downloadable: DownloadableOrder, worker: Worker
) -> None:
    """Nothing more is read of it."""
    downloadable.add_all(CONTENTS.items())
    archive = await made(api)
    await part(api, archive, TAIL)
    step = await worker.take()
    await worker.rows("update archive set state = 'SUPERSEDED'")
    await worker.reads.handle(DEMO, step)
    await worker.rows("update archive set state = 'OPEN'")
    await downloadable.order.delete()

    await worker.reads.handle(DEMO, step)

    assert (await api.get(f"{PATH}/{archive['id']}")).status_code == 404
    assert downloadable.sources.opened == []
    assert await worker.steps() == []
