"""Delivers a part of an archive, and settles its files once all of it was sent (faces.md R-14, R-22)."""

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

from rs_order.domain.ids import Checksum
from rs_order.domain.parts import Part
from rs_order.downloads.archive_failures import ArchiveFailures
from rs_order.downloads.archive_reader import (
    ArchiveReader,
    ArchiveRequest,
    DirectoryLimits,
    EntryFailed,
    NotIndexed,
)
from rs_order.downloads.checksums import why_unverifiable
from rs_order.downloads.fetching import finish_anyway
from rs_order.downloads.range_places import RangePlaces
from rs_order.downloads.read_archives import ReadArchives
from rs_order.downloads.readings import Readings
from rs_order.downloads.settle import Settle
from rs_order.ports import Clock, FetchResult, FileOutcome
from rs_order.store.archives import Archives

KEEP_SECONDS: Final = 30.0
"""Seconds after which what was sent is kept, so that a process that dies loses no more."""


class ArchiveDeliveries:
    """Delivers archives, and records what became of their files."""

    def __init__(  # noqa: PLR0917 - the parts that it is made of
        self,
        archives: Archives,
        failures: ArchiveFailures,
        reads: ReadArchives,
        settle: Settle,
        readings: Readings,
        clock: Clock,
        *,
        places: RangePlaces | None = None,
        directory: DirectoryLimits | None = None,
    ) -> None:
        """``reads``: reads archives whose directories are asked for before they were downloaded."""
        self._archives = archives
        self._failures = failures
        self._reads = reads
        self._settle = settle
        self._readings = readings
        self._clock = clock
        self._places = places or RangePlaces()
        self._directory = directory

    async def pieces(self, request: ArchiveRequest) -> AsyncGenerator[bytes, None]:
        """Yield the part.

        The files become DOWNLOADED with the request with which all of the archive was sent. Until then their
        states stay, however often a download is interrupted. A file whose content is wrong is settled, and
        ends the archive: its bytes were announced, so it can't be left out.

        Raises:
            EntryFailed, NotIndexed, ArchiveGone, SkippingAhead, RangeBusy: nothing wrong was sent.
        """
        reader = ArchiveReader(
            self._archives,
            self._readings,
            self._places,
            self._clock,
            request,
            directory=self._directory,
        )
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
        except NotIndexed:
            await finish_anyway(self._reads.begin(request.tenant, request.archive))
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
        await self._failures.settle(request.tenant, request.archive, failed)
        if failed.ends_archive:
            sent.take()  # its bytes don't count any more


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
