"""The zip format, checked with Python's reader."""

import hashlib
import io
import zipfile
import zlib
from datetime import UTC, datetime
from pathlib import Path

import pytest

from rs_order.downloads.zip_stream import StoredBlocks, ZipStream, packed_size

AT = datetime(2026, 3, 1, 12, 30, 45, tzinfo=UTC)
FAR = 5 * 2**30


def entry(archive: ZipStream, name: str, content: bytes, size: int | None, level: int = 1) -> bytes:
    archive.begin(name, size=size, level=level)
    archive.add(content)
    archive.end()
    return b"".join(archive.pieces())


@pytest.mark.parametrize("level", [0, 1, 9])
@pytest.mark.parametrize("size", [100_000, None, 4_294_639_600, 5_000_000_000])
def test_entries_of_any_size(level: int, size: int | None) -> None:
    """The size may be known, unknown or larger than 4 GiB. Only the last one needs 64-bit sizes."""
    content = b"0123456789" * 10_000
    with ZipStream(AT) as archive:
        written = entry(archive, "é.txt", content, size, level) + b"".join(archive.finish())

    read = zipfile.ZipFile(io.BytesIO(written))
    assert content == read.read("é.txt")
    assert (read.infolist()[0].external_attr >> 16, read.infolist()[0].compress_type) == (
        0o100644,
        8,
    )
    assert (45 if size == 5_000_000_000 else 20) == read.infolist()[0].extract_version


def test_the_layout_is_that_of_the_chapter() -> None:
    """All bytes are equal (faces.md R-6)."""
    with ZipStream(datetime(2026, 1, 2, 3, 4, 6, tzinfo=UTC)) as archive:
        written = entry(archive, "a.txt", b"hello", 5, 0)
        written += entry(archive, "b.bin", bytes(70_000), 70_000, 0)
        written += b"".join(archive.finish())

    assert (
        hashlib.sha256(written).hexdigest()
        == "a574af61a9c185f5b91b597b99eecf6ea445609db9e74cf827dc7e9f7afa8d89"
    )


@pytest.mark.parametrize("size", [0, 1, 65_534, 65_535, 65_536, 131_070, 131_071, 1_000_000])
@pytest.mark.parametrize("chunk", [1000, 65_536, 200_000])
def test_stored_blocks_have_the_announced_length(size: int, chunk: int) -> None:
    """The length is the same for all sizes of chunks, and a deflate reader gets the same content."""
    content = bytes(range(256)) * (size // 256 + 1)
    blocks = StoredBlocks()
    packed = b"".join(
        blocks.compress(content[start : min(start + chunk, size)])
        for start in range(0, size, chunk)
    )
    packed += blocks.flush()

    assert len(packed) == packed_size(size)
    assert content[:size] == zlib.decompress(packed, -zlib.MAX_WBITS)


@pytest.mark.parametrize("level", [0, 1])
def test_f22c_an_entry_can_be_filled_at_any_time(level: int) -> None:
    """Before, between and after its bytes, and several times."""
    with ZipStream(AT) as archive:
        archive.begin("a", size=None, level=level)
        for _ in range(3):
            archive.fill()
            archive.fill()
            archive.add(bytes(range(256)) * 300)
        archive.fill()
        archive.end()
        written = b"".join([*archive.pieces(), *archive.finish()])

    assert zipfile.ZipFile(io.BytesIO(written)).read("a") == bytes(range(256)) * 900


def test_f22c_an_entry_is_not_filled_until_its_size_needs_64_bits() -> None:
    """Its header has announced 32 bits; there is room for three times here."""
    size = 4_294_639_600
    assert packed_size(size) + 3 * 10 < 2**32 - 1 < packed_size(size) + 4 * 10
    with ZipStream(AT) as archive:
        archive.begin("a", size=size, level=0)
        for _ in range(10):
            archive.fill()
        archive.end()
        written = b"".join([*archive.pieces(), *archive.finish()])

    assert zipfile.ZipFile(io.BytesIO(written)).infolist()[0].compress_size == 3 * 10 + 5


def test_sizes_that_mark_64_bits_are_never_packed_sizes() -> None:
    """4,294,967,295 packed bytes are the mark of a 64-bit size, so one more block is added."""
    sizes = range(4_294_639_000, 4_295_000_000)
    marked = next(size for size in sizes if _without_extra_block(size) == 2**32 - 1)

    assert packed_size(marked) == 2**32 + 4
    assert packed_size(marked - 1) == 2**32 - 2


def _without_extra_block(size: int) -> int:
    return size + 5 * -(-size // 65_535)


def test_w21_entries_beyond_4_gib(tmp_path: Path) -> None:
    """Offsets have 64 bits. The archive starts at 5 GiB of a sparse file."""
    path = tmp_path / "far.zip"
    with ZipStream(AT, offset=FAR) as archive, path.open("wb") as file:
        file.seek(FAR)
        file.write(entry(archive, "a", b"A", 1) + entry(archive, "b", b"B", None))
        file.writelines(archive.finish())

    with zipfile.ZipFile(path) as read:
        assert (read.read("a"), read.read("b")) == (b"A", b"B")
        assert read.infolist()[0].header_offset == FAR


def test_more_entries_than_a_16_bit_number_counts() -> None:
    """70,000 entries are written, with the central directory on disk."""
    with ZipStream(AT, directory_in_memory=1000) as archive:
        written = b"".join(entry(archive, f"{n}", b"", 0) for n in range(70_000))
        written += b"".join(archive.finish())

    read = zipfile.ZipFile(io.BytesIO(written))
    assert [f"{n}" for n in range(70_000)] == read.namelist()


def test_an_empty_archive_is_valid() -> None:
    with ZipStream(AT) as archive:
        written = b"".join(archive.finish())

    assert zipfile.ZipFile(io.BytesIO(written)).namelist() == []


def test_data_without_an_entry_raises_an_error() -> None:
    """This would be a defect of the service."""
    with ZipStream(AT) as archive, pytest.raises(RuntimeError, match="no entry"):
        archive.add(b"x")
