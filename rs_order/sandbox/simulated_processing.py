"""rs-processing over HTTP: processes and batches (remote-services.md 4.1, 4.2)."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from rs_order.sandbox.faults import Faults
from rs_order.sandbox.gate import caller
from rs_order.sandbox.process_catalog import Processes
from rs_order.sandbox.process_executions import BatchBody, Executions
from rs_order.sandbox.service_protocol import answer, failure


def processing_router(processes: Processes, executions: Executions, faults: Faults) -> APIRouter:
    router = APIRouter(prefix="/rs-processing")

    @router.get("/process")
    async def all_processes(request: Request) -> Response:
        identity = caller(request)
        return answer([process.described_to(identity) for process in processes])

    @router.get("/process/{id_}")
    async def process(request: Request, id_: str) -> Response:
        """Describe a process. An unknown id is no error: the response is 200 without a body."""
        found = processes.find(id_)
        return answer(found.described_to(caller(request))) if found else Response(b"")

    @router.post("/batch")
    async def make_batch(request: Request, body: BatchBody) -> Response:
        if faults.batch_status is not None:
            return failure(faults.batch_status, "Sandbox: batches are rejected")
        batch = executions.make_batch(caller(request), body)
        if batch is None:
            return failure(500, f"No process {body.processBusinessId}")
        return answer({"batchId": str(batch.id), "correlationId": batch.correlation_id})

    return router
