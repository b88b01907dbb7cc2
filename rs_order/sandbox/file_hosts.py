"""The services that serve files: rs-storage (remote-services.md 3.4), rs-dam (2.9), the external host.

rs-storage enforces quotas. The external host serves files that the archive only references.
"""

from __future__ import annotations

from collections import Counter

from fastapi import APIRouter, Request
from starlette.responses import PlainTextResponse, Response

from rs_order.sandbox.catalog_entities import EntityWriter
from rs_order.sandbox.faults import Faults
from rs_order.sandbox.file_download import Download
from rs_order.sandbox.gate import caller
from rs_order.sandbox.holdings import Holdings
from rs_order.sandbox.identities import Identity
from rs_order.sandbox.products import DataFile, Location
from rs_order.sandbox.restores import Readiness, Restores
from rs_order.sandbox.service_answers import answer, failure


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
