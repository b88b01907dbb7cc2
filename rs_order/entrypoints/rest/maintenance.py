"""Maintenance mode (rest.md 11.2); ``routing.py`` refuses what it forbids."""

from fastapi import APIRouter, Request, Response

from rs_order.contracts.envelope import Entity
from rs_order.contracts.maintenance import MaintenanceDto
from rs_order.domain.identity import Caller
from rs_order.entrypoints.rest.answers import json_answer
from rs_order.entrypoints.rest.authentication import of_own_tenant
from rs_order.entrypoints.rest.parameters import TenantInPath
from rs_order.entrypoints.rest.resources import (
    DISABLE_MAINTENANCE,
    ENABLE_MAINTENANCE,
    GET_MAINTENANCE,
)
from rs_order.entrypoints.rest.roles import may_reach
from rs_order.entrypoints.rest.routing import AuthorisedCaller, Endpoints
from rs_order.entrypoints.rest.services import RestServices

_UNKNOWN = {404: "This deployment doesn't serve the project"}


def maintenance_router(services: RestServices) -> APIRouter:
    endpoints = Endpoints(services, tag="maintenance")
    maintenance = services.platform.maintenance

    @endpoints.serve(GET_MAINTENANCE, model=Entity[dict[str, MaintenanceDto]])
    async def get_maintenance(request: Request, caller: AuthorisedCaller) -> Response:
        """The state of the caller's project; of every project for those of the whole instance."""
        states = {
            tenant: MaintenanceDto(active=state.active, last_update=state.since).to_wire()
            for tenant, state in (await maintenance.states()).items()
            if may_reach(caller, tenant)
        }
        return json_answer(request, {"content": states, "links": []})

    @endpoints.serve(ENABLE_MAINTENANCE, responses=_UNKNOWN)
    async def enable_maintenance(caller: AuthorisedCaller, tenant: TenantInPath) -> Response:
        """Refuse every change in a project until further notice; what is under way goes on."""
        return await switched(caller, tenant, active=True)

    @endpoints.serve(DISABLE_MAINTENANCE, responses=_UNKNOWN)
    async def disable_maintenance(caller: AuthorisedCaller, tenant: TenantInPath) -> Response:
        """Allow changes in a project again; the one change that is allowed in maintenance."""
        return await switched(caller, tenant, active=False)

    async def switched(caller: Caller, tenant: str, *, active: bool) -> Response:
        of_own_tenant(caller, tenant)
        await maintenance.handle(tenant, active=active, by=caller.email)
        return Response()

    return endpoints.router
