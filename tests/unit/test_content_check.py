"""What is computed of a file that passes, and compared."""

import hashlib
import zlib
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from rs_order.downloads.fetching import ContentCheck
from rs_order.ports import ContentHashes, FileToDownload, WrongContent
from tests.rest.fake_downloads import DownloadableOrder

CONTENT = b"content"
PROVEN = ContentHashes(crc32=7, sha256=hashlib.sha256(CONTENT).digest())
"""With a CRC-32 that nobody computes from the content."""


@pytest.fixture
def file() -> FileToDownload:
    order = DownloadableOrder()
    order.add("a", CONTENT)
    return order.order.files[0]


async def checked(file: FileToDownload, content: bytes) -> ContentCheck:
    check = ContentCheck(file)
    assert await check.accept(content)
    return check


async def test_the_first_time_all_is_computed(file: FileToDownload) -> None:
    check = await checked(file, CONTENT)

    assert await check.problem() is None
    assert check.hashes == ContentHashes(zlib.crc32(CONTENT), PROVEN.sha256)


async def test_bytes_that_were_proven_are_compared_by_their_sha256(file: FileToDownload) -> None:
    """Their other hashes are known by that, and aren't computed again."""
    proven = replace(file, hashes=PROVEN, verified_at=datetime.now(UTC))

    right, wrong = await checked(proven, CONTENT), await checked(proven, b"Content")
    problem = await wrong.problem()

    assert await right.problem() is None
    assert right.hashes == PROVEN
    assert isinstance(problem, WrongContent)
    assert problem.reason.startswith("Wrong content: SHA256 is ")


async def test_hashes_of_bytes_that_were_not_proven_count_for_nothing(
    file: FileToDownload,
) -> None:
    unproven = replace(file, hashes=replace(PROVEN, sha256=bytes(32)))

    check = await checked(unproven, CONTENT)

    assert await check.problem() is None
    assert check.hashes == ContentHashes(zlib.crc32(CONTENT), PROVEN.sha256)
