"""Fixes what is in an archive, and where: files by ascending id, then ``NOTICE.txt`` (faces.md R-1, R-11)."""

import base64
import hashlib
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import orjson

from rs_order.domain.archives import NOTICE_ID, Entry, Failed, NoticePage, Page
from rs_order.downloads.archive_layout import Layout, entry_length
from rs_order.downloads.checksums import why_unverifiable
from rs_order.downloads.entry_names import NOTICE, EntryNames
from rs_order.downloads.notice_lines import failed_line, unverifiable_line
from rs_order.ports import FileToDownload

_NO_REASON: Final = "it isn't available"


class CannotBeArchived(Exception):
    """The length of the archive can't be known before its bytes; the text names the reason."""

    code = "cannot-be-archived"


@dataclass
class ArchivePlan:
    """The pages of an archive that is being made."""

    layout: Layout
    names: EntryNames
    pages: list[Page] = field(default_factory=list)
    notice: list[NoticePage] = field(default_factory=list)
    position: int = 0
    """Bytes of all entries so far."""
    records: int = 0
    """Bytes of their records in the directory."""
    entries: int = 0
    files: int = 0
    content_bytes: int = 0
    """Bytes of the files in the entries."""
    missing: int = 0
    notice_bytes: int = 0
    notice_crc: int | None = None

    def __post_init__(self) -> None:
        self._digest = hashlib.sha256()

    def add(self, files: Sequence[FileToDownload]) -> None:
        """Add a page with the next files.

        Raises:
            CannotBeArchived: nothing says how long a file is, or which bytes it has.
        """
        page = Page(len(self.pages), self.position, self.records, entries := [], copies := [])
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
            self._digest.update(
                orjson.dumps([entry.file_id, entry.name, entry.size, file.checksum])
            )
        self.files += len(files)
        if entries:
            self.pages.append(page)
        elif copies:
            self.pages[-1] = replace(self.pages[-1], copies=[*self.pages[-1].copies, *copies])
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
        self._place(entry)
        self.pages[-1] = replace(self.pages[-1], entries=[*self.pages[-1].entries, entry])

    def _place(self, entry: Entry) -> None:
        self.records += self.layout.record_length(entry, self.position)
        self.position += entry_length(self.layout, entry)
        self.entries += 1

    def _note(self, lines: Sequence[bytes], failed: Sequence[Failed] = ()) -> None:
        if not lines:
            return
        text = b"\n".join(lines)
        if self.notice:
            text = b"\n" + text
        self.notice.append(NoticePage(text, failed))
        self.notice_bytes += len(text)
        self.notice_crc = zlib.crc32(text, self.notice_crc or 0)

    @property
    def length(self) -> int:
        end = self.layout.end(self.entries, self.position, self.records)
        return self.position + self.records + len(end)

    def content(self) -> str:
        """Return a name of the files in it: archives with equal files have the same, whatever was noted."""
        return base64.b32encode(self._digest.digest()).decode().rstrip("=").lower()
