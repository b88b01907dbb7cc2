"""The ``/sandbox`` API of the platform's contents: projects, roles, datasets, users and processes.

It makes the changes of an administrator, and the platform publishes the same events.
"""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel

from rs_order.sandbox.process_catalog import Process, RightsChange
from rs_order.sandbox.published_events import ConnectionEvent
from rs_order.sandbox.role_registry import Role, UnknownError
from rs_order.sandbox.simulated_platform import Sandbox
from rs_order.sandbox.synthetic import SyntheticDataset
from rs_order.sandbox.user_directory import User


class Endpoint(BaseModel):
    """An endpoint of a service."""

    service: str = "rs-order"
    resource: str
    verb: str


class Announcement(BaseModel):
    """A change of a service's connection to a project's database."""

    event: ConnectionEvent
    service: str = "rs-order"


class DatasetView(BaseModel):
    id: str
    urn: str
    products: int


def platform_control_router(sandbox: Sandbox) -> APIRouter:
    router = APIRouter(prefix="/sandbox", tags=["sandbox"])
    _add_tenants(router, sandbox)
    _add_roles(router, sandbox)
    _add_datasets(router, sandbox)
    _add_users(router, sandbox)
    _add_processes(router, sandbox)
    return router


def _add_tenants(router: APIRouter, sandbox: Sandbox) -> None:
    @router.put("/tenants/{tenant}", status_code=204)
    async def add_tenant(tenant: str) -> None:
        """Add a project and publish its events."""
        sandbox.add_tenant(tenant)

    @router.delete("/tenants/{tenant}", status_code=204)
    async def remove_tenant(tenant: str) -> None:
        """Remove a project and publish its events."""
        if not sandbox.remove_tenant(tenant):
            raise HTTPException(404, f"No tenant {tenant}")

    @router.post("/tenants/{tenant}/connection", status_code=204)
    async def announce_connection(tenant: str, wanted: Announcement) -> None:
        """Change a service's connection to a project and publish the event."""
        sandbox.announce_connection(tenant, wanted.event, wanted.service)

    @router.post("/tenants/{tenant}/initialised", status_code=204)
    async def initialise(tenant: str) -> None:
        """Request all services to register their endpoints, as a new rs-admin does."""
        sandbox.initialise_rights(tenant)


def _add_roles(router: APIRouter, sandbox: Sandbox) -> None:
    @router.put("/tenants/{tenant}/roles/{name}", status_code=204)
    async def put_role(tenant: str, name: str, role: Role) -> None:
        """Add or change a role and publish the event."""
        try:
            sandbox.put_role(tenant, name, role)
        except UnknownError as error:
            raise HTTPException(422, str(error)) from error

    @router.delete("/tenants/{tenant}/roles/{name}", status_code=204)
    async def remove_role(tenant: str, name: str) -> None:
        """Remove a role that isn't native and publish the event."""
        try:
            sandbox.remove_role(tenant, name)
        except UnknownError as error:
            raise HTTPException(404, str(error)) from error

    @router.post("/tenants/{tenant}/roles/{name}/grant", status_code=204)
    async def grant(tenant: str, name: str, endpoint: Endpoint) -> None:
        """Grant an endpoint to a role and publish the event."""
        try:
            sandbox.grant(tenant, name, endpoint.resource, endpoint.verb, endpoint.service)
        except UnknownError as error:
            raise HTTPException(404, str(error)) from error

    @router.post("/tenants/{tenant}/roles/{name}/revoke", status_code=204)
    async def revoke(tenant: str, name: str, endpoint: Endpoint) -> None:
        """Revoke an endpoint from a role and publish the event."""
        try:
            sandbox.revoke(tenant, name, endpoint.resource, endpoint.verb, endpoint.service)
        except UnknownError as error:
            raise HTTPException(404, str(error)) from error


def _add_datasets(router: APIRouter, sandbox: Sandbox) -> None:
    @router.get("/datasets")
    async def datasets() -> list[DatasetView]:
        """The datasets of the catalog; their URNs have the placeholder tenant."""
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


def _add_users(router: APIRouter, sandbox: Sandbox) -> None:
    @router.put("/users/{email}", status_code=204)
    async def put_user(email: str, user: User) -> None:
        """Add a user, in place of one with this e-mail."""
        sandbox.directory.put(user.model_copy(update={"email": email}))

    @router.delete("/users/{email}", status_code=204)
    async def remove_user(email: str) -> None:
        if not sandbox.directory.remove(email):
            raise HTTPException(404, f"No user {email}")


def _add_processes(router: APIRouter, sandbox: Sandbox) -> None:
    @router.get("/processes")
    async def processes() -> list[Process]:
        """The processes that rs-processing offers."""
        return list(sandbox.processes)

    @router.put("/processes/{id_}", status_code=204)
    async def put_process(id_: UUID, process: Process) -> None:
        """Offer a process, in place of one with this id."""
        sandbox.processes.add(process.model_copy(update={"id": id_}))

    @router.post("/processes/{id_}/rights", status_code=204)
    async def change_rights(id_: UUID, change: RightsChange) -> None:
        """Publish a change of a process's rights, or its deletion."""
        sandbox.publish_rights(id_, change)

    @router.delete("/processes/{id_}", status_code=204)
    async def remove_process(id_: UUID) -> None:
        if not sandbox.processes.remove(id_):
            raise HTTPException(404, f"No process {id_}")
