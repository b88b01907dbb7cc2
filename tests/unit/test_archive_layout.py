"""Where the bytes of archives stand (faces.md R-1 to R-7)."""

import hashlib
import io
import tarfile
import zipfile
import zlib
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rs_order.domain.archives import ArchiveFormat, Entry
from rs_order.domain.ids import DataFileId
from rs_order.downloads.archive_layout import (
    LAYOUTS,
    Layout,
    Place,
    TarLayout,
    ZipLayout,
    entry_length,
)
from rs_order.downloads.zip_stream import NO_COMPRESSION, ZipStream

AT = datetime(2026, 1, 2, 3, 4, 6, tzinfo=UTC)
BLOCK = 65_535


def entries_of(contents: Sequence[tuple[str, bytes]]) -> list[Entry]:
    return [
        Entry(DataFileId(number), name, len(content))
        for number, (name, content) in enumerate(contents, 1)
    ]


def whole(layout: Layout, contents: Sequence[tuple[str, bytes]]) -> bytes:
    """Return an archive, and assert that each part of it has the length that the layout says."""
    archive, records = b"", b""
    for entry, (_, content) in zip(entries_of(contents), contents, strict=True):
        packer, crc, offset = layout.packer(Place(0, 0)), zlib.crc32(content), len(archive)
        packed = b"".join((*packer.pack([content]), packer.flush()))
        assert len(packed) == layout.packed(entry.size)
        archive += layout.header(entry) + packed + layout.trailer(entry, crc)
        assert len(archive) == offset + entry_length(layout, entry)
        record = layout.record(entry, offset, crc)
        assert len(record) == layout.record_length(entry, offset)
        records += record
    return archive + records + layout.end(len(contents), len(archive), len(records))


def test_r6_the_vector() -> None:
    """All bytes of the archive are those that its layout was tried out with."""
    archive = whole(ZipLayout(AT), [("a.txt", b"hello"), ("b.bin", bytes(70_000))])

    assert len(archive) == 70_246
    assert (
        hashlib.sha256(archive).hexdigest()
        == "a574af61a9c185f5b91b597b99eecf6ea445609db9e74cf827dc7e9f7afa8d89"
    )


def test_r2_the_bytes_are_those_of_the_stream() -> None:
    """So the readers of ``tests/rest/test_zip_readers.py`` read both."""
    contents = [("a.txt", b"hello"), ("é", b""), ("b", bytes(BLOCK)), ("c", bytes(300_000))]
    with ZipStream(AT) as stream:
        for name, content in contents:
            stream.begin(name, size=len(content), level=NO_COMPRESSION)
            stream.add(content)
            stream.end()
        streamed = b"".join(stream.finish())

    assert whole(ZipLayout(AT), contents) == streamed


names = st.text(st.characters(codec="utf-8", exclude_characters="/\\\0"), min_size=1, max_size=120)


@given(
    st.lists(
        st.tuples(names, st.sampled_from([0, 1, 511, 512, BLOCK - 1, BLOCK, BLOCK + 1, 200_000])),
        max_size=5,
        unique_by=lambda one: one[0],
    )
)
def test_archives_of_any_files_are_read(files: list[tuple[str, int]]) -> None:
    """By Python's readers, with all names and contents."""
    contents = [(name, bytes([number + 1]) * size) for number, (name, size) in enumerate(files)]

    with zipfile.ZipFile(io.BytesIO(whole(ZipLayout(AT), contents))) as read:
        from_zip = [(one.filename, read.read(one)) for one in read.infolist()]
    packed = whole(TarLayout(AT), contents)
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        from_tar = [(one.name, content_of(tar, one)) for one in tar]

    assert from_zip == contents
    assert from_tar == contents
    assert len(packed) % tarfile.RECORDSIZE == 0


def content_of(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    content = tar.extractfile(member)
    assert content is not None
    return content.read()


@pytest.mark.parametrize(
    ("size", "packed", "trailer"),
    [
        (0, 5, 16),
        (BLOCK, BLOCK + 5, 16),
        (BLOCK + 1, BLOCK + 11, 16),
        (4_294_639_629, 4_294_967_294, 16),
        (4_294_639_630, 4_294_967_300, 24),  # 2^32 - 1 marks 64 bits, so there is one block more
        (5_000_000_000, 5_000_381_480, 24),
    ],
)
def test_r3_sizes_of_a_zip(size: int, packed: int, trailer: int) -> None:
    """Sizes of 64 bits stand exactly after what needs them (R-4)."""
    entry, layout = Entry(DataFileId(1), "abc", size), ZipLayout(AT)

    assert layout.packed(size) == packed
    assert layout.trailer_length(entry) == trailer
    assert len(layout.header(entry)) == 33 + (20 if trailer == 24 else 0)


@pytest.mark.parametrize(
    ("size", "offset", "length"),
    [(1, 0, 49), (1, 2**32 - 2, 49), (1, 2**32 - 1, 61), (2**33, 0, 69), (2**33, 2**32, 77)],
)
def test_r3_records_of_a_zip(size: int, offset: int, length: int) -> None:
    """The directory has 64 bits for what needs them."""
    record = ZipLayout(AT).record_length(Entry(DataFileId(1), "abc", size), offset)

    assert record == length


@pytest.mark.parametrize(
    ("entries", "directory", "length"),
    [(65_534, 2**32 - 2, 22), (65_535, 0, 98), (1, 2**32 - 1, 98)],
)
def test_r3_end_of_a_zip(entries: int, directory: int, length: int) -> None:
    assert len(ZipLayout(AT).end(entries, directory, 100)) == length


def test_many_entries_far_behind() -> None:
    """More than 65,535 entries, behind 5 GiB that are left out, are found by Python's reader."""
    layout, far = ZipLayout(AT), 5 * 2**30
    position, entries, records = far, bytearray(), bytearray()
    for number in range(70_000):
        entry = Entry(DataFileId(number), f"{number}", 0)
        records += layout.record(entry, position, 0)
        one = layout.header(entry) + layout.packer(Place(0, 0)).flush() + layout.trailer(entry, 0)
        entries += one
        position += len(one)
    end = layout.end(70_000, position, len(records))
    archive = SparseFile(far, bytes(entries + records + end))

    with zipfile.ZipFile(archive) as read:
        assert len(read.infolist()) == 70_000
        assert read.read("69999") == b""


class SparseFile(io.RawIOBase):
    """A file that begins with bytes that nobody reads."""

    def __init__(self, before: int, content: bytes) -> None:
        self._before = before
        self._content = io.BytesIO(content)

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._before + self._content.tell()

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence == io.SEEK_SET:
            offset -= self._before
        return self._before + self._content.seek(offset, whence)

    def read(self, size: int = -1) -> bytes:
        return self._content.read(size)


def test_r4_a_tar_beyond_8_gib() -> None:
    """Its size is in a pax header, which readers know."""
    layout = TarLayout(AT)
    header = layout.header(Entry(DataFileId(1), "é" * 200, 2**34))

    with tarfile.open(fileobj=io.BytesIO(header + bytes(1024))) as tar:
        member = tar.next()

    assert member is not None
    assert (member.name, member.size, member.mtime) == ("é" * 200, 2**34, AT.timestamp())


def test_every_format_has_a_layout() -> None:
    assert set(LAYOUTS) == set(ArchiveFormat)
