"""Archives of the files of an order: what is in them, and where."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, NewType

from rs_order.domain.ids import DataFileId, OrderId, SubOrderId

ArchiveId = NewType("ArchiveId", int)

NOTICE_ID: Final = DataFileId(0)
"""The file id of ``NOTICE.txt``, which is no file of the order."""


class ArchiveFormat(StrEnum):
    ZIP = "zip"
    TAR = "tar"


class ArchiveState(StrEnum):
    MAKING = "MAKING"
    """Steps still place its files. It has no length yet."""
    OPEN = "OPEN"
    """It can be downloaded, whole or in parts."""
    SUPERSEDED = "SUPERSEDED"
    """A file in it turned out to be another than the catalog says, so it can't be downloaded any more."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which files of an order an archive is made of: those of some sub-orders, and some by themselves."""

    sub_orders: Sequence[SubOrderId] | None = None
    files: Sequence[DataFileId] | None = None
    """If neither is given, it is made of all."""
    delivered: bool = False
    """Also those of all files that were delivered before."""


ALL_FILES: Final = Selection()
WHOLE_ORDER: Final = Selection(delivered=True)


@dataclass(frozen=True, slots=True)
class Failed:
    """A file that had failed when the archive was made, so it isn't in it."""

    name: str
    code: str | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class NoticePage:
    """Lines of ``NOTICE.txt`` that follow each other, and the files that they name as failed."""

    lines: bytes
    failed: Sequence[Failed] = ()


@dataclass(frozen=True, slots=True)
class Archive:
    """A fixed list of files, so that the bytes of the archive never change."""

    id: ArchiveId
    order_id: OrderId
    owner: str
    """Owner of the order."""
    format: ArchiveFormat
    created_at: datetime
    """The time of all its entries."""
    state: ArchiveState
    length: int
    """Bytes of the archive."""
    directory: int
    """Where its directory begins: behind the last entry."""
    entries: int
    files: int
    """Files that are DOWNLOADED with it: those of the entries, and their copies."""
    bytes: int
    """Bytes of the files in the entries."""
    tag: str
    """Equal for archives with equal bytes."""
    order_files: int | None
    """Files of the order when it was made; None: not known."""
    missing: int
    """Files that had failed before, so they aren't in it."""
    notice_crc: int | None
    """CRC-32 of ``NOTICE.txt``; None: there is none."""
    sent: int
    """Bytes of it that were sent so far."""
    successor: ArchiveId | None = None
    """The archive that was made instead, once this one is superseded; None: nothing is left to download."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A file in an archive."""

    file_id: DataFileId
    name: str
    size: int

    @property
    def is_notice(self) -> bool:
        return self.file_id == NOTICE_ID


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A place in a file, and the CRC-32 of the bytes before it, as they were read for an archive."""

    position: int
    crc32: int


FIRST_BYTE: Final = Checkpoint(0, 0)


@dataclass(frozen=True, slots=True)
class Page:
    """Entries of an archive that follow each other."""

    number: int
    """From 0."""
    start: int
    """Where its first entry begins."""
    record_start: int
    """Where its first record begins in the directory, from the beginning of that."""
    entries: Sequence[Entry]
    copies: Sequence[DataFileId] = ()
    """Files of the same name and content as one in an entry, which are in the archive only once."""
