"""Which readers keep their places: limits of users and of the process, quotas, and the end of the process."""

import asyncio
import zlib
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field, replace

import pytest

from rs_order.domain.archives import FIRST_BYTE, Checkpoint
from rs_order.downloads.readings import (
    CheckpointLimits,
    ParkingLimits,
    Reader,
    Readings,
    SkippingAhead,
)
from rs_order.ports import FetchError, FileToDownload
from tests.rest.fake_downloads import (
    DEMO,
    OWNER,
    DownloadableOrder,
    incompressible,
)

pytestmark = pytest.mark.usefixtures("one_piece_at_a_time")

CONTENT = incompressible(200_000)
LIMITS = ParkingLimits(least=10_000, kept=0)
JANE, JOE = Reader(DEMO, OWNER), Reader(DEMO, "joe@example.org")


@dataclass
class Files:
    """Files, and who reads them."""

    order: DownloadableOrder = field(default_factory=DownloadableOrder)

    def add(self, content: bytes = CONTENT) -> FileToDownload:
        self.order.add("a", content)
        return self.order.order.files[-1]

    def add_halting(self) -> FileToDownload:
        """Add a file whose source stops after half of it."""

        async def halting() -> AsyncGenerator[bytes, None]:
            yield CONTENT[:50_000]
            yield CONTENT[50_000:100_000]
            await asyncio.Event().wait()

        self.order.add("a", halting, of=CONTENT)
        return self.order.order.files[-1]

    @property
    def opened(self) -> list[int]:
        return self.order.sources.opened


@pytest.fixture
def files() -> Files:
    return Files()


def reading(files: Files, **limits: float) -> "aclosing[Readings]":
    parking = replace(LIMITS, **limits)  # type: ignore[arg-type]
    checkpoints = CheckpointLimits(least=10_000, every=50_000)
    return aclosing(Readings(files.order.sources, parking, checkpoints))


async def cut_off(
    readings: Readings,
    file: FileToDownload,
    reader: Reader = JANE,
    after: int = 20_000,
    *,
    begun: Checkpoint = FIRST_BYTE,
    at: int = 0,
) -> None:
    """Read so many bytes of a file, and be cancelled, as a request is whose client leaves."""
    reached = asyncio.Event()

    async def download() -> None:
        taken = 0
        async with readings.open(reader, file, at, begun=begun, cut_off=lambda: True) as opened:
            async for pieces in opened.pieces():
                taken += sum(map(len, pieces))
                if taken >= after:
                    reached.set()
                    await asyncio.Event().wait()

    task = asyncio.create_task(download())
    await reached.wait()
    task.cancel()
    await asyncio.wait([task])


async def rest(
    readings: Readings,
    file: FileToDownload,
    at: int,
    reader: Reader = JANE,
    *,
    begun: Checkpoint = FIRST_BYTE,
) -> bytes:
    async with readings.open(reader, file, at, begun=begun, cut_off=lambda: True) as opened:
        return b"".join([b"".join(pieces) async for pieces in opened.pieces()])


async def test_a_parked_reader_goes_on(files: Files) -> None:
    """At its place, and behind it."""
    first, second = files.add(), files.add()
    async with reading(files) as readings:
        for file, at in ((first, 20_000), (second, 150_001)):
            await cut_off(readings, file)
            assert await rest(readings, file, at) == CONTENT[at:]

    assert files.opened == [1, 2]


async def test_a_reader_cannot_go_back(files: Files) -> None:
    """What it doesn't keep is read again."""
    file = files.add()
    async with reading(files) as readings:
        await cut_off(readings, file)
        assert await rest(readings, file, 5000) == CONTENT[5000:]

    assert files.opened == [1, 1]


async def test_a_reader_keeps_what_may_have_been_lost(files: Files) -> None:
    file = files.add()
    async with reading(files, kept=15_000) as readings:
        await cut_off(readings, file)
        assert await rest(readings, file, 5000) == CONTENT[5000:]

    assert files.opened == [1]


async def test_a_reader_is_that_of_its_user(files: Files) -> None:
    """Files are read in the name of a user, and charged to their quota."""
    file = files.add()
    async with reading(files) as readings:
        await cut_off(readings, file)
        assert await rest(readings, file, 20_000, JOE) == CONTENT[20_000:]

    assert files.order.sources.emails == [JANE.email, JOE.email]


async def test_short_reads_are_not_kept(files: Files) -> None:
    file = files.add()
    async with reading(files) as readings:
        await cut_off(readings, file, after=1000)

        assert files.order.sources.open_now == 0


@pytest.mark.parametrize(
    ("limits", "open_now"),
    [({"of_user": 2}, 2), ({"of_process": 1, "of_user": 5}, 1)],
    ids=["of a user", "of the process"],
)
async def test_the_oldest_leaves_first(
    files: Files, limits: dict[str, float], open_now: int
) -> None:
    """Also if it is read again: nobody waits for a place."""
    parked = [files.add() for _ in range(3)]
    async with reading(files, **limits) as readings:
        for file in parked:
            await cut_off(readings, file)
        assert files.order.sources.open_now == open_now

        assert await rest(readings, parked[2], 20_000) == CONTENT[20_000:]
        assert await rest(readings, parked[0], 20_000) == CONTENT[20_000:]

    assert files.opened == [1, 2, 3, 1]


async def test_a_reader_on_its_way_keeps_its_place(files: Files) -> None:
    """Else none of two would ever arrive. The other client comes back later."""
    first, second = files.add_halting(), files.add_halting()
    async with reading(files, of_user=1, patience=0.05) as readings:
        for file, still_open in ((first, 1), (second, 1)):
            with pytest.raises(SkippingAhead) as refused:
                await rest(readings, file, 150_000)
            assert files.order.sources.open_now == still_open
        assert refused.value.seconds == 60
        with pytest.raises(SkippingAhead):
            await rest(readings, first, 150_000)

    assert files.opened == [1, 2], "the first was never begun anew"


async def test_parked_readers_make_room_at_storage(files: Files) -> None:
    """They count as downloads of their user, who must not be refused another one for them."""
    first, second = files.add(), files.add()
    files.order.sources.allowed = 1
    async with reading(files) as readings:
        await cut_off(readings, first)
        assert await rest(readings, second, 0) == CONTENT

        await cut_off(readings, first, JOE)
        with pytest.raises(FetchError, match="quota"):
            await rest(readings, second, 0)


async def test_the_end_of_the_process(files: Files) -> None:
    """Parked readers are closed, and none is parked any more."""
    first, second = files.add(), files.add()
    async with reading(files) as readings:
        await cut_off(readings, first)
    assert files.order.sources.open_now == 0

    await cut_off(readings, second)

    assert files.order.sources.open_now == 0


MIDDLE = Checkpoint(100_000, zlib.crc32(CONTENT[:100_000]))


async def test_r21_a_reader_that_began_at_a_checkpoint_is_not_for_who_verifies(
    files: Files,
) -> None:
    """It never saw the beginning. Who has a checkpoint, too, goes on with it."""
    file = files.add()
    files.order.sources.ranges = True
    async with reading(files) as readings:
        await cut_off(readings, file, begun=MIDDLE, at=120_000)
        verified = await rest(readings, file, 150_000)
        other = await rest(readings, file, 150_000, begun=MIDDLE)

    assert verified == other == CONTENT[150_000:]
    assert files.order.sources.starts == [100_000, 0]


@pytest.mark.parametrize("ranges", [True, False], ids=["taken", "not taken"])
async def test_r21_a_reader_far_behind_a_checkpoint(files: Files, ranges: bool) -> None:
    """It isn't worth its place if storage takes ranges. Otherwise all of the file would be read again."""
    file, other = files.add(), files.add()
    files.order.sources.ranges = ranges
    async with reading(files) as readings:
        await rest(readings, other, 150_000, begun=MIDDLE)  # the probe
        await cut_off(readings, file)
        found = await rest(readings, file, 150_000, begun=MIDDLE)

    assert found == CONTENT[150_000:]
    assert files.order.sources.starts == ([100_000, 0, 100_000] if ranges else [0, 0])


@pytest.mark.parametrize("ranges", [True, False], ids=["taken", "not taken"])
async def test_r33_a_checkpoint_spares_the_skip(files: Files, ranges: bool) -> None:
    """Only what follows it has to be read before the part."""
    file = files.add()
    files.order.sources.ranges = ranges
    async with reading(files, patience=30) as readings:
        readings._bytes_per_second = 1000  # noqa: SLF001 - a slow storage
        if ranges:
            assert await rest(readings, file, 120_000, begun=MIDDLE) == CONTENT[120_000:]
        else:
            with pytest.raises(SkippingAhead):
                await rest(readings, file, 120_000, begun=MIDDLE)
