"""The ``/sandbox`` API of faults and records: read what happened, and change what happens next.

It requires no token.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Body, HTTPException
from pydantic import BaseModel, ValidationError

from rs_order.sandbox.faults import Faults
from rs_order.sandbox.records import Mail
from rs_order.sandbox.simulated_platform import Sandbox


class Chosen(BaseModel):
    """A choice of checksums; None for all."""

    checksums: set[str] | None = None


class Count(BaseModel):
    count: int


class CallView(BaseModel):
    service: str
    verb: str
    path: str
    tenant: str | None
    role: str | None
    email: str | None
    at: datetime
    status: int | None


class CallsView(BaseModel):
    counters: dict[str, int]
    calls: list[CallView]


class RestoreView(BaseModel):
    tenant: str
    group_id: str
    checksums: list[str]
    availability_hours: int
    at: datetime


class RestoresView(BaseModel):
    requested: int
    requests: list[RestoreView]
    pending: list[str]


class NotificationView(BaseModel):
    tenant: str
    body: dict[str, Any]
    at: datetime


class EventView(BaseModel):
    number: int
    type: str
    tenant: str
    body: dict[str, Any]


class ExecutionView(BaseModel):
    tenant: str
    process_id: UUID
    batch_correlation_id: str
    correlation_id: str
    inputs: list[dict[str, Any]]
    at: datetime


def control_router(sandbox: Sandbox) -> APIRouter:
    router = APIRouter(prefix="/sandbox", tags=["sandbox"])
    _add_faults(router, sandbox)
    _add_records(router, sandbox)
    _add_restores(router, sandbox)
    _add_executions(router, sandbox)
    return router


def _add_faults(router: APIRouter, sandbox: Sandbox) -> None:
    @router.get("/faults")
    async def faults() -> Faults:
        """The active faults."""
        return sandbox.faults

    @router.put("/faults")
    async def replace_faults(wanted: Faults) -> Faults:
        """Replace all faults."""
        sandbox.faults.become(wanted)
        return sandbox.faults

    @router.patch("/faults")
    async def change_faults(changes: Annotated[dict[str, Any], Body()]) -> Faults:
        """Change the given faults and keep the others."""
        try:
            wanted = Faults.model_validate(sandbox.faults.model_dump() | changes)
        except ValidationError as error:
            raise HTTPException(422, str(error)) from error
        sandbox.faults.become(wanted)
        return sandbox.faults

    @router.post("/reset", status_code=204)
    async def reset() -> None:
        """Clear faults, records, pending and restored files, added users and processes, changed rights."""
        sandbox.reset()


def _add_records(router: APIRouter, sandbox: Sandbox) -> None:
    @router.get("/calls")
    async def calls(service: str | None = None) -> CallsView:
        """The last calls, oldest first, and the number of calls of each service."""
        return CallsView(
            counters=dict(sandbox.calls.counters),
            calls=[CallView(**asdict(call)) for call in sandbox.calls.recent(service)],
        )

    @router.get("/notifications")
    async def notifications() -> list[NotificationView]:
        received = sandbox.notifications.received
        return [NotificationView(tenant=one.tenant, body=one.body, at=one.at) for one in received]

    @router.get("/emails")
    async def emails() -> list[Mail]:
        return sandbox.mailbox.mails

    @router.get("/events")
    async def events(since: int = 0) -> list[EventView]:
        """Events that were sent to the broker after the one with the number ``since``."""
        return [
            EventView(
                number=sent.number,
                type=sent.event.type,
                tenant=sent.event.tenant,
                body=sent.event.body,
            )
            for sent in sandbox.events_since(since)
        ]


def _add_restores(router: APIRouter, sandbox: Sandbox) -> None:
    @router.get("/restores")
    async def restores() -> RestoresView:
        """The restoration requests, and the checksums of pending restorations."""
        return RestoresView(
            requested=sandbox.restores.requested,
            requests=[
                RestoreView(
                    tenant=request.tenant,
                    group_id=request.group_id,
                    checksums=list(request.checksums),
                    availability_hours=request.availability_hours,
                    at=request.at,
                )
                for request in sandbox.restores.requests
            ],
            pending=sandbox.restores.pending,
        )

    @router.post("/restores/release")
    async def release(chosen: Chosen) -> Count:
        """Answer pending restorations now, silent ones too."""
        return Count(count=sandbox.restores.release(chosen.checksums))

    @router.post("/restores/expire")
    async def expire(chosen: Chosen) -> Count:
        """End the availability of restored files now."""
        return Count(count=sandbox.restores.expire(chosen.checksums))


def _add_executions(router: APIRouter, sandbox: Sandbox) -> None:
    @router.get("/executions")
    async def executions() -> list[ExecutionView]:
        """The requested executions, oldest first."""
        return [
            ExecutionView(
                tenant=one.tenant,
                process_id=one.batch.process.id,
                batch_correlation_id=one.batch.correlation_id,
                correlation_id=one.correlation_id,
                inputs=list(one.inputs),
                at=one.at,
            )
            for one in sandbox.executions.requested
        ]
