"""The services that serve files: rs-storage (remote-services.md 3.4), rs-dam (2.9), the external host.

rs-storage enforces quotas. The external host serves files that the archive only references.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, Request
from pydantic import BaseModel
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from rs_order.sandbox.catalog_entities import EntityWriter
from rs_order.sandbox.faults import Faults, concerns
from rs_order.sandbox.gate import caller
from rs_order.sandbox.holdings import Holdings
from rs_order.sandbox.http_server import hang_up
from rs_order.sandbox.products import DataFile, Location
from rs_order.sandbox.restores import Readiness, Restores
from rs_order.sandbox.service_protocol import Identity, answer, failure

_INVERTED = bytes(255 - byte for byte in range(256))
"""A translation table that changes every byte."""
_LONGEST_PAUSE_SECONDS = 0.1


class Download(Response):
    def __init__(
        self,
        file: DataFile,
        faults: Faults,
        *,
        on_end: Callable[[], None] = lambda: None,
    ) -> None:
        """Create a response that streams a file.

        Args:
            file: the file to send.
            faults: checked now for the headers, and during the transfer for the content.
            on_end: called once after the download, whether it is complete or not.
        """
        super().__init__(media_type=file.mime_type)
        self._file = file
        self._faults = faults
        self._on_end = on_end
        self._sent_size = file.size // 2 if self._has(faults.truncated) else file.size
        del self.headers["content-length"]
        if not self._has(faults.without_length):
            self.headers["content-length"] = str(self._sent_size)
        self.headers["content-disposition"] = _attachment(file.filename)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._stream(scope, receive, send)
        finally:
            self._on_end()

    async def _stream(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        cut_at = self._file.size // 2 if self._has(self._faults.cut) else None
        async for chunk in self._chunks(cut_at if cut_at is not None else self._sent_size):
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        if cut_at is not None:
            await hang_up(scope, receive)
        else:
            await send({"type": "http.response.body", "body": b""})

    async def _chunks(self, size: int) -> AsyncIterator[bytes]:
        """Yield the first ``size`` bytes, changed and slowed down by the faults."""
        left = size
        for chunk in self._file.content.chunks():
            if left == 0:
                return
            taken = chunk[:left]
            left -= len(taken)
            await self._slow_down(len(taken))
            yield taken.translate(_INVERTED) if self._has(self._faults.wrong_bytes) else taken

    async def _slow_down(self, size: int) -> None:
        """Wait as long as so many bytes take. A change of the speed applies at once."""
        left = float(size)
        while left > 0 and (speed := self._faults.slow_bytes_per_second):
            pause = min(left / speed, _LONGEST_PAUSE_SECONDS)
            await asyncio.sleep(pause)
            left -= pause * speed

    def _has(self, checksums: set[str]) -> bool:
        return concerns(checksums, self._file.checksum)


def _attachment(filename: str) -> str:
    """Return the Content-Disposition of a download (RFC 6266), with the plain name if it is ASCII."""
    if filename.isascii() and '"' not in filename and "\\" not in filename:
        return f'attachment; filename="{filename}"'
    return f"attachment; filename*=UTF-8''{quote(filename)}"


class Checksums(BaseModel):
    """The files whose availability is asked for."""

    checksums: list[str]


class QuotaError(Exception):
    """The user may not download now; the message is the body of the 429."""


class Quotas:
    """Count the RAWDATA files that each user downloaded, and their downloads at the moment."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._files: Counter[tuple[str, str]] = Counter()
        self._running: Counter[tuple[str, str]] = Counter()

    def begin(self, identity: Identity) -> None:
        """Count the start of a download.

        Raises:
            QuotaError: it would exceed the limit of files or of simultaneous downloads.
        """
        key = (identity.tenant, identity.email)
        limits = self._faults.quotas.get(identity.email)
        if limits is not None:
            _check("quota", limits.max_files, self._files[key] + 1, identity.email)
            _check("rate", limits.max_rate, self._running[key] + 1, identity.email)
        self._files[key] += 1
        self._running[key] += 1

    def end(self, identity: Identity) -> None:
        self._running[identity.tenant, identity.email] -= 1

    def current(self, identity: Identity, email: str) -> dict[str, Any]:
        """Return the limits of a user, and what they have used."""
        key, limits = (identity.tenant, email), self._faults.quotas.get(email)
        return {
            "email": email,
            "maxQuota": _limit(limits.max_files if limits else None),
            "rateLimit": _limit(limits.max_rate if limits else None),
            "currentQuota": self._files[key],
            "currentRate": self._running[key],
        }

    def clear(self) -> None:
        self._files.clear()


def _check(what: str, maximum: int | None, wanted: int, email: str) -> None:
    if maximum is not None and wanted > maximum:
        excess = wanted - maximum
        raise QuotaError(f"Download {what} of {maximum} exceeded (by {excess}) for user {email}.")


def _limit(maximum: int | None) -> int:
    return -1 if maximum is None else maximum


_STATUS = {Readiness.PENDING: 202, Readiness.ABSENT: 410}


def storage_router(
    holdings: Holdings, restores: Restores, quotas: Quotas, faults: Faults
) -> APIRouter:
    router = APIRouter(prefix="/rs-storage")

    @router.get("/files/{checksum}/download")
    async def download(request: Request, checksum: str) -> Response:
        file = await holdings.stored_file(checksum)
        if file is None:
            return Response(status_code=404)
        identity = caller(request)
        readiness = restores.readiness(identity.tenant, file)
        if readiness is not Readiness.READY:
            return Response(status_code=_STATUS[readiness])
        return _counted(file, identity) if file.type == "RAWDATA" else Download(file, faults)

    @router.get("/quota/current/{email}")
    async def current_quota(request: Request, email: str) -> Response:
        return answer(quotas.current(caller(request), email))

    @router.post("/resources/availability/status")
    async def availability(request: Request, wanted: Checksums) -> Response:
        tenant, found = caller(request).tenant, []
        for checksum in wanted.checksums:
            file = await holdings.stored_file(checksum)
            ready = file is not None and restores.readiness(tenant, file) is Readiness.READY
            found.append({"checksum": checksum, "available": ready})
        return answer(found)

    def _counted(file: DataFile, identity: Identity) -> Response:
        try:
            quotas.begin(identity)
        except QuotaError as error:
            return PlainTextResponse(str(error), 429)
        return Download(file, faults, on_end=lambda: quotas.end(identity))

    return router


def dam_router(holdings: Holdings, faults: Faults) -> APIRouter:
    router = APIRouter(prefix="/rs-dam")

    @router.get("/datasets/ipId/{urn}")
    async def dataset(request: Request, urn: str) -> Response:
        tenant = caller(request).tenant
        holding = holdings.of_dataset(urn, tenant)
        if holding is None:
            return failure(404, f"Dataset {urn} does not exist")
        writer = EntityWriter(tenant, str(request.base_url), faults)
        return answer(writer.dataset_entity(holding.dataset))

    @router.get("/entities/{urn}/files/{checksum}")
    async def attached_file(request: Request, urn: str, checksum: str) -> Response:
        holding = holdings.of_dataset(urn, caller(request).tenant)
        attached = holding.dataset.files if holding else ()
        for file in attached:
            if file.checksum == checksum and file.location is Location.DAM:
                return Download(file, faults)
        return failure(404, f"Entity {urn} has no attached file of checksum {checksum}")

    @router.get("/models/attributes")
    async def attributes() -> Response:
        return answer([])

    return router


def external_router(holdings: Holdings, faults: Faults) -> APIRouter:
    router = APIRouter(prefix="/external")

    @router.get("/{dataset_id}/{filename}")
    async def download(dataset_id: str, filename: str) -> Response:
        holding = holdings.named(dataset_id)
        file = holding.file_named(filename) if holding else None
        if file is None or file.location is not Location.EXTERNAL:
            return Response(status_code=404)
        return Download(file, faults)

    return router
