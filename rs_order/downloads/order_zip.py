"""Writes the zip of an order's available files while it is sent (rest.md 10.3)."""

import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from rs_order.domain.ids import DataFileId, OrderId, Tenant
from rs_order.downloads.content_check import ContentCheck
from rs_order.downloads.entry_names import NOTICE, EntryNames
from rs_order.downloads.fetching import Fetching, finish_anyway
from rs_order.downloads.ledger import Ledger
from rs_order.downloads.settle import Settle
from rs_order.downloads.zip_stream import NO_COMPRESSION, ZipStream
from rs_order.ports import Downloads, FetchError, FileSources, FileToDownload

LIGHT: Final = 1
"""zlib level. On FITS images 8 times as fast as the default; the result is at most a seventh larger."""

SAMPLE: Final = 16 * 1024
"""Bytes compressed as a test: the end of the first chunk, after the headers of most formats."""
WORTHWHILE: Final = 0.9
"""Files are compressed if the sample shrinks below this part of its size. Compressing compressed data takes
50 times as long as a copy."""
PAGE: Final = 1000
"""Files read from the store at once."""
SMALL: Final = 16 * 2**20
"""Bytes. While a file up to this size is read, the next one is opened."""


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
        fetching = Fetching(sources, request.tenant, request.email)
        writer = _ZipWriter(fetching, names, archive, ledger)
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
) -> AsyncIterator[FileToDownload]:
    """Yield the files by ascending id (decisions.md, Q6), read page by page.

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
        for file in files:
            yield file
        after = files[-1].id if len(files) == request.page else None


async def _with_following(
    files: AsyncIterator[FileToDownload],
) -> AsyncIterator[tuple[FileToDownload, FileToDownload | None]]:
    """Yield each file with the one after it, or with None if it is the last."""
    previous: FileToDownload | None = None
    async for file in files:
        if previous is not None:
            yield previous, file
        previous = file
    if previous is not None:
        yield previous, None


async def _settle_all(settle: Settle, request: ZipRequest, ledger: Ledger) -> None:
    for outcomes in ledger.outcomes():
        await settle(request.tenant, request.order_id, outcomes)


class _ZipWriter:
    """Writes one archive from the files of an order, and records their outcomes in the ledger."""

    def __init__(
        self, fetching: Fetching, names: EntryNames, archive: ZipStream, ledger: Ledger
    ) -> None:
        self._fetching = fetching
        self._names = names
        self._archive = archive
        self._ledger = ledger

    async def pieces(self, files: AsyncIterator[FileToDownload]) -> AsyncIterator[bytes]:
        async for file, following in _with_following(files):
            async for piece in self._entry(file, following):
                yield piece
        for piece in self._notice():
            yield piece
        for piece in self._archive.finish():
            yield piece

    async def _entry(
        self, file: FileToDownload, following: FileToDownload | None
    ) -> AsyncIterator[bytes]:
        """Write a file into the archive, and its outcome into the ledger."""
        if self._names.has_copy(file):
            self._ledger.downloaded(file)
            return
        self._fetching.start(file)
        if following is not None and self._worth_opening_during(file, following):
            self._fetching.start_ahead(following)
        try:
            chunk = await self._fetching.first_chunk(file)
        except FetchError as error:
            self._ledger.failed(file, error)
            return
        check = ContentCheck(file)
        name = self._names.choose(file)
        size = self._fetching.size_of(file)
        original = file.name if file.name != name else ""
        self._archive.begin(name, size=size, level=level_for(chunk or b""), comment=original)
        failure: FetchError | None = None
        try:
            while chunk is not None and check.accept(chunk):
                self._archive.add(chunk)
                for piece in self._archive.pieces():
                    yield piece
                chunk = await self._fetching.next_chunk(file)
        except FetchError as error:
            failure = error
        self._archive.end()
        await self._fetching.stop(file)
        self._record(file, check, failure)

    def _worth_opening_during(self, file: FileToDownload, following: FileToDownload) -> bool:
        """True if the following file may be opened while this one is read.

        While a large file is read, the source of the next would wait so long that it may close the
        connection. A possible copy is not opened, because it may not be needed at all.
        """
        soon = file.size is not None and file.size <= SMALL
        return soon and not self._names.may_have_copy(following)

    def _record(
        self, file: FileToDownload, check: ContentCheck, failure: FetchError | None
    ) -> None:
        failure = failure or check.problem()
        if failure is not None:
            self._ledger.failed(file, failure)
            return
        self._names.stored(file)
        self._ledger.downloaded(file, verifiable=check.verifiable)

    def _notice(self) -> Iterator[bytes]:
        if not self._ledger.failed_files:
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
