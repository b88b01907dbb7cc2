"""rs-admin: users, roles, registered endpoints and notifications (remote-services.md 5)."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Request
from starlette.responses import Response

from rs_order.sandbox.answers import answer, failure, item
from rs_order.sandbox.directory import PARENTS, Directory, includes, role_json, user_json
from rs_order.sandbox.gate import caller

_Endpoint = tuple[str, str]
"""Path template and verb."""


class Resources:
    """Endpoints that services registered, by tenant and service."""

    def __init__(self) -> None:
        self._registered: dict[tuple[str, str], dict[_Endpoint, dict[str, Any]]] = {}

    def register(self, tenant: str, service: str, endpoints: list[dict[str, Any]]) -> None:
        """Add the endpoints that aren't known yet; known ones keep what admins changed."""
        known = self._registered.setdefault((tenant, service), {})
        for endpoint in endpoints:
            key = (endpoint["fullPath"], endpoint["method"])
            known.setdefault(key, _resource(len(known) + 1, service, endpoint))

    def of_role(self, tenant: str, service: str, role: str) -> list[dict[str, Any]]:
        known = self._registered.get((tenant, service), {})
        return [res for res in known.values() if includes(role, res["defaultRole"])]

    def clear(self) -> None:
        self._registered.clear()


def _resource(number: int, service: str, endpoint: dict[str, Any]) -> dict[str, Any]:
    access = endpoint["resourceAccess"]
    return {
        "id": number,
        "description": access.get("description", ""),
        "microservice": service,
        "controllerSimpleName": endpoint.get("controllerSimpleName", ""),
        "resource": endpoint["fullPath"],
        "verb": endpoint["method"],
        "defaultRole": access["role"],
    }


def admin_router(directory: Directory, resources: Resources) -> APIRouter:
    router = APIRouter(prefix="/rs-admin")

    @router.get("/users/email/{email}")
    async def user(request: Request, email: str) -> Response:
        found = directory.find(email, caller(request).tenant)
        if found is None:
            return failure(404, f"User {email} does not exist")
        return answer(item(user_json(found)))

    @router.get("/users/email/{email}/admin")
    async def is_admin(request: Request, email: str) -> Response:
        return answer(directory.is_admin(email, caller(request).tenant))

    @router.post("/resources/microservices/{service}")
    async def register(
        request: Request, service: str, endpoints: Annotated[list[dict[str, Any]], Body()]
    ) -> Response:
        try:
            resources.register(caller(request).tenant, service, endpoints)
        except (KeyError, TypeError) as error:
            return failure(422, f"Endpoint without {error}: see remote-services.md 5.3")
        return Response(status_code=200)

    @router.get("/roles")
    async def roles() -> Response:
        return answer([item(role_json(name)) for name in PARENTS])

    @router.get("/roles/{role}/resources/{service}")
    async def role_resources(request: Request, role: str, service: str) -> Response:
        if role not in PARENTS:
            return failure(404, f"Role {role} does not exist")
        found = resources.of_role(caller(request).tenant, service, role)
        return answer([item(resource) for resource in found])

    return router
