"""rs-dam: datasets and the files attached to them (remote-services.md 2.9)."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from rs_order.sandbox.answers import answer, failure
from rs_order.sandbox.entities import Writer
from rs_order.sandbox.faults import Faults
from rs_order.sandbox.gate import caller
from rs_order.sandbox.holdings import Holdings
from rs_order.sandbox.products import Location
from rs_order.sandbox.streaming import Download


def dam_router(holdings: Holdings, faults: Faults) -> APIRouter:
    router = APIRouter(prefix="/rs-dam")

    @router.get("/datasets/ipId/{urn}")
    async def dataset(request: Request, urn: str) -> Response:
        tenant = caller(request).tenant
        holding = holdings.of_dataset(urn, tenant)
        if holding is None:
            return failure(404, f"Dataset {urn} does not exist")
        writer = Writer(tenant, str(request.base_url), faults)
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
