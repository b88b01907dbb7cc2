"""Produces parts of an archive from the files that it holds (faces.md R-15 to R-19, R-21, R-22)."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field, replace
from typing import Final

from rs_order.domain import failure_reasons
from rs_order.domain.archives import (
    FIRST_BYTE,
    NOTICE_ID,
    Archive,
    ArchiveId,
    Checkpoint,
    Entry,
    Page,
)
from rs_order.domain.ids import DataFileId, Tenant
from rs_order.domain.parts import Part
from rs_order.downloads.archive_layout import LAYOUTS, entry_length
from rs_order.downloads.checksums import algorithm_of
from rs_order.downloads.fetching import SMALL, ContentCheck, finish_anyway
from rs_order.downloads.file_reading import FileReading
from rs_order.downloads.range_places import RangePlaces
from rs_order.downloads.readings import OpenReading, Reader, Readings
from rs_order.downloads.zip_stream import Buffer
from rs_order.ports import Clock, FetchError, FileToDownload, PartsDisproved
from rs_order.store.archives import Archives

OPENING_SECONDS: Final = 30.0
"""Seconds for which the next file is asked for again and again in the middle of a response (R-22)."""
FIRST_PAUSE: Final = 1.0
FILES_AHEAD: Final = 3
"""Files that are begun before their turns, so that the next bytes arrive while others are still checked."""
_KEEP_AT: Final = 32 * 2**20
"""Bytes of proven files whose hashes are kept together; what a killed process loses is read again."""

_Run = tuple[int, Sequence[Buffer]]
"""Bytes of an archive that follow each other, in parts that aren't copied yet, and where they begin."""


@dataclass(frozen=True, slots=True)
class DirectoryLimits:
    """How long a request waits for the directory of an archive, and how much it reads for it."""

    read: int = 64 * 2**20
    """Bytes of files that it reads itself, per page of the directory."""
    patience: float = 40.0
    """Seconds that it waits for others to prove the files. The gateway cuts after 60."""
    pause: float = 1.0
    """Seconds after which it looks again."""


@dataclass(frozen=True, slots=True)
class ArchiveRequest:
    """A request for a part of an archive, or for all of it."""

    tenant: Tenant
    archive: Archive
    email: str
    """The user in whose name files are fetched, and whose quota they are charged to."""
    part: Part


class NotIndexed(Exception):
    """The directory isn't known yet: too much of the archive was never read."""

    code = "archive-not-indexed"


class ArchiveGone(Exception):
    """A file of the archive doesn't exist any more: its order was deleted or has expired."""

    code = "order-gone"


class EntryFailed(Exception):
    """A file of the archive could not be fetched, or isn't what the catalog says."""

    code = "entry-failed"

    def __init__(self, file: FileToDownload, error: FetchError) -> None:
        super().__init__(error.reason)
        self.file = file
        self.error = error
        self.ends_archive = False
        """True if the archive can't be downloaded any more."""
        self.successor: ArchiveId | None = None
        """The archive that was made instead."""


@dataclass
class _Proven:
    """Files whose bytes passed, with their hashes, until these are kept."""

    files: dict[DataFileId, FileToDownload] = field(default_factory=dict)
    bytes: int = 0


class ArchiveReader:
    """Produces a part of one archive, for one request."""

    def __init__(
        self,
        archives: Archives,
        readings: Readings,
        places: RangePlaces,
        clock: Clock,
        request: ArchiveRequest,
        *,
        directory: DirectoryLimits | None = None,
    ) -> None:
        self._directory_limits = directory or DirectoryLimits()
        self._archives = archives
        self._readings = readings
        self._places = places
        self._clock = clock
        self._tenant = request.tenant
        self._archive = archive = request.archive
        self._reader = Reader(request.tenant, request.email)
        self._part = request.part
        self._layout = LAYOUTS[archive.format](archive.created_at)
        self._proven = _Proven()
        self._assembled: dict[DataFileId, Checkpoint] = {}
        """The last checkpoints of files that were read in parts, until they are kept."""
        self._large: dict[DataFileId, OpenReading] = {}
        """The files that were opened and are so large that checkpoints are kept."""
        self._ahead: dict[DataFileId, FileReading] = {}
        """The readings of the next files, which were begun before their turns."""
        self._most_ahead = FILES_AHEAD
        """Fewer once storage has refused to open a file beside others."""
        self._begun = False
        """True once some of the part was sent."""
        self._complete = False
        """True once all of the part was sent."""

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """Yield the bytes of the part.

        An entry in which the part begins is read from its first byte, and what is before the part is
        dropped: storage delivers whole files, and only these can be verified (R-17). If a reader is parked
        before the part, it goes on (R-33). Where storage takes ranges, a large file is read from the last
        checkpoint on; then it isn't verified (R-21).

        Raises:
            SkippingAhead: it takes too long to get to the part; nothing was sent.
            EntryFailed: nothing of the end of the file was sent.
            NotIndexed: the part has bytes of the directory, which isn't known.
            ArchiveGone: the order has ended.
            RangeBusy: too many other parts are sent to the user.
        """
        try:
            part = self._part
            async with (
                self._places.in_archive(self._reader, self._archive.id),
                aclosing(self._from(part)) as runs,
            ):
                async for position, parts in runs:
                    piece = b"".join(parts)
                    if wanted := part.of(piece, position):
                        self._begun = True
                        yield wanted
                    if position + len(piece) >= part.end:
                        self._complete = True
                        return
        finally:
            await finish_anyway(self._end())

    async def prove_from(self, number: int) -> AsyncGenerator[int | None, None]:
        """Read the files whose CRC-32 isn't known, from a page on, in the order of their entries.

        Yields:
            After a file or a page: the page to go on with, if it ends here. Within a file: None.

        Raises:
            EntryFailed, ArchiveGone, RangeBusy: as for ``pieces``.
        """
        try:
            while page := await self._archives.page(self._tenant, self._archive.id, number):
                files = await self._files(page)
                for entry in page.entries:
                    if not entry.is_notice and files[entry.file_id].crc32 is None:
                        async with aclosing(self._entry(entry, files[entry.file_id])) as runs:
                            async for _ in runs:
                                yield None
                        yield number
                number += 1
                yield number
        finally:
            await finish_anyway(self._end())

    async def _end(self) -> None:
        for reading in self._ahead.values():
            await reading.stop()
        await self.keep()

    async def _from(self, part: Part) -> AsyncGenerator[_Run, None]:
        """Yield the archive from the entry or record on in which the part begins."""
        directory = self._archive.directory
        if part.start < directory:
            async for page in self._pages(part.start):
                async for run in self._entries(page, part):
                    yield run
        async for run in self._directory(max(0, part.start - directory)):
            yield run

    async def _pages(self, position: int) -> AsyncIterator[Page]:
        page: Page | None = await self._archives.page_at(self._tenant, self._archive.id, position)
        while page is not None:
            yield page
            page = await self._archives.page(self._tenant, self._archive.id, page.number + 1)

    async def _entries(self, page: Page, part: Part) -> AsyncGenerator[_Run, None]:
        files, layout = await self._files(page), self._layout
        position = page.start
        for number, entry in enumerate(page.entries):
            if entry.is_notice:
                async for run in self._notice(entry, position):
                    yield run
                return
            end = position + entry_length(layout, entry)
            trailer = end - layout.trailer_length(entry)
            file = files[entry.file_id]
            if end > part.start:
                if trailer > part.start or (file.crc32 is None and layout.has_checksums):
                    following = self._following(page, number, end, files)
                    entire = self._entry(entry, file, position, part.start, following)
                    async with aclosing(entire) as runs:
                        async for run in runs:
                            yield run
                else:
                    yield trailer, [layout.trailer(entry, file.crc32 or 0)]
                if self._proven.bytes >= _KEEP_AT:
                    await self.keep()
            position = end

    def _following(
        self, page: Page, number: int, position: int, files: Mapping[DataFileId, FileToDownload]
    ) -> Iterable[FileToDownload]:
        """Return the files that are begun before their turns: little has to be read before them.

        Args:
            page: the page of the entry whose turn it is.
            number: that of the entry in the page.
            position: its end in the archive.
            files: the files of the page.
        """
        before = page.entries[number].size
        for entry in page.entries[number + 1 : number + 1 + self._most_ahead]:
            if before > SMALL or position >= self._part.end or entry.is_notice:
                return
            yield files[entry.file_id]
            before += entry.size
            position += entry_length(self._layout, entry)

    async def _notice(self, entry: Entry, position: int) -> AsyncGenerator[_Run, None]:
        """Yield the entry of ``NOTICE.txt``, whose text is in the store (R-11)."""
        layout, number = self._layout, 0
        packer = layout.packer(layout.aligned(0, entry.size))
        parts: list[Buffer] = [layout.header(entry)]
        while lines := await self._archives.notice(self._tenant, self._archive.id, number):
            yield position, parts
            position += sum(map(len, parts))
            parts = [*packer.pack([lines.lines])]
            number += 1
        trailer = layout.trailer(entry, self._archive.notice_crc or 0)
        yield position, [*parts, packer.flush(), trailer]

    async def _entry(
        self,
        entry: Entry,
        file: FileToDownload,
        position: int = 0,
        start: int = 0,
        following: Iterable[FileToDownload] = (),
    ) -> AsyncGenerator[_Run, None]:
        """Yield an entry; its end when size and checksum are right, and nothing if its source fails at once.

        Args:
            entry: the entry.
            file: the file in it.
            position: where it begins in the archive.
            start: the first byte of the archive that is wanted.
            following: the files of the next entries, which are begun before their turns.
        """
        layout = self._layout
        parts: list[Buffer] = [layout.header(entry)]
        content = position + len(parts[0])
        place = layout.aligned(max(0, start - content), file.size or 0)
        if place.of_entry:
            parts, position = [], content + place.of_entry
        packer = layout.packer(place)
        try:
            async with AsyncExitStack() as closing:
                await closing.enter_async_context(self._places.in_file(self._reader, file))
                opened = await self._opened(closing, file, place.of_file)
                if self._readings.has_checkpoints(file):
                    self._large[file.id] = opened
                arriving = await closing.enter_async_context(aclosing(opened.pieces()))
                for one in following:
                    if one.id not in self._ahead:
                        self._ahead[one.id] = self._readings.start(self._reader, one)
                async for pieces in arriving:
                    packed = packer.pack(pieces)
                    parts += packed
                    if packed and not opened.at_end:
                        yield position, parts
                        position += sum(map(len, parts))
                        parts = []
        except FetchError as error:
            raise EntryFailed(file, error) from error
        passed = self._note(file, opened.check)
        yield position, [*parts, packer.flush(), layout.trailer(entry, passed.crc32 or 0)]

    def _note(self, file: FileToDownload, check: ContentCheck) -> FileToDownload:
        """Note a file whose content passed; return it with what is known of it now.

        Raises:
            EntryFailed: it was proven, and isn't what the archive has sent of it before.
        """
        if check.assembled_crc32 is not None:
            self._assembled[file.id] = Checkpoint(check.received, check.assembled_crc32)
            return replace(file, assembled_crc32=check.assembled_crc32)
        verified_at = self._clock.now() if algorithm_of(file) is not None else None
        proven = replace(file, hashes=check.hashes, verified_at=verified_at)
        self._proven.files[file.id] = proven
        self._proven.bytes += check.received
        _refuse_disproved(proven)
        return proven

    async def _opened(self, closing: AsyncExitStack, file: FileToDownload, at: int) -> OpenReading:
        """Open a file, until the end of a context. In the middle of a response it is tried again for a while.

        Raises:
            FetchError: it can't be opened.
        """
        until, pause = time.monotonic() + OPENING_SECONDS, FIRST_PAUSE
        begun = await self._checkpoint(file, at)
        while True:
            ahead = self._ahead.pop(file.id, None)
            opening = self._readings.open(
                *(self._reader, file, at),
                begun=begun,
                ahead=ahead,
                cut_off=lambda: not self._complete,
            )
            try:
                opened = await closing.enter_async_context(opening)
            except FetchError as error:
                hopeless = error.is_gone or error.quota_exceeded or not self._begun
                if hopeless or time.monotonic() + pause > until:
                    raise
            else:
                if ahead is not None and ahead.refused:
                    self._most_ahead = max(0, self._most_ahead - 1)
                return opened
            await asyncio.sleep(pause)
            pause *= 2

    async def _checkpoint(self, file: FileToDownload, at: int) -> Checkpoint:
        """Return the last checkpoint at or before a byte of a file."""
        if at == 0 or not self._readings.has_checkpoints(file):
            return FIRST_BYTE
        return await self._archives.checkpoint(self._tenant, self._archive.id, file, at)

    async def _directory(self, start: int) -> AsyncGenerator[_Run, None]:
        """Yield the records from the page on that has a byte of the directory, and the end."""
        archive, layout = self._archive, self._layout
        end = layout.end(archive.entries, archive.directory, 0)
        length = archive.length - archive.directory - len(end)
        page: Page | None = None
        if start < length:
            page = await self._archives.page_of_record(self._tenant, archive.id, start)
        while page is not None:
            crcs = await self._crcs(page)
            offset, records = page.start, []
            for entry in page.entries:
                records.append(layout.record(entry, offset, crcs[entry.file_id]))
                offset += entry_length(layout, entry)
            yield archive.directory + page.record_start, records
            page = await self._archives.page(self._tenant, archive.id, page.number + 1)
        yield archive.directory + length, [layout.end(archive.entries, archive.directory, length)]

    async def _files(self, page: Page) -> Mapping[DataFileId, FileToDownload]:
        wanted = [entry.file_id for entry in page.entries if not entry.is_notice]
        files = await self._archives.files(self._tenant, self._archive, wanted)
        if len(files) < len(wanted):
            raise ArchiveGone
        for file in files.values():
            _refuse_disproved(file)
        return files

    async def _crcs(self, page: Page) -> Mapping[DataFileId, int]:
        """Return the CRCs of the entries of a page.

        Other requests may be proving the files just now, so this waits for them; but few bytes are read at
        once (R-18, R-19).

        Raises:
            NotIndexed: too many bytes were never proven.
        """
        limits = self._directory_limits
        until = time.monotonic() + limits.patience
        while True:
            await self.keep()
            files = await self._files(page)
            unproven = {id_: file for id_, file in files.items() if file.crc32 is None}
            if not unproven:
                known = {file.id: file.crc32 or 0 for file in files.values()}
                return {**known, NOTICE_ID: self._archive.notice_crc or 0}
            if sum(file.size or 0 for file in unproven.values()) <= limits.read:
                for entry in page.entries:
                    if entry.file_id in unproven:
                        await self._prove(entry, unproven[entry.file_id])
            elif time.monotonic() < until:
                await asyncio.sleep(limits.pause)
            else:
                raise NotIndexed(
                    "The directory isn't known before all files of the archive were read. They are read now: "
                    "ask again after the seconds of Retry-After, or download the archive from its beginning."
                )

    async def _prove(self, entry: Entry, file: FileToDownload) -> None:
        async with aclosing(self._entry(entry, file)) as runs:
            async for _ in runs:
                pass

    async def keep(self) -> None:
        """Keep the hashes of the files that were proven, and the checkpoints that were passed."""
        proven, self._proven = self._proven, _Proven()
        if proven.files:
            files, now = list(proven.files.values()), self._clock.now()
            await self._archives.keep_hashes(self._tenant, files, now)
        checkpoints = self._take_checkpoints()
        if checkpoints:
            await self._archives.keep_checkpoints(self._tenant, self._archive.id, checkpoints)

    def _take_checkpoints(self) -> Sequence[tuple[DataFileId, Checkpoint]]:
        assembled, self._assembled = self._assembled, {}
        passed = [
            (file_id, checkpoint)
            for file_id, opened in self._large.items()
            for checkpoint in opened.check.take_checkpoints()
        ]
        return [*passed, *assembled.items()]


def _refuse_disproved(file: FileToDownload) -> None:
    """Raise an error if the archive has sent other bytes of a file than were proven since."""
    if file.is_disproved:
        raise EntryFailed(file, PartsDisproved(failure_reasons.PARTS_DISPROVED))
