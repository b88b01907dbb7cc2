"""Archives of many files while they are made: steps add their pages, and nobody is given them before.

Until then their length is 0 and they are SUPERSEDED, so that an earlier version doesn't deliver them either.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from rs_order.domain.archives import ArchiveFormat, ArchiveId, NoticePage, Page
from rs_order.domain.ids import OrderId
from rs_order.store.archive_rows import notice_columns, page_columns, page_of
from rs_order.store.pool import Connection, statements

SQL = statements("archives")


@dataclass(frozen=True, slots=True)
class Growth:
    """What an archive has after a step, and the pages that the step adds."""

    directory: int
    """Bytes of its entries."""
    entries: int
    files: int
    bytes: int
    content: str
    missing: int
    notice_crc: int | None
    pages: Sequence[Page]
    notice: Sequence[NoticePage]


@dataclass(frozen=True, slots=True)
class AtWork:
    """An archive that is being made."""

    id: ArchiveId
    order_id: OrderId
    format: ArchiveFormat
    created_at: datetime
    growth: Growth
    """What it has; ``pages`` is the last of its pages, and ``notice`` is empty."""
    notice_pages: int
    notice_bytes: int

    @property
    def pages(self) -> int:
        """The number of its pages."""
        return self.growth.pages[-1].number + 1 if self.growth.pages else 0


class ArchivesAtWork:
    """The archives of a tenant that are being made, in one unit of work."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def begin(
        self, order_id: OrderId, kind: ArchiveFormat, at: datetime, selection: str
    ) -> ArchiveId | None:
        """Write an archive without pages; ``selection`` names the files that it is to have.

        Returns:
            None, and nothing is written, if the order was deleted or has expired.
        """
        archive_id: int | None = await self._connection.fetchval(
            SQL["begin"], order_id, kind, at, selection
        )
        return None if archive_id is None else ArchiveId(archive_id)

    async def find(
        self, order_id: OrderId, kind: ArchiveFormat, selection: str
    ) -> ArchiveId | None:
        """Return the archive of these files that is being made."""
        found: int | None = await self._connection.fetchval(
            SQL["at_work"], order_id, kind, selection
        )
        return None if found is None else ArchiveId(found)

    async def lock(self, archive_id: ArchiveId) -> AtWork | None:
        """Lock an archive; None if it is made, or its order was deleted or has expired."""
        row = await self._connection.fetchrow(SQL["lock_at_work"], archive_id)
        if row is None:
            return None
        last = await self._connection.fetchrow(SQL["last_page"], archive_id)
        return AtWork(
            archive_id,
            OrderId(row["order_id"]),
            ArchiveFormat(row["format"]),
            row["created_at"],
            Growth(
                row["directory"],
                row["entries"],
                row["files"],
                row["bytes"],
                row["content"],
                row["missing"],
                row["notice_crc32"],
                [] if last is None else [page_of(last)],
                [],
            ),
            row["notice_pages"],
            row["notice_bytes"],
        )

    async def grow(self, archive_id: ArchiveId, growth: Growth, notice_pages: int) -> None:
        """Add pages to an archive; ``notice_pages``: those that it has already."""
        await self._connection.execute(
            SQL["grow"],
            archive_id,
            growth.directory,
            growth.entries,
            growth.files,
            growth.bytes,
            growth.content,
            growth.missing,
            growth.notice_crc,
        )
        await self._connection.executemany(
            SQL["add_page"], [(archive_id, *page_columns(page)) for page in growth.pages]
        )
        await self._connection.executemany(
            SQL["add_notice"],
            [
                (archive_id, number, *notice_columns(page))
                for number, page in enumerate(growth.notice, start=notice_pages)
            ],
        )

    async def abandon(self, archive_id: ArchiveId) -> None:
        """Delete an archive that can't be made."""
        await self._connection.execute(SQL["abandon"], archive_id)

    async def finish(self, archive_id: ArchiveId, length: int, tag: str) -> None:
        """Open an archive for downloads."""
        await self._connection.execute(SQL["finish"], archive_id, length, tag)
