"""The address of an order's zip (rest.md 10.3): an archive, or a stream (faces.md R-12, R-13)."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractContextManager, aclosing
from dataclasses import asdict
from datetime import timedelta
from typing import Any, Final

from fastapi import APIRouter, Request, Response

from rs_order.domain.archives import Archive, ArchiveFormat
from rs_order.domain.identity import Caller
from rs_order.domain.ids import OrderId
from rs_order.domain.parts import Part
from rs_order.domain.settings import ZipMode
from rs_order.downloads import streaming
from rs_order.downloads.archive_plan import CannotBeArchived
from rs_order.downloads.archive_reader import ArchiveRequest, EntryFailed
from rs_order.downloads.archive_routes import ArchiveServices, address_of, failure
from rs_order.downloads.fetching import finish_anyway
from rs_order.downloads.make_archives import NothingAvailable
from rs_order.downloads.order_zip import ZipReport, ZipRequest, zip_order
from rs_order.downloads.routes import (
    TOO_MANY_DOWNLOADS,
    DownloadServices,
    counted_user,
    order_to_download,
)
from rs_order.downloads.streaming import Streamed, StreamedDownload, StreamedPart, name_for_order
from rs_order.ports import OrderToDownload
from rs_order.rest.access import Access, may_see_orders_of
from rs_order.rest.errors import HttpError
from rs_order.rest.middleware import facts_of, is_head
from rs_order.rest.parameters import OrderIdInPath
from rs_order.rest.ranges import Representation, check_preconditions, requested_part, strong_tags
from rs_order.rest.resources import DOWNLOAD_ORDER
from rs_order.rest.routing import AuthorisedCaller, Documented, Endpoints

GIVEN_AGAIN: Final = timedelta(hours=24)
"""The age up to which an archive is given to whoever asks for a part, after all of it was sent."""

_SILENT: Final = 0.9
"""The part of the longest silence after which it is storage that is waited for, and not the client."""
_NOT_RESUMABLE: Final = Representation(None, None)
_DOCUMENTED: Final[Documented] = {
    200: {
        "content": {"application/octet-stream": {}},
        "description": "The zip. If it has an `ETag`, it is the archive that `Content-Location` names, and "
        "can be downloaded in parts",
    },
    204: {"description": "The order has no available file"},
    206: {
        "content": {"application/octet-stream": {}},
        "description": "The part that `Range` names, of the archive that `If-Range` or `If-Match` names, "
        "else of the one that you were last given here",
    },
    304: {"description": "`If-None-Match` names the archive"},
}
_RESPONSES: Final = {
    404: "There is no such order",
    410: "A file turned out to be wrong, or the order has ended",
    412: "`If-Match` names another archive: download all of it again",
    416: "The range begins behind the end of the archive",
    429: f"{TOO_MANY_DOWNLOADS}. Or your quota at storage is used up, and a part begins in the next file",
    503: "The database or storage doesn't respond, and a part begins in the next file; see `Retry-After`",
}


def zips_router(access: Access, services: DownloadServices, archives: ArchiveServices) -> APIRouter:
    endpoints = Endpoints(access, tag="downloads")

    @endpoints.serve(DOWNLOAD_ORDER, responses=_RESPONSES, documented=_DOCUMENTED)
    async def download_order(
        request: Request, caller: AuthorisedCaller, order_id: OrderIdInPath
    ) -> Response:
        """Return the available files of an order as one zip (rest.md 10.3)."""
        order = await order_to_download(services, request, caller, OrderId(order_id))
        if not may_see_orders_of(access.roles, caller, order.owner):
            raise HttpError(403)
        return await _OrderZip(services, archives, request, caller, order).answer()

    return endpoints.router


class _OrderZip:
    """Answers one request for the zip of an order."""

    def __init__(
        self,
        services: DownloadServices,
        archives: ArchiveServices,
        request: Request,
        caller: Caller,
        order: OrderToDownload,
    ) -> None:
        self._services = services
        self._archives = archives
        self._request = request
        self._caller = caller
        self._order = order

    async def answer(self) -> Response:
        """Return a part of an archive that was begun, else all that is available now."""
        begun = await self._begun()
        if begun is not None:
            return self._part(begun, requested_part(self._request, _what(begun)))
        if not self._order.has_available_files:
            return Response(status_code=204)
        archive = await self._to_give()
        if archive is None:
            check_preconditions(self._request, _NOT_RESUMABLE)
            return self._stream()
        check_preconditions(self._request, _what(archive))
        return self._whole(archive)

    async def _begun(self) -> Archive | None:
        """Return the archive of which a part is asked for; None to begin anew.

        Tools such as curl, wget and aria2 send no validator: they go on with what they were given last.
        """
        headers = self._request.headers
        if is_head(self._request.scope) or "Range" not in headers:
            return None
        tenant, order = self._caller.tenant, self._order.id
        validator = (headers.get("If-Range") or headers.get("If-Match", "*")).strip()
        if tags := strong_tags(validator):
            return await self._archives.archives.with_tag(tenant, order, tags)
        sent_after = self._services.clock.now() - GIVEN_AGAIN
        given = await self._archives.archives.given(tenant, order, self._caller.email, sent_after)
        if given is None or validator not in {"*", _what(given.archive).date}:
            return None
        return given.archive

    async def _to_give(self) -> Archive | None:
        """Return the archive of all that is available now, or None to send a stream."""
        tenant, order, email = self._caller.tenant, self._order.id, self._caller.email
        if await self._services.zip_mode(tenant) is ZipMode.COMPACT or await self._failed_before():
            return None
        try:
            made = await self._archives.make.make(tenant, order, ArchiveFormat.ZIP)
        except (CannotBeArchived, NothingAvailable):
            return None
        await self._archives.archives.give(tenant, order, email, made)
        return await self._archives.archives.find(tenant, made)

    async def _failed_before(self) -> bool:
        """True if storage didn't deliver a file when the caller last downloaded their archive whole.

        Then they get a stream once: it has the other files, and says in ``NOTICE.txt`` what is missing. An
        archive whose length was announced can't leave a file out.
        """
        tenant, email = self._caller.tenant, self._caller.email
        now = self._services.clock.now()
        given = await self._archives.archives.given(tenant, self._order.id, email, now)
        if given is None or not given.failed:
            return False
        if not is_head(self._request.scope):
            await self._archives.archives.note_failed(tenant, given.archive, email, failed=False)
        return True

    def _part(self, archive: Archive, part: Part | None) -> Response:
        wanted = part or Part(0, archive.length)
        return self._sent(
            archive,
            self._pieces(archive, wanted),
            part,
            failed=lambda error: self._failure(archive, error),
        )

    def _whole(self, archive: Archive) -> Response:
        """Return the archive; a stream instead, if its first file fails before anything was sent."""

        def instead(error: Exception) -> Response | None:
            if isinstance(error, EntryFailed):
                return self._stream(error)
            return self._failure(archive, error)

        return self._sent(archive, self._watched(archive), None, failed=instead)

    async def _watched(self, archive: Archive) -> AsyncGenerator[bytes, None]:
        """Yield all of an archive; note it if storage fails behind the first bytes, or is silent."""
        started, asked_at = False, time.monotonic()
        try:
            async with aclosing(self._pieces(archive, Part(0, archive.length))) as pieces:
                async for piece in pieces:
                    started = True
                    yield piece
                    asked_at = time.monotonic()
        except EntryFailed as failed:
            if started and not failed.ends_archive:
                await self._note_failed(archive)
            raise
        except asyncio.CancelledError:
            # The response is cut because nothing came, or the client has left.
            if time.monotonic() - asked_at > _SILENT * streaming.LONGEST_SILENCE:
                await finish_anyway(self._note_failed(archive))
            raise

    async def _note_failed(self, archive: Archive) -> None:
        tenant, email = self._caller.tenant, self._caller.email
        await self._archives.archives.note_failed(tenant, archive, email, failed=True)

    def _pieces(self, archive: Archive, part: Part) -> AsyncGenerator[bytes, None]:
        wanted = ArchiveRequest(self._caller.tenant, archive, self._caller.email, part)
        return self._archives.deliveries.pieces(wanted)

    def _sent(
        self,
        archive: Archive,
        pieces: AsyncGenerator[bytes, None],
        part: Part | None,
        *,
        failed: Callable[[Exception], Response | None],
    ) -> Response:
        facts = facts_of(self._request.scope)
        facts["archive"] = f"a{archive.id}"
        answer = StreamedPart(
            pieces,
            _what(archive),
            part,
            filename=name_for_order(archive.order_id, archive.created_at, "zip"),
            kind="zip",
            failed=failed,
            on_end=lambda complete: facts.update(complete=complete),
            permit=self._permit(),
        )
        answer.headers["Content-Location"] = address_of(self._request, archive)
        return answer

    def _failure(self, archive: Archive, error: Exception) -> Response | None:
        """Return the response if nothing was sent; None for a defect. It is JSON as of REGARDS services."""
        answer = failure(self._request, archive, error)
        if answer is not None:
            answer.headers["Content-Type"] = "application/json"
        return answer

    def _stream(self, failed: EntryFailed | None = None) -> Streamed:
        """Return the zip that is compressed while it is sent.

        ``failed``: why it is sent instead of an archive.
        """
        facts, services = facts_of(self._request.scope), self._services
        now, report = services.clock.now(), ZipReport()
        settled = failed is not None and (failed.ends_archive or failed.error.is_gone)
        request = ZipRequest(
            self._caller.tenant,
            self._order.id,
            self._caller.email,
            now,
            services.zip_page,
            failed_before=[(failed.file, failed.error)] if failed and settled else [],
        )
        facts.pop("archive", None)
        return StreamedDownload(
            zip_order(services.orders, services.settle, services.sources, request, report),
            filename=name_for_order(self._order.id, now, "zip"),
            kind="zip",
            on_end=lambda complete: facts.update(_known(report), complete=complete),
            permit=self._permit(),
            headers=_NOT_RESUMABLE.headers,
        )

    def _permit(self) -> AbstractContextManager[None]:
        user = counted_user(self._caller, self._caller.email)
        return self._services.at_once.one_more(self._request, user)


def _what(archive: Archive) -> Representation:
    return Representation(archive.length, archive.tag, archive.created_at)


def _known(report: ZipReport) -> dict[str, Any]:
    return {name: value for name, value in asdict(report).items() if value is not None}
