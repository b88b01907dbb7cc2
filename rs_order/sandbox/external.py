"""The host of files that the archive only references: plain downloads without token."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from rs_order.sandbox.faults import Faults
from rs_order.sandbox.holdings import Holdings
from rs_order.sandbox.products import Location
from rs_order.sandbox.streaming import Download


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
