"""rs-admin: users, roles, registered endpoints and notifications (remote-services.md 5)."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Request
from starlette.responses import Response

from rs_order.sandbox.answers import answer, failure, item
from rs_order.sandbox.directory import Directory, user_json
from rs_order.sandbox.gate import caller
from rs_order.sandbox.roles import Roles


def admin_router(directory: Directory, roles: Roles) -> APIRouter:
    router = APIRouter(prefix="/rs-admin")

    @router.get("/users/email/{email}")
    async def user(request: Request, email: str) -> Response:
        tenant = caller(request).tenant
        found = directory.find(email, tenant)
        if found is None:
            return failure(404, f"User {email} does not exist")
        return answer(item(user_json(found, roles.json(tenant, found.role))))

    @router.get("/users/email/{email}/admin")
    async def is_admin(request: Request, email: str) -> Response:
        tenant = caller(request).tenant
        found = directory.find(email, tenant)
        return answer(found is not None and roles.is_admin(tenant, found.role))

    @router.post("/resources/microservices/{service}")
    async def register(
        request: Request, service: str, endpoints: Annotated[list[dict[str, Any]], Body()]
    ) -> Response:
        try:
            roles.register(caller(request).tenant, service, endpoints)
        except (KeyError, TypeError) as error:
            return failure(422, f"Endpoint without {error}: see remote-services.md 5.3")
        return Response(status_code=200)

    @router.get("/roles")
    async def all_roles(request: Request) -> Response:
        tenant = caller(request).tenant
        return answer([item(roles.json(tenant, name)) for name in roles.names(tenant)])

    @router.get("/roles/{role}/resources/{service}")
    async def role_resources(request: Request, role: str, service: str) -> Response:
        found = roles.resources(caller(request).tenant, role, service)
        if found is None:
            return failure(404, f"Role {role} does not exist")
        return answer([item(resource) for resource in found])

    return router
