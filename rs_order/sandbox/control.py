"""The ``/sandbox`` API: see what happened, and change what happens next, without a token."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Body, HTTPException
from pydantic import BaseModel, ValidationError

from rs_order.sandbox.faults import Faults
from rs_order.sandbox.process_catalog import Process, RightsChange
from rs_order.sandbox.records import Mail
from rs_order.sandbox.simulated_platform import Sandbox
from rs_order.sandbox.synthetic import SyntheticDataset
from rs_order.sandbox.user_directory import User


class Chosen(BaseModel):
    """Some checksums, or all of them when None."""

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


class DatasetView(BaseModel):
    id: str
    urn: str
    products: int


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
    _add_contents(router, sandbox)
    _add_processes(router, sandbox)
    return router


def _add_faults(router: APIRouter, sandbox: Sandbox) -> None:
    @router.get("/faults")
    async def faults() -> Faults:
        """What goes wrong at the moment."""
        return sandbox.faults

    @router.put("/faults")
    async def replace_faults(wanted: Faults) -> Faults:
        """Exactly these faults and no other."""
        sandbox.faults.become(wanted)
        return sandbox.faults

    @router.patch("/faults")
    async def change_faults(changes: Annotated[dict[str, Any], Body()]) -> Faults:
        """Change the faults named, leave the others."""
        try:
            wanted = Faults.model_validate(sandbox.faults.model_dump() | changes)
        except ValidationError as error:
            raise HTTPException(422, str(error)) from error
        sandbox.faults.become(wanted)
        return sandbox.faults

    @router.post("/reset", status_code=204)
    async def reset() -> None:
        """Forget faults, records, waits, restored files, added users and processes, changed rights."""
        sandbox.reset()


def _add_records(router: APIRouter, sandbox: Sandbox) -> None:
    @router.get("/calls")
    async def calls(service: str | None = None) -> CallsView:
        """The last calls, oldest first, and how many there were of each service."""
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
        """Events given to the broker after the one of number ``since``."""
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
        """What storage was asked to bring back, and what it still waits for."""
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
        """Answer waits now, whatever their time, silent ones too."""
        return Count(count=sandbox.restores.release(chosen.checksums))

    @router.post("/restores/expire")
    async def expire(chosen: Chosen) -> Count:
        """End the availability of restored files now."""
        return Count(count=sandbox.restores.expire(chosen.checksums))


def _add_contents(router: APIRouter, sandbox: Sandbox) -> None:
    @router.get("/datasets")
    async def datasets() -> list[DatasetView]:
        """What the catalog holds; URNs carry the placeholder tenant."""
        return [
            DatasetView(id=one.dataset.id, urn=one.dataset.urn, products=len(one))
            for one in sandbox.holdings
        ]

    @router.post("/datasets", status_code=201)
    async def add_dataset(spec: SyntheticDataset) -> DatasetView:
        """Generate a dataset and serve it."""
        added = await sandbox.add_dataset(spec)
        return DatasetView(id=added.dataset.id, urn=added.dataset.urn, products=len(added))

    @router.delete("/datasets/{name}", status_code=204)
    async def remove_dataset(name: str) -> None:
        if not sandbox.holdings.remove(name):
            raise HTTPException(404, f"No dataset {name}")

    @router.put("/users/{email}", status_code=204)
    async def put_user(email: str, user: User) -> None:
        """Add a user, or replace the one of this e-mail."""
        sandbox.directory.put(user.model_copy(update={"email": email}))

    @router.delete("/users/{email}", status_code=204)
    async def remove_user(email: str) -> None:
        if not sandbox.directory.remove(email):
            raise HTTPException(404, f"No user {email}")


def _add_processes(router: APIRouter, sandbox: Sandbox) -> None:
    @router.get("/processes")
    async def processes() -> list[Process]:
        """What rs-processing offers."""
        return list(sandbox.processes)

    @router.put("/processes/{id_}", status_code=204)
    async def put_process(id_: UUID, process: Process) -> None:
        """Offer a process, or replace the one of this id."""
        sandbox.processes.add(process.model_copy(update={"id": id_}))

    @router.post("/processes/{id_}/rights", status_code=204)
    async def change_rights(id_: UUID, change: RightsChange) -> None:
        """Tell the platform that the rights of a process changed, or that it is gone."""
        sandbox.publish_rights(id_, change)

    @router.get("/executions")
    async def executions() -> list[ExecutionView]:
        """What rs-processing was asked to do, oldest first."""
        return [
            ExecutionView(
                tenant=one.tenant,
                process_id=one.batch.process.id,
                batch_correlation_id=one.batch.correlation_id,
                correlation_id=one.correlation_id,
                inputs=list(one.inputs),
                at=one.at,
            )
            for one in sandbox.executions.asked
        ]

    @router.delete("/processes/{id_}", status_code=204)
    async def remove_process(id_: UUID) -> None:
        if not sandbox.processes.remove(id_):
            raise HTTPException(404, f"No process {id_}")
