"""What is computed of a file that passes, and compared."""

import hashlib
import zlib
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from rs_order.domain.archives import Checkpoint
from rs_order.downloads.checksums import Crc32
from rs_order.downloads.fetching import ContentCheck
from rs_order.ports import ContentHashes, FileToDownload, PartsDiffer, TooShort, WrongContent
from tests.rest.fake_downloads import DownloadableOrder

CONTENT = b"content"
PROVEN = ContentHashes(crc32=7, sha256=hashlib.sha256(CONTENT).digest())
"""With a CRC-32 that nobody computes from the content."""


@pytest.fixture
def file() -> FileToDownload:
    order = DownloadableOrder()
    order.add("a", CONTENT)
    return order.order.files[0]


async def checked(
    file: FileToDownload, content: bytes, *, begun: Checkpoint | None = None
) -> ContentCheck:
    check = ContentCheck(file, crc32=Crc32(2, begun) if begun else None)
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


BEFORE = Checkpoint(4, zlib.crc32(CONTENT[:4]))


async def test_r21_a_file_that_was_read_in_parts_has_a_crc_and_no_proof(
    file: FileToDownload,
) -> None:
    """Only CRC-32 can go on from what was read before. So other bytes pass, and nothing calls them proven."""
    check = await checked(file, CONTENT[4:], begun=BEFORE)
    other = await checked(file, b"...", begun=BEFORE)

    assert (await check.problem(), check.hashes) == (None, None)
    assert check.assembled_crc32 == zlib.crc32(CONTENT)
    assert (await other.problem(), other.hashes) == (None, None)
    assert [one.position for one in check.take_checkpoints()] == [6]


async def test_r21_parts_are_compared_with_what_is_known_of_the_whole(file: FileToDownload) -> None:
    known = ContentHashes(zlib.crc32(CONTENT), PROVEN.sha256)
    proven = replace(file, hashes=known, verified_at=datetime.now(UTC))

    right = await checked(proven, CONTENT[4:], begun=BEFORE)
    wrong = await checked(proven, b"...", begun=BEFORE)

    assert await right.problem() is None
    assert isinstance(await wrong.problem(), PartsDiffer)
    assert wrong.assembled_crc32 is None


async def test_r21_parts_have_the_size_of_the_file(file: FileToDownload) -> None:
    """Too many bytes may be the fault of a range, and don't show that the content is wrong."""
    short = await checked(file, b"..", begun=BEFORE)
    long = ContentCheck(file, crc32=Crc32(2, BEFORE))

    assert not await long.accept(b"....")
    assert isinstance(await long.problem(), PartsDiffer)
    assert isinstance(await short.problem(), TooShort)
