"""rs-admin and rs-admin-instance over HTTP (remote-services.md 5 and 6).

rs-admin has users, roles and registered endpoints; rs-admin-instance has projects, connections and mail.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Request
from starlette.responses import Response

from rs_order.sandbox.faults import Faults
from rs_order.sandbox.gate import caller
from rs_order.sandbox.projects import Projects
from rs_order.sandbox.records import Mail, Mailbox
from rs_order.sandbox.role_registry import Roles
from rs_order.sandbox.service_protocol import answer, failure, item
from rs_order.sandbox.user_directory import Directory, user_json

_MAIL_ROLES = ("PROJECT_ADMIN", "INSTANCE_ADMIN")
"""Roles that may send mails."""


def admin_router(directory: Directory, roles: Roles) -> APIRouter:
    router = APIRouter(prefix="/rs-admin")
    _add_users(router, directory, roles)
    _add_endpoints(router, roles)
    return router


def _add_users(router: APIRouter, directory: Directory, roles: Roles) -> None:
    @router.get("/users/email/{email}")
    async def find_user(request: Request, email: str) -> Response:
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


def _add_endpoints(router: APIRouter, roles: Roles) -> None:
    @router.post("/resources/microservices/{service}")
    async def register_endpoints(
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


def admin_instance_router(projects: Projects, mailbox: Mailbox, faults: Faults) -> APIRouter:
    router = APIRouter(prefix="/rs-admin-instance")
    _add_projects(router, projects, faults)
    _add_connections(router, projects)
    _add_mails(router, mailbox, faults)
    return router


def _add_projects(router: APIRouter, projects: Projects, faults: Faults) -> None:
    @router.get("/projects/{name}")
    async def project(name: str) -> Response:
        found = projects.project(name, with_host=not faults.project_without_host)
        if found is None:
            return failure(404, f"Project {name} does not exist")
        return answer(item(found))

    @router.get("/tenants")
    async def tenants() -> Response:
        return answer(list(projects))


def _add_connections(router: APIRouter, projects: Projects) -> None:
    @router.get("/tenants/{service}")
    async def active_tenants(service: str) -> Response:
        connections = projects.connections(service)
        return answer([one["tenant"] for one in connections if one["state"] == "ENABLED"])

    @router.get("/connections/{service}")
    async def connections(service: str) -> Response:
        return answer(projects.connections(service))

    @router.post("/connections/{service}")
    @router.put("/connections/{service}")
    async def report_connection(service: str, body: Annotated[dict[str, Any], Body()]) -> Response:
        if not projects.report(service, body):
            return failure(404, f"Project {body.get('tenant')} does not exist")
        return answer(body)


def _add_mails(router: APIRouter, mailbox: Mailbox, faults: Faults) -> None:
    @router.post("/email")
    async def email(request: Request, mail: Mail) -> Response:
        if faults.mail_status is not None:
            return failure(faults.mail_status, "Sandbox: mails are rejected")
        if caller(request).role not in _MAIL_ROLES:
            return failure(403, "Only administrators of a project or of the instance send mails")
        mailbox.receive(mail)
        return Response(status_code=201)
