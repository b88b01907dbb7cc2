"""Where each byte of an archive stands, known from names and sizes alone (faces.md R-1 to R-7).

Nothing is compressed, so the length of each entry follows from its name and size, and a part of an archive
can be produced without what is before it. Only the checksums of a zip come with the bytes: one behind each
entry, and one in the directory. A tar has no checksum of the content, and no directory.
"""

import tarfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Protocol

from rs_order.domain.archives import ArchiveFormat, Entry
from rs_order.downloads import zip_records
from rs_order.downloads.zip_stream import Buffer, StoredBlocks, block_at, packed_size


class Packer(Protocol):
    """Turns the content of a file into that of an entry."""

    def pack(self, pieces: Iterable[bytes]) -> Sequence[Buffer]:
        """Return what is complete with these pieces, in parts."""
        ...

    def flush(self) -> bytes:
        """Return the rest."""
        ...


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a file, and where it stands in the content of its entry."""

    of_file: int
    of_entry: int


class Layout(Protocol):
    """The layout of archives of one format, of one time."""

    @property
    def has_checksums(self) -> bool:
        """True if the CRC of each entry stands behind it and in the directory."""
        ...

    def header(self, entry: Entry) -> bytes:
        """Return what is before the content of an entry."""
        ...

    def packed(self, size: int) -> int:
        """Return the length of the content of an entry."""
        ...

    def aligned(self, packed: int, size: int) -> "Place":
        """Return the last place at or before a byte of the content of an entry where packing may begin."""
        ...

    def packer(self, place: "Place") -> Packer: ...

    def trailer(self, entry: Entry, crc: int) -> bytes:
        """Return what follows the content of an entry."""
        ...

    def trailer_length(self, entry: Entry) -> int: ...

    def record(self, entry: Entry, offset: int, crc: int) -> bytes:
        """Return what the directory has of an entry that begins at ``offset``."""
        ...

    def record_length(self, entry: Entry, offset: int) -> int: ...

    def end(self, entries: int, directory: int, length: int) -> bytes:
        """Return what follows a directory of so many entries, that begins at ``directory``."""
        ...


def entry_length(layout: Layout, entry: Entry) -> int:
    """Return the bytes from the beginning of an entry to that of the next."""
    before = len(layout.header(entry))
    return before + layout.packed(entry.size) + layout.trailer_length(entry)


class ZipLayout:
    """A zip whose entries are deflated in stored blocks, so that streaming readers accept it (R-2)."""

    has_checksums: Final = True

    def __init__(self, created: datetime) -> None:
        self._time = zip_records.DosTime.of(created.astimezone(UTC))

    def header(self, entry: Entry) -> bytes:
        return zip_records.local_header(entry.name.encode(), self._time, large=_is_large(entry))

    def packed(self, size: int) -> int:
        return packed_size(size)

    def aligned(self, packed: int, size: int) -> Place:
        return Place(*block_at(packed, size))

    def packer(self, place: Place) -> Packer:
        return StoredBlocks(place.of_entry)

    def trailer(self, entry: Entry, crc: int) -> bytes:
        packed = packed_size(entry.size)
        return zip_records.descriptor(crc, packed, entry.size, large=_is_large(entry))

    def trailer_length(self, entry: Entry) -> int:
        return len(self.trailer(entry, 0))

    def record(self, entry: Entry, offset: int, crc: int) -> bytes:
        return zip_records.central_record(
            entry.name.encode(),
            self._time,
            crc=crc,
            packed=packed_size(entry.size),
            size=entry.size,
            offset=offset,
            large=_is_large(entry),
        )

    def record_length(self, entry: Entry, offset: int) -> int:
        return len(self.record(entry, offset, 0))

    def end(self, entries: int, directory: int, length: int) -> bytes:
        return zip_records.end_records(entries, directory, length)


def _is_large(entry: Entry) -> bool:
    """True if its sizes take 64 bits: exactly then, because Java 17 reads no others (R-4)."""
    return packed_size(entry.size) > zip_records.MAX_32


class TarLayout:
    """A tar with ustar headers, and a pax header where these don't suffice (R-7)."""

    has_checksums: Final = False

    def __init__(self, created: datetime) -> None:
        self._seconds = int(created.timestamp()) // 2 * 2

    def header(self, entry: Entry) -> bytes:
        info = tarfile.TarInfo(entry.name)
        info.size, info.mtime = entry.size, self._seconds
        return info.tobuf(tarfile.PAX_FORMAT)

    def packed(self, size: int) -> int:
        return size

    def aligned(self, packed: int, size: int) -> Place:
        at = min(packed, size)
        return Place(at, at)

    def packer(self, place: Place) -> Packer:  # noqa: ARG002 - every place is like another
        return _AsItIs()

    def trailer(self, entry: Entry, crc: int) -> bytes:  # noqa: ARG002 - a tar has no checksums
        return bytes(-entry.size % tarfile.BLOCKSIZE)

    def trailer_length(self, entry: Entry) -> int:
        return -entry.size % tarfile.BLOCKSIZE

    def record(self, entry: Entry, offset: int, crc: int) -> bytes:  # noqa: ARG002 - no directory
        return b""

    def record_length(self, entry: Entry, offset: int) -> int:  # noqa: ARG002 - no directory
        return 0

    def end(self, entries: int, directory: int, length: int) -> bytes:  # noqa: ARG002 - as above
        closed = directory + 2 * tarfile.BLOCKSIZE
        return bytes(2 * tarfile.BLOCKSIZE + -closed % tarfile.RECORDSIZE)


class _AsItIs:
    def pack(self, pieces: Iterable[bytes]) -> Sequence[Buffer]:
        return list(pieces)

    def flush(self) -> bytes:
        return b""


LAYOUTS: Final[dict[ArchiveFormat, Callable[[datetime], Layout]]] = {
    ArchiveFormat.ZIP: ZipLayout,
    ArchiveFormat.TAR: TarLayout,
}
