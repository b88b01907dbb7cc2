"""The records of the zip format."""

import struct
from dataclasses import dataclass
from datetime import datetime
from typing import Final

MAX_16: Final = 0xFFFF
MAX_32: Final = 0xFFFFFFFF

_DEFLATED: Final = 8
_FLAGS: Final = 1 << 3 | 1 << 11
"""Sizes follow the data; the name is UTF-8."""
_PLAIN_VERSION: Final = 20
_ZIP64_VERSION: Final = 45
_MADE_BY: Final = 3 << 8 | _ZIP64_VERSION
"""Unix, so that the permissions below count."""
_ATTRIBUTES: Final = 0o100644 << 16
"""A regular file that all users may read."""

_LOCAL: Final = struct.Struct("<4sHHHHHLLLHH")
_DESCRIPTOR: Final = struct.Struct("<4sLLL")
_DESCRIPTOR_64: Final = struct.Struct("<4sLQQ")
_CENTRAL: Final = struct.Struct("<4sHHHHHHLLLHHHHHLL")
_END: Final = struct.Struct("<4sHHHHLLH")
_END_64: Final = struct.Struct("<4sQHHLLQQQQ")
_END_64_LOCATOR: Final = struct.Struct("<4sLQL")


@dataclass(frozen=True, slots=True)
class DosTime:
    """Date and time as a zip stores them: 16 bits each, to 2 seconds, from 1980 on."""

    date: int
    time: int

    @classmethod
    def of(cls, moment: datetime) -> "DosTime":
        return cls(
            (moment.year - 1980) << 9 | moment.month << 5 | moment.day,
            moment.hour << 11 | moment.minute << 5 | moment.second // 2,
        )


def local_header(name: bytes, modified: DosTime, *, large: bool) -> bytes:
    """Return what is before the content of an entry; ``large``: its sizes take 64 bits."""
    extra = struct.pack("<HHQQ", 1, 16, 0, 0) if large else b""
    sizes = MAX_32 if large else 0
    header = _LOCAL.pack(
        b"PK\3\4",
        _ZIP64_VERSION if large else _PLAIN_VERSION,
        _FLAGS,
        _DEFLATED,
        modified.time,
        modified.date,
        0,
        sizes,
        sizes,
        len(name),
        len(extra),
    )
    return header + name + extra


def descriptor(crc: int, packed: int, size: int, *, large: bool) -> bytes:
    """Return what follows the content of an entry."""
    return (_DESCRIPTOR_64 if large else _DESCRIPTOR).pack(b"PK\7\10", crc, packed, size)


def central_record(
    name: bytes,
    modified: DosTime,
    *,
    crc: int,
    packed: int,
    size: int,
    offset: int,
    large: bool,
    comment: bytes = b"",
) -> bytes:
    """Return what the directory has of an entry that begins at ``offset``."""
    far = offset >= MAX_32
    numbers = [size, packed] if large else []
    if far:
        numbers.append(offset)
    extra = struct.pack(f"<HH{len(numbers)}Q", 1, 8 * len(numbers), *numbers) if numbers else b""
    header = _CENTRAL.pack(
        b"PK\1\2",
        _MADE_BY,
        _ZIP64_VERSION if numbers else _PLAIN_VERSION,
        _FLAGS,
        _DEFLATED,
        modified.time,
        modified.date,
        crc,
        MAX_32 if large else packed,
        MAX_32 if large else size,
        len(name),
        len(extra),
        len(comment),
        0,
        0,
        _ATTRIBUTES,
        MAX_32 if far else offset,
    )
    return header + name + extra + comment


def end_records(entries: int, directory: int, length: int) -> bytes:
    """Return what follows a directory of so many entries, that begins at ``directory``."""
    end = _END.pack(
        b"PK\5\6",
        0,
        0,
        min(entries, MAX_16),
        min(entries, MAX_16),
        min(length, MAX_32),
        min(directory, MAX_32),
        0,
    )
    if entries < MAX_16 and directory < MAX_32 and length < MAX_32:
        return end
    end_64 = _END_64.pack(
        b"PK\6\6",
        _END_64.size - 12,
        _MADE_BY,
        _ZIP64_VERSION,
        0,
        0,
        entries,
        entries,
        length,
        directory,
    )
    return end_64 + _END_64_LOCATOR.pack(b"PK\6\7", 0, directory + length, 1) + end
