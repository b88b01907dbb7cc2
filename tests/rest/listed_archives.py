"""An archive in memory, for tests that read it thousands of times, or measure memory."""

# ruff: noqa: ARG002 - the signatures are those of the store

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from rs_order.domain.archives import (
    Archive,
    ArchiveFormat,
    ArchiveId,
    ArchiveState,
    Failed,
    NoticePage,
    Page,
)
from rs_order.domain.ids import DataFileId, Tenant
from rs_order.domain.parts import Part
from rs_order.downloads.archive_layout import LAYOUTS
from rs_order.downloads.archive_plan import ArchivePlan
from rs_order.downloads.entry_names import EntryNames
from rs_order.ports import FileToDownload
from tests.rest.conftest import NOW
from tests.rest.fake_downloads import ORDER, OWNER

PAGE = 1000


class ListedArchives:
    """Implements the part of ``Archives`` that a download uses, for one archive.

    What is sent is only counted, so nothing may be sent twice.
    """

    def __init__(
        self,
        files: Sequence[FileToDownload],
        kind: ArchiveFormat = ArchiveFormat.ZIP,
        *,
        failed: Sequence[Failed] = (),
        page: int = PAGE,
    ) -> None:
        """Make an archive of files; ``page``: the most entries of a page."""
        self._files = {file.id: file for file in files}
        self._plan = plan = ArchivePlan(LAYOUTS[kind](NOW), EntryNames(frozenset()))
        for start in range(0, len(files), page):
            plan.add(files[start : start + page])
        plan.add_failed(failed)
        plan.end()
        self._sent = 0
        self.archive = Archive(
            id=ArchiveId(1),
            order_id=ORDER,
            owner=OWNER,
            format=kind,
            created_at=NOW,
            state=ArchiveState.OPEN,
            length=plan.length,
            directory=plan.position,
            entries=plan.entries,
            files=plan.files,
            bytes=plan.content_bytes,
            tag='"tag"',
            order_files=len(files),
            missing=plan.missing,
            notice_crc=plan.notice_crc,
            sent=0,
        )

    async def find(self, tenant: Tenant, archive_id: ArchiveId) -> Archive:
        return self.archive

    async def page_at(self, tenant: Tenant, archive_id: ArchiveId, position: int) -> Page:
        return [page for page in self._plan.pages if page.start <= position][-1]

    async def page_of_record(self, tenant: Tenant, archive_id: ArchiveId, position: int) -> Page:
        return [page for page in self._plan.pages if page.record_start <= position][-1]

    async def page(self, tenant: Tenant, archive_id: ArchiveId, number: int) -> Page | None:
        return self._plan.pages[number] if number < len(self._plan.pages) else None

    async def notice(self, tenant: Tenant, archive_id: ArchiveId, number: int) -> NoticePage | None:
        return self._plan.notice[number] if number < len(self._plan.notice) else None

    async def files(
        self, tenant: Tenant, archive: Archive, ids: Sequence[DataFileId]
    ) -> Mapping[DataFileId, FileToDownload]:
        return {id_: self._files[id_] for id_ in ids}

    async def keep_hashes(
        self, tenant: Tenant, files: Sequence[FileToDownload], now: datetime
    ) -> None:
        for file in files:
            known = self._files[file.id]
            self._files[file.id] = replace(known, hashes=file.hashes, verified_at=file.verified_at)

    async def add_sent(self, tenant: Tenant, archive_id: ArchiveId, part: Part) -> bool:
        self._sent += part.length
        return self._sent >= self.archive.length
