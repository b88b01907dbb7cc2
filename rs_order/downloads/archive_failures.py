"""Decides what becomes of a file that an archive can't deliver, and of the archive (faces.md R-22, R-23)."""

from typing import Final

from rs_order.domain.archives import ALL_FILES, Archive, ArchiveId, Selection
from rs_order.domain.ids import DataFileId, Tenant
from rs_order.downloads.archive_plan import CannotBeArchived
from rs_order.downloads.archive_reader import EntryFailed
from rs_order.downloads.make_archives import MakeArchives, NothingAvailable
from rs_order.downloads.settle import Settle
from rs_order.ports import FetchResult, FileOutcome, PartsDiffer, PartsDisproved, TooShort
from rs_order.store.archives import Archives

MOST_SHORT_READS: Final = 3
"""So often a file may have too few bytes, one time after the other, before it is given up (faces.md R-22)."""


class ArchiveFailures:
    """Records what became of files that could not be read for an archive."""

    def __init__(self, archives: Archives, make: MakeArchives, settle: Settle) -> None:
        self._archives = archives
        self._make = make
        self._settle = settle

    async def settle(self, tenant: Tenant, archive: Archive, failed: EntryFailed) -> None:
        """Settle a file that this archive can't hold, or that storage doesn't deliver any more or for now.

        Its owner can then have it restored. The archive ends only with a file that it can't hold; all others
        are tried again by the next request. ``failed`` then says which archive was made instead.
        """
        error = failed.error
        failed.ends_archive = await self._is_wrong(tenant, archive, failed)
        if failed.ends_archive:
            await self._archives.supersede(tenant, archive.id)
        elif isinstance(error, PartsDiffer):
            await self._archives.forget_checkpoints(tenant, archive.id, failed.file.id)
            return
        elif error.result is FetchResult.FAILED and not error.is_gone:
            return
        if not isinstance(
            error, PartsDisproved
        ):  # then the file is right, and only the archive isn't
            outcome = FileOutcome(failed.file.id, error.result, error.reason)
            await self._settle(tenant, archive.order_id, [outcome])
        if failed.ends_archive:
            failed.successor = await self._make_successor(tenant, archive)

    async def _make_successor(self, tenant: Tenant, archive: Archive) -> ArchiveId | None:
        """Make an archive of the other files, whose notice names the one that failed (R-23)."""
        try:
            successor = await self._make.make(
                tenant, archive.order_id, archive.format, await self._selection(tenant, archive)
            )
        except (NothingAvailable, CannotBeArchived):
            return None
        await self._archives.set_successor(tenant, archive.id, successor)
        return successor

    async def _selection(self, tenant: Tenant, archive: Archive) -> Selection:
        """Return the files that an archive was made of."""
        if archive.files + archive.missing == archive.order_files:
            return ALL_FILES
        ids: list[DataFileId] = []
        number = 0
        while page := await self._archives.page(tenant, archive.id, number):
            ids += [*(entry.file_id for entry in page.entries if not entry.is_notice), *page.copies]
            number += 1
        return Selection(files=ids)

    async def _is_wrong(self, tenant: Tenant, archive: Archive, failed: EntryFailed) -> bool:
        """True if the archive can't hold the file: its content is another, or again and again too short."""
        if isinstance(failed.error, TooShort):
            times = await self._archives.count_short_read(tenant, archive.id, failed.file.id)
            return times >= MOST_SHORT_READS
        if isinstance(failed.error, PartsDisproved):
            return True
        return failed.error.result is FetchResult.WRONG_CONTENT
