"""Delivers one file while it is fetched, and sends its last piece only after the content is verified."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass

from rs_order.domain import failure_reasons
from rs_order.domain.ids import OrderId, Tenant
from rs_order.domain.parts import Part
from rs_order.downloads.checksums import why_unverifiable
from rs_order.downloads.fetching import ContentCheck, finish_anyway
from rs_order.downloads.readings import OpenReading, Reader, Readings
from rs_order.downloads.settle import Settle
from rs_order.ports import (
    Downloads,
    FetchError,
    FetchResult,
    FileOutcome,
    FileToDownload,
)


@dataclass(frozen=True, slots=True)
class FileRequest:
    """A request for one file of an order."""

    tenant: Tenant
    order_id: OrderId
    file: FileToDownload
    email: str
    """The user in whose name the file is fetched, and whose quota it is charged to."""
    part: Part | None = None
    """The bytes to deliver, or None for the whole file."""


@dataclass(slots=True)
class FileReport:
    """The result of a download, for the log."""

    result: FetchResult | None = None
    reason: str | None = None


class Delivery:
    """A file, or a part of it, that is being delivered.

    The last piece of the file follows only if the content is that of the catalog.
    """

    def __init__(
        self,
        file: FileToDownload,
        headers: Mapping[str, str],
        verified: AsyncGenerator[bytes, None],
        first: bytes | None,
    ) -> None:
        self.file = file
        self.headers = headers
        """The headers of the source that describe the file."""
        self.complete = False
        """True once all pieces were taken."""
        self.taken = 0
        """The bytes that were taken."""
        self._verified = verified
        self._first = first

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """Yield what is delivered; resumed after the last piece, it marks the delivery as complete.

        Raises:
            FetchError: the transfer broke, or the content is not that of the catalog.
        """
        if self._first is not None:
            yield self._first
            self.taken += len(self._first)
        async for piece in self._verified:
            yield piece
            self.taken += len(piece)
        self.complete = True


class FileDeliveries:
    """Delivers files, and records what became of them."""

    def __init__(self, downloads: Downloads, settle: Settle, readings: Readings) -> None:
        self._downloads = downloads
        self._settle_files = settle
        self._readings = readings

    @asynccontextmanager
    async def open(self, request: FileRequest, report: FileReport) -> AsyncIterator[Delivery]:
        """Open a file, and settle it on exit.

        The file becomes DOWNLOADED if all of its bytes were taken, now or in parts by several requests. It
        becomes DOWNLOAD_ERROR if the content was wrong or the source failed, and also if the reader of a
        whole file stopped earlier or was cancelled. An exceeded quota doesn't change its state (domain.md
        11.2; decisions.md, Quota).

        A part is cut from the file while that is read from its first byte, or from where an earlier request
        was cut off: storage delivers whole files, and only these can be verified.

        Raises:
            FetchError: on entering, if there is nothing to send. The file is settled then too.
            SkippingAhead: on entering, if it takes too long to get to the part.
        """
        delivery: Delivery | None = None
        opened: OpenReading | None = None
        failure: FetchError | None = None
        try:
            async with (
                self._readings.open(
                    Reader(request.tenant, request.email),
                    request.file,
                    request.part.start if request.part else 0,
                    hashed=_reaches_the_end(request),
                    cut_off=lambda: delivery is None or not delivery.complete,
                ) as opened,
                aclosing(opened.pieces()) as verified,
                aclosing(_cut(verified, request.part)) as pieces,
            ):
                first = await anext(pieces, None)
                delivery = Delivery(request.file, opened.headers, pieces, first)
                yield delivery
        except FetchError as error:
            failure = error
            raise
        finally:
            check = opened.check if opened is not None else None
            failed = _failed(request, delivery, failure, check)
            await finish_anyway(self._settle(request, delivery, check, failed, report))

    async def _settle(
        self,
        request: FileRequest,
        delivery: Delivery | None,
        check: ContentCheck | None,
        failed: FileOutcome | None,
        report: FileReport,
    ) -> None:
        """Record the outcome. A part has none, unless it failed or all of the file was sent with it."""
        outcome = failed
        if delivery is not None and await self._all_sent(request, delivery, failed):
            outcome = _downloaded(request.file, check)
        if outcome is not None:
            report.result, report.reason = outcome.result, outcome.reason
            await self._settle_files(request.tenant, request.order_id, [outcome])

    async def _all_sent(
        self, request: FileRequest, delivery: Delivery, failed: FileOutcome | None
    ) -> bool:
        """Return whether all of the file was sent by now; record the part that was, unless it was wrong."""
        if failed is not None and failed.result is FetchResult.WRONG_CONTENT:
            return False
        if request.part is None and delivery.complete:
            return True
        start = request.part.start if request.part else 0
        sent = Part(start, start + delivery.taken)
        if not sent.length:
            return False
        return await self._downloads.add_sent(request.tenant, request.file.id, sent)


async def _cut(
    arriving: AsyncGenerator[Sequence[bytes], None], part: Part | None
) -> AsyncGenerator[bytes, None]:
    """Yield what arrives up to the end of the part, or all of it without a part."""
    if part is None:
        async for pieces in arriving:
            yield b"".join(pieces)
        return
    position = part.start
    async for pieces in arriving:
        piece = b"".join(pieces)
        yield part.of(piece, position)
        position += len(piece)
        if position >= part.end:
            return


def _reaches_the_end(request: FileRequest) -> bool:
    """True if the last byte is delivered, for which the whole file is verified."""
    return request.part is None or request.part.end == request.file.size


def _downloaded(file: FileToDownload, check: ContentCheck | None) -> FileOutcome:
    return FileOutcome(
        file.id,
        FetchResult.DOWNLOADED,
        unverifiable=why_unverifiable(file) is not None,
        hashes=check.hashes if check is not None else None,
    )


def _failed(
    request: FileRequest,
    delivery: Delivery | None,
    error: FetchError | None,
    check: ContentCheck | None,
) -> FileOutcome | None:
    """Return the outcome of a file that failed, or of a whole one that the client left; None otherwise.

    ``check``: None if the source was never open.
    """
    file = request.file
    if error is None and (request.part is not None or (delivery is not None and delivery.complete)):
        return None
    of_transfer = error is None or (error.result is FetchResult.FAILED and not file.external)
    if error is None or (check is not None and of_transfer):
        received = check.received if check is not None else 0
        short = failure_reasons.short_retrieval(received, file.size)
        return FileOutcome(file.id, FetchResult.FAILED, short)
    return FileOutcome(file.id, error.result, error.reason)
