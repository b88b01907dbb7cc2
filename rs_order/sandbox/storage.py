"""rs-storage over HTTP: downloads by checksum, with quotas (remote-services.md 3.4)."""

from __future__ import annotations

from collections import Counter

from fastapi import APIRouter, Request
from starlette.responses import PlainTextResponse, Response

from rs_order.sandbox.faults import Faults
from rs_order.sandbox.gate import caller
from rs_order.sandbox.holdings import Holdings
from rs_order.sandbox.products import DataFile
from rs_order.sandbox.restores import Readiness, Restores
from rs_order.sandbox.streaming import Download
from rs_order.sandbox.tokens import Identity


class QuotaError(Exception):
    """The user may not download now; the message is the text of the 429."""


class Quotas:
    """How many RAWDATA files each user downloaded, and how many at this moment."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._files: Counter[tuple[str, str]] = Counter()
        self._running: Counter[tuple[str, str]] = Counter()

    def begin(self, identity: Identity) -> None:
        """Count a download that starts.

        Raises:
            QuotaError: it would exceed the number of files or of simultaneous downloads.
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

    def clear(self) -> None:
        self._files.clear()


def _check(what: str, maximum: int | None, wanted: int, email: str) -> None:
    if maximum is not None and wanted > maximum:
        excess = wanted - maximum
        raise QuotaError(f"Download {what} of {maximum} exceeded (by {excess}) for user {email}.")


_STATUS = {Readiness.COMING: 202, Readiness.ABSENT: 410}


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

    def _counted(file: DataFile, identity: Identity) -> Response:
        try:
            quotas.begin(identity)
        except QuotaError as error:
            return PlainTextResponse(str(error), 429)
        return Download(file, faults, on_end=lambda: quotas.end(identity))

    return router
