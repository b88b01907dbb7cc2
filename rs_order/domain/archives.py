"""Archives of the files of an order: what is in them, and where."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NewType

from rs_order.domain.ids import DataFileId, OrderId

ArchiveId = NewType("ArchiveId", int)


class ArchiveFormat(StrEnum):
    ZIP = "zip"
    TAR = "tar"


class ArchiveState(StrEnum):
    OPEN = "OPEN"
    """It can be downloaded, whole or in parts."""
    SUPERSEDED = "SUPERSEDED"
    """A file in it turned out to be another than the catalog says, so it can't be downloaded any more."""


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


@dataclass(frozen=True, slots=True)
class Entry:
    """A file in an archive."""

    file_id: DataFileId
    name: str
    size: int


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
