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
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Final, Protocol, Self

PIECE: Final = 64 * 1024
"""Bytes of a piece of the archive, at least."""
DIRECTORY_IN_MEMORY: Final = 4 * 2**20
"""Bytes of central directory kept in memory; the rest is on disk (about 100 per entry)."""

NO_COMPRESSION: Final = 0

_MAX_16: Final = 0xFFFF
_MAX_32: Final = 0xFFFFFFFF
_BLOCK: Final = _MAX_16
"""Bytes of a stored block of deflate, at most; its head takes 5 more."""
_MAY_GROW_TOO_LARGE: Final = 4_290_000_000
"""Bytes from which on a compressed entry could become larger than 32 bits count. zlib adds 1/4096 at most."""
_DEFLATED: Final = 8
_FLAGS: Final = 1 << 3 | 1 << 11
"""Sizes follow the data; the name is UTF-8."""
_PLAIN_VERSION: Final = 20
_ZIP64_VERSION: Final = 45
_MADE_BY: Final = 3 << 8 | _ZIP64_VERSION
"""Unix, so that the permissions below count."""
_ATTRIBUTES: Final = 0o100644 << 16
"""A regular file that all users may read."""

_BLOCK_HEAD: Final = struct.Struct("<BHH")
_FULL_BLOCK: Final = _BLOCK_HEAD.pack(0, _BLOCK, 0)
_EMPTY_BLOCK: Final = _BLOCK_HEAD.pack(0, 0, _MAX_16)
_LAST_EMPTY_BLOCK: Final = _BLOCK_HEAD.pack(1, 0, _MAX_16)
_FILLING: Final = 2 * _BLOCK_HEAD.size
"""Bytes by which ``fill`` makes an entry of stored blocks longer, at most."""
_LOCAL: Final = struct.Struct("<4sHHHHHLLLHH")
_DESCRIPTOR: Final = struct.Struct("<4sLLL")
_DESCRIPTOR_64: Final = struct.Struct("<4sLQQ")
_CENTRAL: Final = struct.Struct("<4sHHHHHHLLLHHHHHLL")
_END: Final = struct.Struct("<4sHHHHLLH")
_END_64: Final = struct.Struct("<4sQHHLLQQQQ")
_END_64_LOCATOR: Final = struct.Struct("<4sLQL")


class _Deflate(Protocol):
    """A compressor, such as that of ``zlib.compressobj``."""

    def compress(self, data: bytes, /) -> bytes: ...

    def flush(self, mode: int = zlib.Z_FINISH, /) -> bytes: ...


class StoredBlocks:
    """Wraps data as a deflated entry without compressing it; its length is known before (faces.md R-3)."""

    def __init__(self) -> None:
        self._pending = bytearray()
        self._packed = 0

    def compress(self, data: bytes, /) -> bytes:
        """Return the blocks that are complete; at least one byte is kept for the last one."""
        self._pending += data
        complete = max(0, len(self._pending) - 1) // _BLOCK
        if not complete:
            return b""
        with memoryview(self._pending) as view:
            blocks = b"".join(
                part
                for start in range(0, complete * _BLOCK, _BLOCK)
                for part in (_FULL_BLOCK, view[start : start + _BLOCK])
            )
        del self._pending[: complete * _BLOCK]
        self._packed += len(blocks)
        return blocks

    def flush(self, mode: int = zlib.Z_FINISH, /) -> bytes:
        """Return the rest; after ``Z_SYNC_FLUSH`` more may follow, and the length exceeds that of R-3."""
        length = len(self._pending)
        block = _BLOCK_HEAD.pack(0, length, length ^ _MAX_16) + self._pending
        self._pending.clear()
        if mode == zlib.Z_SYNC_FLUSH:
            self._packed += len(block)
            return block
        if self._packed + len(block) == _MAX_32:
            # This size marks a 64-bit one, so one more block makes it different.
            return block + _LAST_EMPTY_BLOCK
        return b"\1" + block[1:]


def packed_size(size: int) -> int:
    """Return the length of so many bytes in stored blocks (faces.md R-3)."""
    packed = size + 5 * max(1, -(-size // _BLOCK))
    return packed + 5 if packed == _MAX_32 else packed


@dataclass(slots=True)
class _Entry:
    name: bytes
    offset: int
    zip64: bool
    """True if the local header announces sizes of 64 bits."""
    deflate: _Deflate
    comment: bytes = b""
    room: int = _MAX_32
    """Bytes that may fill the entry before its size takes more bits than announced."""
    crc: int = 0
    size: int = 0
    compressed: int = 0

    @property
    def large(self) -> bool:
        """True if its sizes take 64 bits, or were announced so."""
        return self.zip64 or max(self.size, self.compressed) > _MAX_32


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
        self._date, self._time = _dos_date_and_time(modified)
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
        if size is not None and _MAY_GROW_TOO_LARGE < size <= _MAX_32:
            level = NO_COMPRESSION
        entry = self._entry = _Entry(
            name=name.encode(),
            offset=self._written,
            zip64=size is not None and _needs_64_bits(size, level),
            deflate=_deflate(level),
            comment=comment.encode(errors="replace")[:_MAX_16],
            room=_room(size, level),
        )
        extra = struct.pack("<HHQQ", 1, 16, 0, 0) if entry.zip64 else b""
        sizes = _MAX_32 if entry.zip64 else 0
        self._write(
            _LOCAL.pack(
                b"PK\3\4",
                _ZIP64_VERSION if entry.zip64 else _PLAIN_VERSION,
                _FLAGS,
                _DEFLATED,
                self._time,
                self._date,
                0,
                sizes,
                sizes,
                len(entry.name),
                len(extra),
            )
        )
        self._write(entry.name)
        self._write(extra)

    def add(self, data: bytes) -> None:
        """Append to the open entry."""
        entry = self._open_entry()
        entry.crc = zlib.crc32(data, entry.crc)
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
        descriptor = _DESCRIPTOR_64 if entry.large else _DESCRIPTOR
        self._write(descriptor.pack(b"PK\7\10", entry.crc, entry.compressed, entry.size))
        self._directory.write(self._central_record(entry))
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
        self._write_end(offset, self._written - offset)
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

    def _central_record(self, entry: _Entry) -> bytes:
        far = entry.offset >= _MAX_32
        large = [entry.size, entry.compressed] if entry.large else []
        if far:
            large.append(entry.offset)
        extra = struct.pack(f"<HH{len(large)}Q", 1, 8 * len(large), *large) if large else b""
        header = _CENTRAL.pack(
            b"PK\1\2",
            _MADE_BY,
            _ZIP64_VERSION if large else _PLAIN_VERSION,
            _FLAGS,
            _DEFLATED,
            self._time,
            self._date,
            entry.crc,
            _MAX_32 if entry.large else entry.compressed,
            _MAX_32 if entry.large else entry.size,
            len(entry.name),
            len(extra),
            len(entry.comment),
            0,
            0,
            _ATTRIBUTES,
            _MAX_32 if far else entry.offset,
        )
        return header + entry.name + extra + entry.comment

    def _write_end(self, offset: int, size: int) -> None:
        if self._entries >= _MAX_16 or offset >= _MAX_32 or size >= _MAX_32:
            self._write_end_64(offset, size)
        entries = min(self._entries, _MAX_16)
        self._write(
            _END.pack(
                b"PK\5\6", 0, 0, entries, entries, min(size, _MAX_32), min(offset, _MAX_32), 0
            )
        )

    def _write_end_64(self, offset: int, size: int) -> None:
        end = self._written
        self._write(
            _END_64.pack(
                b"PK\6\6",
                _END_64.size - 12,
                _MADE_BY,
                _ZIP64_VERSION,
                0,
                0,
                self._entries,
                self._entries,
                size,
                offset,
            )
        )
        self._write(_END_64_LOCATOR.pack(b"PK\6\7", 0, end, 1))


def _deflate(level: int) -> _Deflate:
    if level == NO_COMPRESSION:
        return StoredBlocks()
    return zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)


def _room(size: int | None, level: int) -> int:
    """Return the bytes that may fill an entry of this size: few if it is stored and just below 4 GiB."""
    if size is None or level != NO_COMPRESSION or packed_size(size) > _MAX_32:
        return _MAX_32
    return _MAX_32 - 1 - packed_size(size)


def _needs_64_bits(size: int, level: int) -> bool:
    """True if an entry of exactly this size has a size, or a compressed size, of more than 32 bits."""
    return (packed_size(size) if level == NO_COMPRESSION else size) > _MAX_32


def _dos_date_and_time(moment: datetime) -> tuple[int, int]:
    """Return date and time as a zip stores them: 16 bits each, to 2 seconds, from 1980 on."""
    date = (moment.year - 1980) << 9 | moment.month << 5 | moment.day
    time = moment.hour << 11 | moment.minute << 5 | moment.second // 2
    return date, time
