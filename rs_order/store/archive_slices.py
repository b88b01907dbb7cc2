"""How far steps have read archives whose files nobody downloads."""

from datetime import datetime
from typing import Final

from rs_order.domain.archives import Archive, ArchiveId
from rs_order.store.pool import Connection, statements

SQL: Final = statements("archives")


class ArchiveSlices:
    """The slices of archives that steps read, in one unit of work. A new chain goes on with their numbers."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def begin(self, archive: Archive, now: datetime, silent_since: datetime) -> int | None:
        """Begin a chain of slices, and return the number of its first one.

        Args:
            archive: as it was when its directory was asked for.
            now: the time.
            silent_since: a chain that didn't go on since then counts as lost.

        Returns:
            None if a chain is at work, or the archive has ended, or more of it was sent since.
        """
        number: int | None = await self._connection.fetchval(
            SQL["begin_reading"], archive.id, now, silent_since, archive.sent
        )
        return number

    async def keep(self, archive_id: ArchiveId, number: int, now: datetime) -> bool:
        """Note that a slice is at work. Return False if it is outdated, or its archive has ended."""
        kept: bool | None = await self._connection.fetchval(
            SQL["keep_reading"], archive_id, number, now
        )
        return kept is True

    async def follow(self, archive_id: ArchiveId, number: int, now: datetime) -> int | None:
        """End a slice, and return the number of the next one; None if it is outdated."""
        following: int | None = await self._connection.fetchval(
            SQL["follow_reading"], archive_id, number, now
        )
        return following

    async def end(self, archive_id: ArchiveId, number: int) -> None:
        """End a chain with this slice, unless it is outdated."""
        await self._connection.execute(SQL["end_reading"], archive_id, number)
