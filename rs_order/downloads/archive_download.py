"""Delivers a part of an archive, and settles its files once all of it was sent (faces.md R-14, R-22)."""

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

from rs_order.domain.archives import ALL_FILES, ArchiveId, Selection
from rs_order.domain.ids import Checksum, DataFileId
from rs_order.domain.parts import Part
from rs_order.downloads.archive_plan import CannotBeArchived
from rs_order.downloads.archive_reader import ArchiveReader, ArchiveRequest, EntryFailed
from rs_order.downloads.checksums import why_unverifiable
from rs_order.downloads.fetching import finish_anyway
from rs_order.downloads.make_archives import MakeArchives, NothingAvailable
from rs_order.downloads.range_places import RangePlaces
from rs_order.downloads.readings import Readings
from rs_order.downloads.settle import Settle
from rs_order.ports import (
    Clock,
    FetchResult,
    FileOutcome,
    PartsDiffer,
    PartsDisproved,
    TooShort,
)
from rs_order.store.archives import Archives

MOST_SHORT_READS: Final = 3
"""So often a file may have too few bytes, one time after the other, before it is given up (faces.md R-22)."""
KEEP_SECONDS: Final = 30.0
"""Seconds after which what was sent is kept, so that a process that dies loses no more."""


class ArchiveDeliveries:
    """Delivers archives, and records what became of their files."""

    def __init__(
        self,
        archives: Archives,
        make: MakeArchives,
        settle: Settle,
        readings: Readings,
        clock: Clock,
        *,
        places: RangePlaces | None = None,
    ) -> None:
        self._archives = archives
        self._make = make
        self._settle = settle
        self._readings = readings
        self._clock = clock
        self._places = places or RangePlaces()

    async def pieces(self, request: ArchiveRequest) -> AsyncGenerator[bytes, None]:
        """Yield the part.

        The files become DOWNLOADED with the request with which all of the archive was sent. Until then their
        states stay, however often a download is interrupted. A file whose content is wrong is settled, and
        ends the archive: its bytes were announced, so it can't be left out.

        Raises:
            EntryFailed, NotIndexed, ArchiveGone, SkippingAhead, RangeBusy: nothing wrong was sent.
        """
        reader = ArchiveReader(self._archives, self._readings, self._places, self._clock, request)
        sent = _Sent(request.part.start)
        try:
            async with aclosing(reader.pieces()) as pieces:
                async for piece in pieces:
                    yield piece
                    sent.add(len(piece))
                    if sent.is_due:
                        await finish_anyway(reader.keep())
                        await self._record(request, sent)
        except EntryFailed as error:
            await finish_anyway(self._fail(request, error, sent))
            raise
        finally:
            await finish_anyway(self._record(request, sent))

    async def _record(self, request: ArchiveRequest, sent: "_Sent") -> None:
        part = sent.take()
        archive = request.archive
        if part.length and await self._archives.add_sent(request.tenant, archive.id, part):
            await self._settle_all(request)

    async def _settle_all(self, request: ArchiveRequest) -> None:
        """Record all files of an archive as DOWNLOADED, page by page."""
        tenant, archive = request.tenant, request.archive
        assembled: set[Checksum | None] = set()
        number = 0
        while page := await self._archives.page(tenant, archive.id, number):
            ids = [*(entry.file_id for entry in page.entries), *page.copies]
            files = await self._archives.files(tenant, archive, ids)
            assembled |= {file.checksum for file in files.values() if file.is_assembled}
            copies = set(page.copies)
            outcomes = [
                FileOutcome(
                    id_,
                    FetchResult.DOWNLOADED,
                    unverifiable=why_unverifiable(file) is not None
                    or file.is_assembled
                    or (id_ in copies and file.checksum in assembled),
                )
                for id_, file in files.items()
            ]
            await self._settle(tenant, archive.order_id, outcomes)
            number += 1

    async def _fail(self, request: ArchiveRequest, failed: EntryFailed, sent: "_Sent") -> None:
        """Settle a file that this archive can't hold, or that storage doesn't deliver any more or for now.

        Its owner can then have it restored. The archive ends only with a file that it can't hold; all others
        are tried again by the next request.
        """
        tenant, archive, error = request.tenant, request.archive, failed.error
        failed.ends_archive = await self._is_wrong(request, failed)
        if failed.ends_archive:
            sent.take()  # its bytes don't count any more
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
            failed.successor = await self._make_successor(request)

    async def _make_successor(self, request: ArchiveRequest) -> ArchiveId | None:
        """Make an archive of the other files, whose notice names the one that failed (R-23)."""
        tenant, archive = request.tenant, request.archive
        try:
            successor = await self._make.make(
                tenant, archive.order_id, archive.format, await self._selection(request)
            )
        except (NothingAvailable, CannotBeArchived):
            return None
        await self._archives.set_successor(tenant, archive.id, successor)
        return successor

    async def _selection(self, request: ArchiveRequest) -> Selection:
        """Return the files that an archive was made of."""
        archive = request.archive
        if archive.files + archive.missing == archive.order_files:
            return ALL_FILES
        ids: list[DataFileId] = []
        number = 0
        while page := await self._archives.page(request.tenant, archive.id, number):
            ids += [*(entry.file_id for entry in page.entries if not entry.is_notice), *page.copies]
            number += 1
        return Selection(files=ids)

    async def _is_wrong(self, request: ArchiveRequest, failed: EntryFailed) -> bool:
        """True if the archive can't hold the file: its content is another, or again and again too short."""
        if isinstance(failed.error, TooShort):
            times = await self._archives.count_short_read(
                request.tenant, request.archive.id, failed.file.id
            )
            return times >= MOST_SHORT_READS
        if isinstance(failed.error, PartsDisproved):
            return True
        return failed.error.result is FetchResult.WRONG_CONTENT


class _Sent:
    """The bytes of a part that were sent and aren't recorded yet."""

    def __init__(self, start: int) -> None:
        self._start = self._end = start
        self._taken_at = time.monotonic()

    def add(self, length: int) -> None:
        self._end += length

    @property
    def is_due(self) -> bool:
        return time.monotonic() - self._taken_at > KEEP_SECONDS

    def take(self) -> Part:
        part = Part(self._start, self._end)
        self._start, self._taken_at = self._end, time.monotonic()
        return part
