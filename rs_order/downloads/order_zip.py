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
from rs_order.downloads.zip_stream import ZipStream
from rs_order.ports import Downloads, FetchError, FileSources, FileToDownload

ONLY_WRAPPED: Final = 0
LIGHT: Final = 1
"""Eight times as fast as zlib's default on FITS images, and within a seventh of its size."""

SAMPLE: Final = 16 * 1024
"""Bytes tried; the last of the first chunk, behind the headers of most formats."""
WORTHWHILE: Final = 0.9
"""Of its size the sample must shrink to; data already compressed costs 50 times the time of a copy."""


def level_for(first_chunk: bytes) -> int:
    """The zlib level for a file that begins so."""
    sample = first_chunk[-SAMPLE:]
    shrinks = len(zlib.compress(sample, LIGHT)) < WORTHWHILE * len(sample)
    return LIGHT if shrinks else ONLY_WRAPPED


PAGE: Final = 1000
"""Files read from the store at once."""
SMALL: Final = 16 * 2**20
"""Bytes of a file that is read so soon that the next one can be opened meanwhile."""


@dataclass(frozen=True, slots=True)
class ZipRequest:
    """Who wants the files of which order."""

    tenant: Tenant
    order_id: OrderId
    email: str
    """The user in whose name files are fetched, and whose quota they are charged to."""
    at: datetime
    """When, in UTC: the time of the entries."""
    page: int = PAGE
    """The number of files that are read from the store at once."""


@dataclass(slots=True)
class ZipReport:
    """How a download went, for the log."""

    downloaded: int = 0
    failed: int = 0
    unverifiable: int = 0
    """Of the downloaded files those that had no checksum, or one of an unknown algorithm."""
    reason: str | None = None
    """Why it was broken off, if it was for a reason of ours."""


class OrderDeleted(Exception):
    """The order was deleted, or expired, while its files were handed out: they aren't all there any more."""

    code = "order-gone"


async def zip_order(
    downloads: Downloads,
    settle: Settle,
    sources: FileSources,
    request: ZipRequest,
    report: ZipReport | None = None,
) -> AsyncGenerator[bytes, None]:
    """Yield the archive piece by piece, and settle its files once the last piece is taken.

    A reader who stops earlier (closes the generator, or is cancelled) changes no state at all.
    Files that can't be fetched are named in ``NOTICE.txt`` and don't stop the others (W15).

    Raises:
        OrderDeleted: the order was deleted or expired before all of its files were read: the archive is
            broken.
        Exception: what the store raises. The archive is broken and no state changes. Only when
            ``settle`` itself fails, the files settled before keep their new state.
    """
    report = report if report is not None else ZipReport()
    names = EntryNames(await downloads.repeated_names(request.tenant, request.order_id))
    with ZipStream(request.at) as archive, Ledger() as ledger:
        fetching = Fetching(sources, request.tenant, request.email)
        making = _ZipMaking(fetching, names, archive, ledger)
        try:
            async for piece in making.pieces(_available_files(downloads, request)):
                yield piece
        except OrderDeleted as gone:
            report.reason = gone.code
            raise
        finally:
            await fetching.stop_all()
        report.downloaded, report.failed = ledger.downloaded_files, ledger.failed_files
        report.unverifiable = ledger.unverifiable_files
        await finish_anyway(_settle_all(settle, request, ledger))


async def _available_files(
    downloads: Downloads, request: ZipRequest
) -> AsyncIterator[FileToDownload]:
    """By ascending id (decisions.md, Q6), a page at a time; a page that isn't full is the last.

    Raises:
        OrderDeleted: a page was read after the order went, so that files may be missing in it.
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
    """Each file with the one after it."""
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


class _ZipMaking:
    """One archive in the making: files come in, pieces and outcomes go out."""

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
        """Put a file in the archive, or its failure in the ledger."""
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
        self._archive.begin(name, size=file.size, level=level_for(chunk or b""))
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
        self._judge(file, check, failure)

    def _worth_opening_during(self, file: FileToDownload, following: FileToDownload) -> bool:
        """Whether to open a file while the one before it is read.

        During a large one the time to open doesn't matter, but the source would be left waiting for
        so long that it may hang up. And what may turn out a copy is perhaps not needed at all.
        """
        soon = file.size is not None and file.size <= SMALL
        return soon and not self._names.may_have_copy(following)

    def _judge(self, file: FileToDownload, check: ContentCheck, failure: FetchError | None) -> None:
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
