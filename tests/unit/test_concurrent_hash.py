"""A hash that is computed in a thread is that of all bytes, in their order."""

import hashlib

import pytest

from rs_order.downloads.checksums import HASHED_AT_ONCE, new_hash


@pytest.mark.parametrize("piece", [1000, HASHED_AT_ONCE, HASHED_AT_ONCE + 1])
@pytest.mark.parametrize("size", [0, 999, HASHED_AT_ONCE, 3 * HASHED_AT_ONCE + 7])
async def test_the_pieces_of_a_file_are_hashed_in_their_order(size: int, piece: int) -> None:
    """However long they are, and whether the last of them are hashed in a thread or not."""
    content = bytes(number % 251 for number in range(size))
    concurrent = new_hash("md5")
    assert concurrent is not None
    for start in range(0, size, piece):
        await concurrent.update(content[start : start + piece])

    assert await concurrent.hexdigest() == hashlib.md5(content, usedforsecurity=False).hexdigest()
