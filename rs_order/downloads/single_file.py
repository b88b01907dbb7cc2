"""One file, sent as it comes, its last piece held back until all of it is known to be right."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass

from rs_order.domain import download_reasons as reasons
from rs_order.domain.ids import OrderId, Tenant
from rs_order.downloads.content_check import ContentCheck
from rs_order.downloads.fetching import finish_anyway
from rs_order.downloads.settle import Settle
from rs_order.ports import FetchError, FetchResult, FileOutcome, FileSources, FileToDownload


@dataclass(frozen=True, slots=True)
class FileRequest:
    """Who wants which file of which order."""

    tenant: Tenant
    order_id: OrderId
    file: FileToDownload
    email: str
    """The user in whose name the file is fetched, and whose quota it is charged to."""


@dataclass(slots=True)
class FileReport:
    """How a download went, for the log."""

    result: FetchResult | None = None
    reason: str | None = None


class Delivery:
    """A file on its way to a user: a piece of it is at hand, the last one only when all is right."""

    def __init__(
        self,
        file: FileToDownload,
        headers: Mapping[str, str],
        verified: AsyncGenerator[bytes, None],
        first: bytes | None,
    ) -> None:
        self.file = file
        self.headers = headers
        """What the source says of the file."""
        self.whole = False
        """Whether all of it was taken."""
        self._verified = verified
        self._first = first

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """The file. Resumed after its last piece when that was taken.

        Raises:
            FetchError: the source broke off, or these aren't the bytes of the file.
        """
        if self._first is not None:
            yield self._first
        async for piece in self._verified:
            yield piece
        self.whole = True


@asynccontextmanager
async def deliver(
    settle: Settle, sources: FileSources, request: FileRequest, report: FileReport
) -> AsyncIterator[Delivery]:
    """Open a file, and settle it on leaving.

    The file is DOWNLOADED if all of its pieces were taken. It is DOWNLOAD_ERROR if the reader left
    earlier, was cancelled, or couldn't be given the right bytes. An exceeded quota leaves it as it is
    (domain.md 11.2; decisions.md, Quota).

    Raises:
        FetchError: on entering: there is nothing to send. The file is settled then, too.
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
        whole = delivery is not None and delivery.whole
        outcome = _downloaded(request) if whole else _failed(request, failure, opened, check)
        report.result, report.reason = outcome.result, outcome.reason
        await finish_anyway(settle(request.tenant, request.order_id, [outcome]))


async def _verified(
    chunks: AsyncIterator[bytes], check: ContentCheck
) -> AsyncGenerator[bytes, None]:
    """The chunks, each once the next has come, and the last one once all are known to be right."""
    held: bytes | None = None
    async for chunk in chunks:
        if not check.accept(chunk):
            break
        if held is not None:
            yield held
        held = chunk
    problem = check.problem()
    if problem is not None:
        raise problem
    if held is not None:
        yield held


def _downloaded(request: FileRequest) -> FileOutcome:
    return FileOutcome(request.file.id, FetchResult.DOWNLOADED)


def _failed(
    request: FileRequest, error: FetchError | None, opened: bool, check: ContentCheck
) -> FileOutcome:
    """How a file failed; without an error it is the client who has gone."""
    file = request.file
    if error is None or (opened and error.result is FetchResult.FAILED and not file.external):
        short = reasons.short_retrieval(check.received, file.size)
        return FileOutcome(file.id, FetchResult.FAILED, short)
    return FileOutcome(file.id, error.result, error.reason)
