"""Hashes that are computed in threads are those of all bytes, in their order."""

import hashlib
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from rs_order.downloads import checksums
from rs_order.downloads.checksums import HASHED_AT_ONCE, ConcurrentHashes, Hash


@pytest.fixture(params=[1, 2], ids=["no thread beside", "a thread beside"], autouse=True)
def threads(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Compute two hashes one after the other, because all threads are busy, or beside each other."""
    with ThreadPoolExecutor(request.param) as executor:
        monkeypatch.setattr(checksums, "_THREADS", executor)
        yield


@pytest.mark.parametrize("piece", [1000, HASHED_AT_ONCE, HASHED_AT_ONCE + 1])
@pytest.mark.parametrize("size", [0, 999, HASHED_AT_ONCE, 3 * HASHED_AT_ONCE + 7])
async def test_the_pieces_of_a_file_are_hashed_in_their_order(size: int, piece: int) -> None:
    """However long they are, and whether the last of them are hashed in a thread or not."""
    content = bytes(number % 251 for number in range(size))
    concurrent = ConcurrentHashes(["md5", "sha256", "crc32", "adler32"])
    for start in range(0, size, piece):
        await concurrent.update(content[start : start + piece])

    assert await concurrent.hexdigests() == {
        "md5": hashlib.md5(content, usedforsecurity=False).hexdigest(),
        "sha256": hashlib.sha256(content).hexdigest(),
        "crc32": f"{zlib.crc32(content):08x}",
        "adler32": f"{zlib.adler32(content):08x}",
    }


class Defect(Exception):
    pass


class Broken:
    """A hash that can't be computed."""

    def update(self, _: bytes, /) -> None:
        raise Defect

    def hexdigest(self) -> str:
        raise AssertionError("a hash that failed was read")


@pytest.mark.parametrize("broken", ["md5", "sha256"])
async def test_a_defect_in_a_thread_is_raised(broken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the download would wait for ever, or the file would seem to have wrong content."""

    def new(algorithm: str) -> Hash:
        return Broken() if algorithm == broken else hashlib.sha256()

    monkeypatch.setattr(checksums, "_new_hash", new)
    concurrent = ConcurrentHashes(["md5", "sha256"])
    await concurrent.update(bytes(HASHED_AT_ONCE))

    with pytest.raises(Defect):
        await concurrent.hexdigests()
