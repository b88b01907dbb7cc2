"""Writes the zip format front to back, one entry after the other.

The libraries that stream zips keep one object per entry until the end (hundreds of megabytes for a million
files), or pass every chunk through threads. Here the central directory moves to a temporary file once it
exceeds a limit.

Every entry is deflated, even if it doesn't shrink: streaming readers, Java's among them, accept a data
descriptor only after a deflated entry. What doesn't shrink becomes stored blocks (faces.md R-2). The name is
UTF-8, and sizes and CRC follow the content. Java 17 expects 64-bit sizes exactly after an entry of more than
4 GiB, and 32-bit sizes after all others (faces.md R-4).
"""

import struct
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Final, Protocol, Self

from isal import isal_zlib

from rs_order.downloads.zip_records import (
    MAX_16,
    MAX_32,
    DosTime,
    central_record,
    descriptor,
    end_records,
    local_header,
)

PIECE: Final = 64 * 1024
"""Bytes of a piece of the archive, at least."""
DIRECTORY_IN_MEMORY: Final = 4 * 2**20
"""Bytes of central directory kept in memory; the rest is on disk (about 100 per entry)."""

NO_COMPRESSION: Final = 0

_BLOCK: Final = MAX_16
"""Bytes of a stored block of deflate, at most; its head takes 5 more."""
_MAY_GROW_TOO_LARGE: Final = 4_290_000_000
"""Bytes from which on a compressed entry could become larger than 32 bits count. zlib adds 1/4096 at most."""
_BLOCK_HEAD: Final = struct.Struct("<BHH")
_FULL_BLOCK: Final = _BLOCK_HEAD.pack(0, _BLOCK, 0)
_EMPTY_BLOCK: Final = _BLOCK_HEAD.pack(0, 0, MAX_16)
_LAST_EMPTY_BLOCK: Final = _BLOCK_HEAD.pack(1, 0, MAX_16)
_FILLING: Final = 2 * _BLOCK_HEAD.size
"""Bytes by which ``fill`` makes an entry of stored blocks longer, at most."""


Buffer = bytes | memoryview


class _Deflate(Protocol):
    """A compressor, such as that of ``zlib.compressobj``."""

    def compress(self, data: bytes, /) -> bytes: ...

    def flush(self, mode: int = zlib.Z_FINISH, /) -> bytes: ...


class StoredBlocks:
    """Wraps data as a deflated entry without compressing it; its length is known before (faces.md R-3)."""

    def __init__(self, packed: int = 0) -> None:
        """``packed``: the length of the blocks before, which aren't produced."""
        self._pending: list[Buffer] = []
        self._pending_bytes = 0
        self._packed = packed

    def compress(self, data: bytes, /) -> bytes:
        """Return the blocks that are complete; at least one byte is kept for the last one."""
        return b"".join(self.pack([data]))

    def pack(self, pieces: Iterable[bytes]) -> Sequence[Buffer]:
        """Return the blocks that are complete, like ``compress``, in parts that aren't copied."""
        blocks: list[Buffer] = []
        for piece in pieces:
            rest = memoryview(piece)
            while len(rest) > (missing := _BLOCK - self._pending_bytes):
                blocks += (_FULL_BLOCK, *self._pending, rest[:missing])
                rest = rest[missing:]
                self._pending.clear()
                self._pending_bytes = 0
                self._packed += len(_FULL_BLOCK) + _BLOCK
            self._pending.append(rest)
            self._pending_bytes += len(rest)
        return blocks

    def flush(self, mode: int = zlib.Z_FINISH, /) -> bytes:
        """Return the rest; after ``Z_SYNC_FLUSH`` more may follow, and the length exceeds that of R-3."""
        length = self._pending_bytes
        block = b"".join((_BLOCK_HEAD.pack(0, length, length ^ MAX_16), *self._pending))
        self._pending.clear()
        self._pending_bytes = 0
        if mode == zlib.Z_SYNC_FLUSH:
            self._packed += len(block)
            return block
        if self._packed + len(block) == MAX_32:
            # This size marks a 64-bit one, so one more block makes it different.
            return block + _LAST_EMPTY_BLOCK
        return b"\1" + block[1:]


def packed_size(size: int) -> int:
    """Return the length of so many bytes in stored blocks (faces.md R-3)."""
    packed = size + 5 * max(1, -(-size // _BLOCK))
    return packed + 5 if packed == MAX_32 else packed


def block_at(packed: int, size: int) -> tuple[int, int]:
    """Return where the stored block that holds a byte begins, in a file of this size and among its blocks."""
    last = max(0, size - 1) // _BLOCK
    number = min(packed // (_BLOCK + _BLOCK_HEAD.size), last)
    return number * _BLOCK, number * (_BLOCK + _BLOCK_HEAD.size)


@dataclass(slots=True)
class _Entry:
    name: bytes
    offset: int
    zip64: bool
    """True if the local header announces sizes of 64 bits."""
    deflate: _Deflate
    comment: bytes = b""
    room: int = MAX_32
    """Bytes that may fill the entry before its size takes more bits than announced."""
    crc: int = 0
    size: int = 0
    compressed: int = 0

    @property
    def large(self) -> bool:
        """True if its sizes take 64 bits, or were announced so."""
        return self.zip64 or max(self.size, self.compressed) > MAX_32


class ZipStream:
    """Produces a zip archive; the pieces it yields, in order, are the archive.

    Begin an entry, add to it, end it; take the pieces at any time; finish once.
    """

    def __init__(
        self, modified: datetime, *, offset: int = 0, directory_in_memory: int = DIRECTORY_IN_MEMORY
    ) -> None:
        """Begin an archive.

        Args:
            modified: the time of every entry.
            offset: bytes before the archive in its file.
            directory_in_memory: bytes of central directory kept in memory; the rest is on disk.
        """
        self._time = DosTime.of(modified)
        self._directory = tempfile.SpooledTemporaryFile(  # noqa: SIM115 - closed by __exit__
            max_size=directory_in_memory
        )
        self._out = bytearray()
        self._written = offset
        self._entries = 0
        self._entry: _Entry | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._directory.close()

    @property
    def entry_is_open(self) -> bool:
        return self._entry is not None

    def begin(self, name: str, *, size: int | None, level: int, comment: str = "") -> None:
        """Start an entry.

        Args:
            name: unique in the archive, at most 65,535 bytes of UTF-8.
            size: the bytes it will have, or None if that is unknown.
            level: the zlib level, from 0 (no compression) to 9. An entry so large that its compressed size
                might need 64 bits, and its size not, isn't compressed.
            comment: a text about the entry, which tools can show.
        """
        if size is not None and _MAY_GROW_TOO_LARGE < size <= MAX_32:
            level = NO_COMPRESSION
        entry = self._entry = _Entry(
            name=name.encode(),
            offset=self._written,
            zip64=size is not None and _needs_64_bits(size, level),
            deflate=_deflate(level),
            comment=comment.encode(errors="replace")[:MAX_16],
            room=_room(size, level),
        )
        self._write(local_header(entry.name, self._time, large=entry.zip64))

    def add(self, data: bytes) -> None:
        """Append to the open entry."""
        entry = self._open_entry()
        entry.crc = isal_zlib.crc32(data, entry.crc)
        entry.size += len(data)
        self._write_compressed(entry, entry.deflate.compress(data))

    def fill(self) -> None:
        """Write all of the open entry so far, and an empty block, so that there are bytes to send."""
        entry = self._open_entry()
        if entry.room >= _FILLING:
            entry.room -= _FILLING
            self._write_compressed(entry, entry.deflate.flush(zlib.Z_SYNC_FLUSH) + _EMPTY_BLOCK)

    def end(self) -> None:
        """Close the open entry."""
        entry = self._open_entry()
        self._write_compressed(entry, entry.deflate.flush())
        self._write(descriptor(entry.crc, entry.compressed, entry.size, large=entry.large))
        self._directory.write(self._record_of(entry))
        self._entries += 1
        self._entry = None

    def pieces(self) -> Iterator[bytes]:
        """Yield the bytes produced so far if they make a piece."""
        if len(self._out) >= PIECE:
            yield self._take()

    def flush(self) -> Iterator[bytes]:
        """Yield the bytes produced so far, if there are any."""
        if self._out:
            yield self._take()

    def finish(self) -> Iterator[bytes]:
        """Yield the rest of the archive, with its central directory."""
        offset = self._written
        self._directory.seek(0)
        while records := self._directory.read(PIECE):
            self._write(records)
            yield from self.pieces()
        self._write(end_records(self._entries, offset, self._written - offset))
        yield self._take()

    def _open_entry(self) -> _Entry:
        if self._entry is None:
            raise RuntimeError("no entry of the zip is open")
        return self._entry

    def _write(self, data: bytes) -> None:
        self._out += data
        self._written += len(data)

    def _write_compressed(self, entry: _Entry, data: bytes) -> None:
        entry.compressed += len(data)
        self._write(data)

    def _take(self) -> bytes:
        piece = bytes(self._out)
        self._out.clear()
        return piece

    def _record_of(self, entry: _Entry) -> bytes:
        return central_record(
            entry.name,
            self._time,
            crc=entry.crc,
            packed=entry.compressed,
            size=entry.size,
            offset=entry.offset,
            large=entry.large,
            comment=entry.comment,
        )


def _deflate(level: int) -> _Deflate:
    if level == NO_COMPRESSION:
        return StoredBlocks()
    return zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)


def _room(size: int | None, level: int) -> int:
    """Return the bytes that may fill an entry of this size: few if it is stored and just below 4 GiB."""
    if size is None or level != NO_COMPRESSION or packed_size(size) > MAX_32:
        return MAX_32
    return MAX_32 - 1 - packed_size(size)


def _needs_64_bits(size: int, level: int) -> bool:
    """True if an entry of exactly this size has a size, or a compressed size, of more than 32 bits."""
    return (packed_size(size) if level == NO_COMPRESSION else size) > MAX_32
