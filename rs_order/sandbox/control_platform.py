"""The ``/sandbox`` API on projects and roles: what an administrator would change, told as it is told."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel

from rs_order.sandbox.admin_events import ConnectionEvent
from rs_order.sandbox.role_registry import Role, UnknownError
from rs_order.sandbox.simulated_platform import Sandbox


class Endpoint(BaseModel):
    """One endpoint of a service."""

    service: str = "rs-order"
    resource: str
    verb: str


class Announcement(BaseModel):
    """Something happened to a service's connection to a project's database."""

    event: ConnectionEvent
    service: str = "rs-order"


def platform_control_router(sandbox: Sandbox) -> APIRouter:
    router = APIRouter(prefix="/sandbox", tags=["sandbox"])
    _add_tenants(router, sandbox)
    _add_roles(router, sandbox)
    return router


def _add_tenants(router: APIRouter, sandbox: Sandbox) -> None:
    @router.put("/tenants/{tenant}", status_code=204)
    async def add_tenant(tenant: str) -> None:
        """Serve another project, and tell the platform by its tenant events."""
        sandbox.add_tenant(tenant)

    @router.delete("/tenants/{tenant}", status_code=204)
    async def remove_tenant(tenant: str) -> None:
        """Serve a project no more, and tell the platform."""
        if not sandbox.remove_tenant(tenant):
            raise HTTPException(404, f"No tenant {tenant}")

    @router.post("/tenants/{tenant}/connection", status_code=204)
    async def announce_connection(tenant: str, wanted: Announcement) -> None:
        """Change a service's connection to a project, and tell the platform."""
        sandbox.announce_connection(tenant, wanted.event, wanted.service)

    @router.post("/tenants/{tenant}/initialised", status_code=204)
    async def initialise(tenant: str) -> None:
        """Ask all services to register their endpoints, as a new rs-admin does."""
        sandbox.initialise_rights(tenant)


def _add_roles(router: APIRouter, sandbox: Sandbox) -> None:
    @router.put("/tenants/{tenant}/roles/{name}", status_code=204)
    async def put_role(tenant: str, name: str, role: Role) -> None:
        """Add a role or change one, and tell the platform."""
        try:
            sandbox.put_role(tenant, name, role)
        except UnknownError as error:
            raise HTTPException(422, str(error)) from error

    @router.delete("/tenants/{tenant}/roles/{name}", status_code=204)
    async def remove_role(tenant: str, name: str) -> None:
        """Remove a role that isn't native, and tell the platform."""
        try:
            sandbox.remove_role(tenant, name)
        except UnknownError as error:
            raise HTTPException(404, str(error)) from error

    @router.post("/tenants/{tenant}/roles/{name}/grant", status_code=204)
    async def grant(tenant: str, name: str, endpoint: Endpoint) -> None:
        """Let a role use an endpoint, and tell the platform."""
        try:
            sandbox.grant(tenant, name, endpoint.resource, endpoint.verb, endpoint.service)
        except UnknownError as error:
            raise HTTPException(404, str(error)) from error

    @router.post("/tenants/{tenant}/roles/{name}/revoke", status_code=204)
    async def revoke(tenant: str, name: str, endpoint: Endpoint) -> None:
        """Let a role use an endpoint no more, and tell the platform."""
        try:
            sandbox.revoke(tenant, name, endpoint.resource, endpoint.verb, endpoint.service)
        except UnknownError as error:
            raise HTTPException(404, str(error)) from error
