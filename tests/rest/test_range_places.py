"""How many parts of an archive are sent at once (faces.md R-31)."""

import asyncio
from collections.abc import AsyncGenerator

import httpx
import pytest

from rs_order.downloads.range_places import PlaceLimits, RangePlaces
from tests.rest.fake_downloads import DownloadableOrder, incompressible
from tests.rest.test_archives import made
from tests.support.polling import WAIT_SECONDS, eventually

CONTENT = incompressible(400_000)


@pytest.fixture
def places(request: pytest.FixtureRequest) -> RangePlaces:
    """Two parts of an archive, and one of a file of more than 300 kB. Others wait for it."""
    patience = getattr(request, "param", WAIT_SECONDS)
    return RangePlaces(PlaceLimits(of_archive=2, large=300_000, patience=patience))


class Halting:
    """A file whose source halts after its first bytes, as often as it is opened, until it is let on."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.go_on = asyncio.Event()

    async def __call__(self) -> AsyncGenerator[bytes, None]:
        yield self.content[:1000]
        await self.go_on.wait()
        yield self.content[1000:]


@pytest.mark.parametrize("places", [0.1], indirect=True, ids=["impatient"])
@pytest.mark.parametrize(
    ("size", "at_once"), [(200_000, 2), (400_000, 1)], ids=["archive", "large file"]
)
async def test_r31_more_parts_wait_for_a_place(
    api: httpx.AsyncClient, downloadable: DownloadableOrder, size: int, at_once: int
) -> None:
    """They get 503 if none becomes free in time; then the client asks again."""
    halting = Halting(CONTENT[:size])
    downloadable.add("a", halting, of=halting.content)
    archive = await made(api)

    async def part(start: int) -> httpx.Response:
        headers = {"Range": f"bytes={start}-{start + 99}"}
        return await api.get(archive["href"], headers=headers)

    first = [asyncio.create_task(part(size // 2 + number)) for number in range(at_once)]
    await eventually(lambda: downloadable.sources.open_now == at_once, "the places are taken")
    busy = await part(size // 2)
    halting.go_on.set()
    answers = await asyncio.gather(*first)
    later = await part(size // 2)

    assert (busy.status_code, busy.json()["code"]) == (503, "range-busy")
    assert int(busy.headers["Retry-After"]) >= 5
    assert [one.status_code for one in (*answers, later)] == [206] * (at_once + 1)


async def test_r31_who_waits_gets_a_place_that_becomes_free(
    api: httpx.AsyncClient, downloadable: DownloadableOrder, places: RangePlaces
) -> None:
    """And no trace of the places remains."""
    downloadable.add("a", CONTENT)
    archive = await made(api)

    answers = await asyncio.gather(*(api.get(archive["href"]) for _ in range(4)))

    assert [one.status_code for one in answers] == [200] * 4
    await eventually(lambda: not places._places, "no place is taken")  # noqa: SLF001 - a leak shows nowhere else
