"""Fixes what is in an archive, and where: files by ascending id, then ``NOTICE.txt`` (faces.md R-1, R-11)."""

import base64
import hashlib
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Self

import orjson

from rs_order.domain.archives import NOTICE_ID, Entry, Failed, NoticePage, Page
from rs_order.domain.ids import DataFileId
from rs_order.downloads.archive_layout import Layout, entry_length
from rs_order.downloads.checksums import why_unverifiable
from rs_order.downloads.entry_names import NOTICE, EntryNames
from rs_order.downloads.notice_lines import failed_line, unverifiable_line
from rs_order.ports import FileToDownload
from rs_order.store.archives_at_work import AtWork, Growth

_NO_REASON: Final = "it isn't available"


class CannotBeArchived(Exception):
    """The length of the archive can't be known before its bytes; the text names the reason."""

    code = "cannot-be-archived"


@dataclass
class ArchivePlan:
    """The next pages of an archive that is being made, and what it has with them."""

    layout: Layout
    names: EntryNames
    first_page: int = 0
    """The number of the first of these pages."""
    position: int = 0
    """Bytes of all entries so far."""
    records: int = 0
    """Bytes of their records in the directory."""
    entries: int = 0
    files: int = 0
    content_bytes: int = 0
    """Bytes of the files in the entries."""
    content: str = ""
    """Names the files in it: archives with equal files have the same, whatever was noted."""
    missing: int = 0
    notice_bytes: int = 0
    notice_crc: int | None = None
    pages: list[Page] = field(default_factory=list)
    notice: list[NoticePage] = field(default_factory=list)

    @classmethod
    def after(cls, layout: Layout, names: EntryNames, made: AtWork) -> Self:
        """Return a plan of what follows the pages that are stored; ``names`` has their names."""
        growth = made.growth
        return cls(
            layout,
            names,
            first_page=made.pages,
            position=growth.directory,
            records=_records_of(layout, growth.pages),
            entries=growth.entries,
            files=growth.files,
            content_bytes=growth.bytes,
            content=growth.content,
            missing=growth.missing,
            notice_bytes=made.notice_bytes,
            notice_crc=growth.notice_crc,
        )

    def add(self, files: Sequence[FileToDownload]) -> None:
        """Add a page with the next files.

        Raises:
            CannotBeArchived: nothing says how long a file is, or which bytes it has.
        """
        page = self._next_page(entries := [], copies := [])
        described = []
        for file in files:
            if file.size is None or file.checksum is None:
                raise CannotBeArchived(
                    f"The catalog has no size or no checksum of {file.name or file.url}."
                )
            if self.names.has_copy(file):
                copies.append(file.id)
                continue
            entry = Entry(file.id, self.names.choose(file), file.size)
            self.names.stored(file)
            entries.append(entry)
            self._place(entry)
            self.content_bytes += entry.size
            described.append([entry.file_id, entry.name, entry.size, file.checksum])
        self.files += len(files)
        if entries or not self.pages:
            self.pages.append(page)
        else:
            self.pages[-1] = replace(self.pages[-1], copies=[*self.pages[-1].copies, *copies])
        self.content = _digest(self.content, described)
        doubts = [(file.name, why_unverifiable(file)) for file in files]
        self._note([unverifiable_line(name, reason) for name, reason in doubts if reason])

    def add_failed(self, failed: Sequence[Failed]) -> None:
        """Name files in the notice that aren't in the archive."""
        self.missing += len(failed)
        lines = [failed_line(one.name, one.reason or one.code or _NO_REASON) for one in failed]
        self._note(lines, failed)

    def end(self) -> None:
        """Put the notice behind the files, if it has a line."""
        if self.notice_crc is None:
            return
        entry = Entry(NOTICE_ID, NOTICE, self.notice_bytes)
        if not self.pages:
            self.pages.append(self._next_page([], []))
        self._place(entry)
        self.pages[-1] = replace(self.pages[-1], entries=[*self.pages[-1].entries, entry])

    @property
    def length(self) -> int:
        end = self.layout.end(self.entries, self.position, self.records)
        return self.position + self.records + len(end)

    @property
    def growth(self) -> Growth:
        """Return the archive as it is with the pages of the plan."""
        return Growth(
            directory=self.position,
            entries=self.entries,
            files=self.files,
            bytes=self.content_bytes,
            content=self.content,
            missing=self.missing,
            notice_crc=self.notice_crc,
            pages=self.pages,
            notice=self.notice,
        )

    def _next_page(self, entries: list[Entry], copies: list[DataFileId]) -> Page:
        number = self.first_page + len(self.pages)
        return Page(number, self.position, self.records, entries, copies)

    def _place(self, entry: Entry) -> None:
        self.records += self.layout.record_length(entry, self.position)
        self.position += entry_length(self.layout, entry)
        self.entries += 1

    def _note(self, lines: Sequence[bytes], failed: Sequence[Failed] = ()) -> None:
        if not lines:
            return
        text = b"\n".join(lines)
        if self.notice_bytes:
            text = b"\n" + text
        self.notice.append(NoticePage(text, failed))
        self.notice_bytes += len(text)
        self.notice_crc = zlib.crc32(text, self.notice_crc or 0)


def _records_of(layout: Layout, pages: Sequence[Page]) -> int:
    """Return the bytes of the records up to the last of some pages."""
    if not pages:
        return 0
    position, length = pages[-1].start, pages[-1].record_start
    for entry in pages[-1].entries:
        length += layout.record_length(entry, position)
        position += entry_length(layout, entry)
    return length


def _digest(before: str, described: Sequence[object]) -> str:
    """Return the name of a content to which these entries are added."""
    if not described:
        return before
    digest = hashlib.sha256(before.encode() + orjson.dumps(described)).digest()
    return base64.b32encode(digest).decode().rstrip("=").lower()
