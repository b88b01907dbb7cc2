"""Switches maintenance mode and shows it (rest.md 11.2); ``rest.access`` enforces it."""

from collections.abc import Mapping

import structlog
from fastapi import APIRouter, Request, Response

from rs_order.contracts.administration import MaintenanceDto
from rs_order.contracts.wire import Entity
from rs_order.core.errors import NotFound
from rs_order.domain.identity import Caller
from rs_order.domain.ids import Tenant
from rs_order.ports import Clock
from rs_order.rest.access import Access, audit_actor, may_reach, require_own_tenant
from rs_order.rest.answers import json_answer
from rs_order.rest.parameters import TenantInPath
from rs_order.rest.resources import DISABLE_MAINTENANCE, ENABLE_MAINTENANCE, GET_MAINTENANCE
from rs_order.rest.routing import AuthorisedCaller, Endpoints
from rs_order.store.audit import AuditActor
from rs_order.store.tenants import Maintenance, MaintenanceState

log = structlog.get_logger(__name__)


class SwitchMaintenance:
    """Starts and ends the maintenance of tenants. Each method raises StoreUnavailable."""

    def __init__(self, maintenance: Maintenance, clock: Clock) -> None:
        self._maintenance = maintenance
        self._clock = clock

    async def states(self) -> Mapping[Tenant, MaintenanceState]:
        """Return the state of every active tenant, whether it is in maintenance or not."""
        return await self._maintenance.all()

    async def handle(self, tenant: str, *, active: bool, by: AuditActor) -> None:
        """Start or end the maintenance of a tenant. It takes effect at once, in every instance.

        Args:
            tenant: name of the project.
            active: True starts the maintenance, False ends it.
            by: the caller, for log and audit.

        Raises:
            NotFound: this deployment doesn't serve the tenant.
        """
        now = self._clock.now()
        if not await self._maintenance.switch(tenant, active=active, at=now, by=by):
            raise NotFound(f"There is no project {tenant} here")
        log.info("maintenance-switched", tenant=tenant, active=active, user=by.name)


_UNKNOWN = {404: "This deployment doesn't serve the project"}


def maintenance_router(access: Access, maintenance: SwitchMaintenance) -> APIRouter:
    """Return the endpoints that show and switch the maintenance of projects."""
    endpoints = Endpoints(access, tag="maintenance")

    @endpoints.serve(GET_MAINTENANCE, model=Entity[dict[str, MaintenanceDto]])
    async def get_maintenance(request: Request, caller: AuthorisedCaller) -> Response:
        """Return the state of the caller's project; administrators of the instance get all projects."""
        states = {
            tenant: MaintenanceDto(active=state.active, last_update=state.since).to_wire()
            for tenant, state in (await maintenance.states()).items()
            if may_reach(caller, tenant)
        }
        return json_answer(request, {"content": states, "links": []})

    @endpoints.serve(ENABLE_MAINTENANCE, responses=_UNKNOWN)
    async def enable_maintenance(caller: AuthorisedCaller, tenant: TenantInPath) -> Response:
        """Reject every change in a project until the maintenance ends. Started work continues."""
        return await switched(caller, tenant, active=True)

    @endpoints.serve(DISABLE_MAINTENANCE, responses=_UNKNOWN)
    async def disable_maintenance(caller: AuthorisedCaller, tenant: TenantInPath) -> Response:
        """Allow changes in a project again. No other change is allowed in maintenance."""
        return await switched(caller, tenant, active=False)

    async def switched(caller: Caller, tenant: str, *, active: bool) -> Response:
        require_own_tenant(caller, tenant)
        await maintenance.handle(tenant, active=active, by=audit_actor(caller))
        return Response()

    return endpoints.router
