"""Delivers one file while it is fetched, and sends its last piece only after the content is verified."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass

from rs_order.domain import failure_reasons
from rs_order.domain.ids import OrderId, Tenant
from rs_order.downloads.checksums import why_unverifiable
from rs_order.downloads.fetching import ContentCheck, finish_anyway
from rs_order.downloads.settle import Settle
from rs_order.ports import FetchError, FetchResult, FileOutcome, FileSources, FileToDownload


@dataclass(frozen=True, slots=True)
class FileRequest:
    """A request for one file of an order."""

    tenant: Tenant
    order_id: OrderId
    file: FileToDownload
    email: str
    """The user in whose name the file is fetched, and whose quota it is charged to."""


@dataclass(slots=True)
class FileReport:
    """The result of a download, for the log."""

    result: FetchResult | None = None
    reason: str | None = None


class Delivery:
    """A file that is being delivered; its last piece follows only if the content is that of the catalog."""

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
        self._verified = verified
        self._first = first

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """Yield the file; resumed after the last piece, it marks the delivery as complete.

        Raises:
            FetchError: the transfer broke, or the content is not that of the catalog.
        """
        if self._first is not None:
            yield self._first
        async for piece in self._verified:
            yield piece
        self.complete = True


@asynccontextmanager
async def deliver(
    settle: Settle, sources: FileSources, request: FileRequest, report: FileReport
) -> AsyncIterator[Delivery]:
    """Open a file, and settle it on exit.

    The file becomes DOWNLOADED if all of its pieces were taken. It becomes DOWNLOAD_ERROR if the reader
    stopped earlier, was cancelled, or the content was wrong. An exceeded quota doesn't change its state
    (domain.md 11.2; decisions.md, Quota).

    Raises:
        FetchError: on entering, if there is nothing to send. The file is settled then too.
    """
    check = ContentCheck(request.file)
    opened, delivery = False, None
    failure: FetchError | None = None
    try:
        async with (
            sources.open(request.tenant, request.email, request.file) as source,
            aclosing(_verified(source.chunks, check)) as verified,
        ):
            opened = True
            first = await anext(verified, None)
            delivery = Delivery(request.file, source.headers, verified, first)
            yield delivery
    except FetchError as error:
        failure = error
        raise
    finally:
        complete = delivery is not None and delivery.complete
        outcome = (
            _downloaded(request, check) if complete else _failed(request, failure, opened, check)
        )
        report.result, report.reason = outcome.result, outcome.reason
        await finish_anyway(settle(request.tenant, request.order_id, [outcome]))


async def _verified(
    chunks: AsyncIterator[bytes], check: ContentCheck
) -> AsyncGenerator[bytes, None]:
    """Yield each chunk once the next has arrived, and the last one once the content is verified."""
    pending: bytes | None = None
    async for chunk in chunks:
        if not await check.accept(chunk):
            break
        if pending is not None:
            yield pending
        pending = chunk
    problem = await check.problem()
    if problem is not None:
        raise problem
    if pending is not None:
        yield pending


def _downloaded(request: FileRequest, check: ContentCheck) -> FileOutcome:
    return FileOutcome(
        request.file.id,
        FetchResult.DOWNLOADED,
        unverifiable=why_unverifiable(request.file) is not None,
        hashes=check.hashes,
    )


def _failed(
    request: FileRequest, error: FetchError | None, opened: bool, check: ContentCheck
) -> FileOutcome:
    """Return the outcome of a failed file; without an error the client has disconnected."""
    file = request.file
    if error is None or (opened and error.result is FetchResult.FAILED and not file.external):
        short = failure_reasons.short_retrieval(check.received, file.size)
        return FileOutcome(file.id, FetchResult.FAILED, short)
    return FileOutcome(file.id, error.result, error.reason)
