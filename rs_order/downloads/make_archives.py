"""Makes archives: fixes which files each holds, and where they stand (faces.md R-8 to R-11)."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Final

from rs_order.domain.archives import (
    ALL_FILES,
    ArchiveFormat,
    ArchiveId,
    Failed,
    Selection,
)
from rs_order.domain.ids import DataFileId, OrderId, Tenant
from rs_order.downloads.archive_layout import LAYOUTS
from rs_order.downloads.archive_plan import ArchivePlan, CannotBeArchived
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


class MakeArchives:
    """Makes archives of the files that are available."""

    def __init__(self, downloads: Downloads, archives: Archives, clock: Clock) -> None:
        self._downloads = downloads
        self._archives = archives
        self._clock = clock

    async def make(
        self,
        tenant: Tenant,
        order_id: OrderId,
        kind: ArchiveFormat,
        selection: Selection = ALL_FILES,
    ) -> ArchiveId:
        """Make an archive of the files that are available now, and return its id.

        Of a whole order, it has also those that were delivered before.

        If there is one with exactly these files, it is returned: a download of it goes on where it was. Its
        notice names the files that had failed when it was made.

        Raises:
            NothingAvailable: there is none.
            CannotBeArchived: there are too many, or the size or checksum of one isn't known.
        """
        now = self._clock.now()
        having = self._archives if selection.delivered else self._downloads
        names = EntryNames(await having.repeated_names(tenant, order_id))
        plan = ArchivePlan(LAYOUTS[kind](now), names)
        async for files in self._available(tenant, order_id, selection):
            plan.add(files)
        if not plan.pages:
            raise NothingAvailable(f"Order {order_id} has no such file that can be downloaded now.")
        content = plan.content()
        same = await self._archives.with_content(tenant, order_id, kind, content)
        if same is not None:
            return same
        async for failed in self._failed(tenant, order_id, selection):
            plan.add_failed(list(failed.values()))
        plan.end()
        noted = "" if plan.notice_crc is None else f"-{plan.notice_crc:08x}"
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
                bytes=plan.content_bytes,
                content=content,
                tag=f'"{_VERSION[kind]}-{content}-{int(now.timestamp())}{noted}"',
                missing=plan.missing,
                notice_crc=plan.notice_crc,
                pages=plan.pages,
                notice=plan.notice,
            ),
        )

    async def _available(
        self, tenant: Tenant, order_id: OrderId, selection: Selection
    ) -> AsyncIterator[Sequence[FileToDownload]]:
        after: DataFileId | None = DataFileId(0)
        read = 0
        while after is not None:
            files = await self._archives.available(
                tenant, order_id, selection, after=after, limit=PAGE
            )
            read += len(files)
            if read > MOST_FILES:
                raise CannotBeArchived(
                    f"Order {order_id} has more than {MOST_FILES} available files."
                )
            if files:
                yield files
            after = files[-1].id if len(files) == PAGE else None

    async def _failed(
        self, tenant: Tenant, order_id: OrderId, selection: Selection
    ) -> AsyncIterator[Mapping[DataFileId, Failed]]:
        after = DataFileId(0)
        while failed := await self._archives.failed(
            tenant, order_id, selection, after=after, limit=PAGE
        ):
            yield failed
            after = max(failed)
