"""Parts of archives are slices of the whole, whatever files these hold (faces.md, acceptance R)."""

import random
from collections.abc import AsyncGenerator, Callable
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rs_order.domain.archives import ArchiveFormat, Failed
from rs_order.domain.parts import Part
from rs_order.downloads.archive_reader import ArchiveReader, ArchiveRequest
from rs_order.downloads.range_places import RangePlaces
from rs_order.downloads.readings import Readings
from rs_order.store.archives import Archives
from tests.rest.conftest import NOW
from tests.rest.fake_downloads import DEMO, OWNER, DownloadableOrder, incompressible
from tests.rest.listed_archives import ListedArchives
from tests.support.clock import ManualClock

RANGES = 60
"""Of each archive; there are 50 archives of each kind."""
FAILED = [Failed("lost.fits", "download-failed", "Server returned HTTP error code 404")]
SIZES = st.integers(0, 3000) | st.integers(65_530, 65_540) | st.just(131_070)
FILES = st.lists(st.tuples(st.text(min_size=1, max_size=120), SIZES), min_size=1, max_size=7)


def halves(content: bytes) -> Callable[[], AsyncGenerator[bytes, None]]:
    """Return a file that arrives in two pieces."""

    async def pieces() -> AsyncGenerator[bytes, None]:
        yield content[: len(content) // 2]
        yield content[len(content) // 2 :]

    return pieces


async def read(listed: ListedArchives, readings: Readings, part: Part) -> bytes:
    request = ArchiveRequest(DEMO, listed.archive, OWNER, part)
    archives = cast("Archives", listed)
    reader = ArchiveReader(archives, readings, RangePlaces(), ManualClock(NOW), request)
    return b"".join([piece async for piece in reader.pieces()])


@pytest.mark.parametrize("kind", ArchiveFormat)
@settings(max_examples=50, deadline=None)
@given(files=FILES, failed=st.booleans(), seed=st.integers(0, 1000))
async def test_a_part_is_a_slice_of_the_whole(
    kind: ArchiveFormat, files: list[tuple[str, int]], failed: bool, seed: int
) -> None:
    """The directory, too, and across the ends of entries, records and pages."""
    order, chance = DownloadableOrder(), random.Random(seed)  # noqa: S311 - which parts are tried
    for name, size in files:
        order.add(name, halves(incompressible(size)), of=incompressible(size))
    listed = ListedArchives(order.order.files, kind, failed=FAILED if failed else (), page=3)
    readings, length = Readings(order.sources), listed.archive.length

    whole = await read(listed, readings, Part(0, length))
    parts = [
        Part(*sorted((chance.randrange(length), chance.randrange(length) + 1)))
        for _ in range(RANGES)
    ]

    assert len(whole) == length
    for part in parts:
        if part.length > 0:
            assert await read(listed, readings, part) == whole[part.start : part.end], part
