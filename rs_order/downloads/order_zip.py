"""Writes the zip of an order's available files while it is sent (rest.md 10.3)."""

import time
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from rs_order.domain.ids import DataFileId, OrderId, Tenant
from rs_order.downloads.entry_names import NOTICE, EntryNames
from rs_order.downloads.fetching import SMALL, ContentCheck, Fetching, finish_anyway
from rs_order.downloads.ledger import Ledger
from rs_order.downloads.settle import Settle
from rs_order.downloads.zip_stream import NO_COMPRESSION, ZipStream
from rs_order.ports import ContentHashes, Downloads, FetchError, FileSources, FileToDownload

LIGHT: Final = 1
"""zlib level. On FITS images 8 times as fast as the default; the result is at most a seventh larger."""

SAMPLE: Final = 16 * 1024
"""Bytes compressed as a test: the end of the first chunk, after the headers of most formats."""
WORTHWHILE: Final = 0.9
"""Files are compressed if the sample shrinks below this part of its size. Compressing compressed data takes
50 times as long as a copy."""
PAGE: Final = 1000
"""Files read from the store at once."""
AHEAD: Final = 4
"""External files opened ahead, at most. Of stored files only the next is: each counts against the quota."""
LINGER: Final = 0.1
"""Seconds to wait for a source before what is written is sent, even if it is little."""
MAX_SILENCE: Final = 30.0
"""Seconds without a byte, at most. The platform's gateway cuts after 60 (faces.md C-10)."""


@dataclass(frozen=True, slots=True)
class ZipRequest:
    """A request for the files of an order."""

    tenant: Tenant
    order_id: OrderId
    email: str
    """The user in whose name files are fetched, and whose quota they are charged to."""
    at: datetime
    """The time of the entries, in UTC."""
    page: int = PAGE
    """The number of files that are read from the store at once."""
    max_silence: float = MAX_SILENCE
    """Seconds without a byte, at most."""
    failed_before: Sequence[tuple[FileToDownload, FetchError]] = ()
    """Files that failed just before, so they aren't available any more; ``NOTICE.txt`` names them."""


@dataclass(slots=True)
class ZipReport:
    """The result of a download, for the log."""

    downloaded: int = 0
    failed: int = 0
    unverifiable: int = 0
    """Downloaded files without a checksum, or with one of an unknown algorithm."""
    reason: str | None = None
    """The code of the error that ended it early; None otherwise."""


class OrderDeleted(Exception):
    """The order was deleted or expired during its download, so files may be missing."""

    code = "order-gone"


async def zip_order(
    downloads: Downloads,
    settle: Settle,
    sources: FileSources,
    request: ZipRequest,
    report: ZipReport | None = None,
) -> AsyncGenerator[bytes, None]:
    """Yield the archive piece by piece, and settle its files after the last piece was taken.

    If the reader stops earlier (closes the generator, or is cancelled), no state changes.
    Files that can't be fetched are listed in ``NOTICE.txt`` and don't stop the others (W15).

    Raises:
        OrderDeleted: the order was deleted or expired before all of its files were read. The archive is
            incomplete.
        Exception: an error of the store. The archive is incomplete and no state changes. If ``settle``
            fails, files that were settled before keep their new state.
    """
    report = report if report is not None else ZipReport()
    names = EntryNames(await downloads.repeated_names(request.tenant, request.order_id))
    with ZipStream(request.at) as archive, Ledger() as ledger:
        for file, error in request.failed_before:
            ledger.failed(file, error)
        fetching = Fetching(sources, request.tenant, request.email)
        writer = _ZipWriter(fetching, names, archive, ledger, request.max_silence)
        try:
            async for piece in writer.pieces(_available_files(downloads, request)):
                yield piece
        except OrderDeleted as error:
            report.reason = error.code
            raise
        finally:
            await fetching.stop_all()
        report.downloaded, report.failed = ledger.downloaded_files, ledger.failed_files
        report.unverifiable = ledger.unverifiable_files
        await finish_anyway(_settle_all(settle, request, ledger))


async def _available_files(
    downloads: Downloads, request: ZipRequest
) -> AsyncIterator[Sequence[FileToDownload]]:
    """Yield the files by ascending id (decisions.md, Q6), page by page.

    Raises:
        OrderDeleted: the order was deleted or expired when a page was read, so files may be missing in it.
    """
    after: DataFileId | None = DataFileId(0)
    while after is not None:
        files = await downloads.available_files(
            request.tenant, request.order_id, after=after, limit=request.page
        )
        order = await downloads.order(request.tenant, request.order_id)
        if order is None or order.status.deleted_or_expired:
            raise OrderDeleted
        yield files
        after = files[-1].id if len(files) == request.page else None


async def _settle_all(settle: Settle, request: ZipRequest, ledger: Ledger) -> None:
    for outcomes in ledger.outcomes():
        await settle(request.tenant, request.order_id, outcomes)


class _ZipWriter:
    """Writes one archive from the files of an order, and records their outcomes in the ledger."""

    def __init__(
        self,
        fetching: Fetching,
        names: EntryNames,
        archive: ZipStream,
        ledger: Ledger,
        max_silence: float,
    ) -> None:
        self._fetching = fetching
        self._names = names
        self._archive = archive
        self._ledger = ledger
        self._max_silence = max_silence
        self._sent_at = time.monotonic()

    async def pieces(self, pages: AsyncIterator[Sequence[FileToDownload]]) -> AsyncIterator[bytes]:
        async for files in pages:
            for number, file in enumerate(files, start=1):
                async for piece in self._entry(file, files[number : number + AHEAD]):
                    yield piece
                    self._sent_at = time.monotonic()
        for piece in self._notice():
            yield piece
        for piece in self._archive.finish():
            yield piece

    async def _entry(
        self, file: FileToDownload, following: Sequence[FileToDownload]
    ) -> AsyncIterator[bytes]:
        """Write a file into the archive, and its outcome into the ledger."""
        if self._names.has_copy(file):
            self._ledger.downloaded(file, None)
            return
        self._fetching.start(file)
        self._open_ahead(file, following)
        check = ContentCheck(file)
        failure: FetchError | None = None
        try:
            async for piece in self._content(file, check):
                yield piece
        except FetchError as error:
            failure = error
        if self._archive.entry_is_open:
            self._archive.end()
        await self._fetching.stop(file)
        self._record(file, failure or await check.problem(), check.hashes)

    def _open_ahead(self, file: FileToDownload, following: Sequence[FileToDownload]) -> None:
        """Open the next files, unless a large one has to be read first.

        While it is read, their sources would wait so long that they may close the connection. A possible
        copy is not opened, because it may not be needed at all.
        """
        before = file.size
        for ahead in following:
            if before is None or before > SMALL:
                return
            is_next = ahead is following[0]
            if (ahead.external or is_next) and not self._names.may_have_copy(ahead):
                self._fetching.start_ahead(ahead)
            before = None if ahead.size is None else before + ahead.size

    async def _content(self, file: FileToDownload, check: ContentCheck) -> AsyncIterator[bytes]:
        """Write the entry of a file; there is none if the source fails before its first bytes.

        Raises:
            FetchError: the source failed.
        """
        async for piece in self._until_arrived(file):
            yield piece
        chunk = self._fetching.take(file)
        if not self._archive.entry_is_open:
            self._begin(file, level_for(chunk or b""))
        while chunk is not None and await check.accept(chunk):
            self._archive.add(chunk)
            for piece in self._archive.pieces():
                yield piece
            async for piece in self._until_arrived(file):
                yield piece
            chunk = self._fetching.take(file)

    def _begin(self, file: FileToDownload, level: int) -> None:
        name = self._names.choose(file)
        original = file.name if file.name != name else ""
        size = self._fetching.size_of(file)
        self._archive.begin(name, size=size, level=level, comment=original)

    async def _until_arrived(self, file: FileToDownload) -> AsyncIterator[bytes]:
        """Wait for the next bytes of a file; meanwhile yield what is written, and then signs of life.

        If no entry is open, that of the file begins before it is known if the source delivers it.
        """
        if self._seconds_left() > 0 and await self._fetching.arrived(file, LINGER):
            return
        for piece in self._archive.flush():
            yield piece
        if self._seconds_left() <= 0:
            for piece in self._sign_of_life(file):
                yield piece
        while not await self._fetching.arrived(file, max(self._seconds_left(), 0)):
            for piece in self._sign_of_life(file):
                yield piece

    def _sign_of_life(self, file: FileToDownload) -> Iterator[bytes]:
        if self._archive.entry_is_open:
            self._archive.fill()
        else:
            self._begin(file, LIGHT)
        self._sent_at = time.monotonic()
        yield from self._archive.flush()

    def _seconds_left(self) -> float:
        """Return the seconds until something has to be sent."""
        return self._sent_at + self._max_silence - time.monotonic()

    def _record(
        self, file: FileToDownload, failure: FetchError | None, hashes: ContentHashes | None
    ) -> None:
        if failure is not None:
            self._ledger.failed(file, failure)
            return
        self._names.stored(file)
        self._ledger.downloaded(file, hashes)

    def _notice(self) -> Iterator[bytes]:
        if not self._ledger.notice_bytes:
            return
        self._archive.begin(NOTICE, size=self._ledger.notice_bytes, level=LIGHT)
        for line in self._ledger.notice():
            self._archive.add(line)
            yield from self._archive.pieces()
        self._archive.end()


def level_for(first_chunk: bytes) -> int:
    """Return the zlib level for a file with this first chunk."""
    sample = first_chunk[-SAMPLE:]
    shrinks = len(zlib.compress(sample, LIGHT)) < WORTHWHILE * len(sample)
    return LIGHT if shrinks else NO_COMPRESSION
