"""Hashes that are computed in a thread are those of all bytes, in their order."""

import hashlib
import zlib

import pytest

from rs_order.downloads.checksums import HASHED_AT_ONCE, ConcurrentHashes


@pytest.mark.parametrize("piece", [1000, HASHED_AT_ONCE, HASHED_AT_ONCE + 1])
@pytest.mark.parametrize("size", [0, 999, HASHED_AT_ONCE, 3 * HASHED_AT_ONCE + 7])
async def test_the_pieces_of_a_file_are_hashed_in_their_order(size: int, piece: int) -> None:
    """However long they are, and whether the last of them are hashed in a thread or not."""
    content = bytes(number % 251 for number in range(size))
    concurrent = ConcurrentHashes({"md5", "crc32"})
    for start in range(0, size, piece):
        await concurrent.update(content[start : start + piece])

    assert await concurrent.hexdigests() == {
        "md5": hashlib.md5(content, usedforsecurity=False).hexdigest(),
        "crc32": f"{zlib.crc32(content):08x}",
    }


async def test_a_defect_in_a_thread_is_raised() -> None:
    """Otherwise the download would wait for ever, or the file would seem to have wrong content."""
    concurrent = ConcurrentHashes({"md5"})
    await concurrent.update("text" * HASHED_AT_ONCE)  # type: ignore[arg-type]

    with pytest.raises(TypeError):
        await concurrent.hexdigests()
