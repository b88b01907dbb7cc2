"""Makes archives: fixes which files each holds, and where they stand (faces.md R-8 to R-10)."""

import base64
import hashlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import orjson

from rs_order.domain.archives import ArchiveFormat, ArchiveId, Entry, Page
from rs_order.domain.ids import DataFileId, OrderId, Tenant
from rs_order.downloads.archive_layout import LAYOUTS, Layout, entry_length
from rs_order.downloads.entry_names import EntryNames
from rs_order.ports import Clock, Downloads, FileToDownload
from rs_order.store.archives import Archives, NewArchive

MOST_FILES: Final = 100_000
"""Files of an archive. It is made while its client waits: so many take a few seconds."""
PAGE: Final = 1000
"""Entries of a page, at most: what is read to find a byte of the archive."""
_VERSION: Final = {ArchiveFormat.ZIP: "z1", ArchiveFormat.TAR: "t1"}
"""The layouts. Another one has other bytes for the same files, so it has another name."""


class NothingAvailable(Exception):
    """The order has no file that can be downloaded now."""

    code = "nothing-available"


class CannotBeArchived(Exception):
    """The length of the archive can't be known before its bytes; the text names the reason."""

    code = "cannot-be-archived"


class MakeArchives:
    """Makes archives of the files that are available."""

    def __init__(self, downloads: Downloads, archives: Archives, clock: Clock) -> None:
        self._downloads = downloads
        self._archives = archives
        self._clock = clock

    async def make(self, tenant: Tenant, order_id: OrderId, kind: ArchiveFormat) -> ArchiveId:
        """Make an archive of the files that are available now, and return its id.

        If there is one with exactly these files, it is returned: a download of it goes on where it was.

        Raises:
            NothingAvailable: there is none.
            CannotBeArchived: there are too many, or the size or checksum of one isn't known.
        """
        now = self._clock.now()
        plan = _Plan(LAYOUTS[kind](now))
        names = EntryNames(await self._downloads.repeated_names(tenant, order_id))
        async for files in self._available(tenant, order_id):
            plan.add(files, names)
        if not plan.pages:
            raise NothingAvailable(f"Order {order_id} has no file that can be downloaded now.")
        content = plan.content()
        same = await self._archives.with_content(tenant, order_id, kind, content)
        if same is not None:
            return same
        return await self._archives.create(
            tenant,
            NewArchive(
                order_id=order_id,
                format=kind,
                created_at=now,
                length=plan.length,
                directory=plan.position,
                entries=plan.entries,
                files=plan.files,
                bytes=plan.bytes,
                content=content,
                tag=f'"{_VERSION[kind]}-{content}-{int(now.timestamp())}"',
                pages=plan.pages,
            ),
        )

    async def _available(
        self, tenant: Tenant, order_id: OrderId
    ) -> AsyncIterator[Sequence[FileToDownload]]:
        after: DataFileId | None = DataFileId(0)
        read = 0
        while after is not None:
            files = await self._downloads.available_files(tenant, order_id, after=after, limit=PAGE)
            read += len(files)
            if read > MOST_FILES:
                raise CannotBeArchived(
                    f"Order {order_id} has more than {MOST_FILES} available files."
                )
            if files:
                yield files
            after = files[-1].id if len(files) == PAGE else None


@dataclass
class _Plan:
    """The pages of an archive that is being made."""

    layout: Layout
    pages: list[Page] = field(default_factory=list)
    position: int = 0
    """Bytes of all entries so far."""
    records: int = 0
    """Bytes of their records in the directory."""
    entries: int = 0
    files: int = 0
    bytes: int = 0

    def __post_init__(self) -> None:
        self._digest = hashlib.sha256()

    def add(self, files: Sequence[FileToDownload], names: EntryNames) -> None:
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
            if names.has_copy(file):
                copies.append(file.id)
                continue
            entry = Entry(file.id, names.choose(file), file.size)
            names.stored(file)
            entries.append(entry)
            self._count(entry, file)
        self.files += len(files)
        if entries:
            self.pages.append(page)
        else:
            self.pages[-1] = replace(self.pages[-1], copies=[*self.pages[-1].copies, *copies])

    def _count(self, entry: Entry, file: FileToDownload) -> None:
        self.records += self.layout.record_length(entry, self.position)
        self.position += entry_length(self.layout, entry)
        self.entries += 1
        self.bytes += entry.size
        self._digest.update(orjson.dumps([entry.file_id, entry.name, entry.size, file.checksum]))

    @property
    def length(self) -> int:
        end = self.layout.end(self.entries, self.position, self.records)
        return self.position + self.records + len(end)

    def content(self) -> str:
        """Return a name of the entries: archives with equal ones have the same."""
        return base64.b32encode(self._digest.digest()).decode().rstrip("=").lower()
