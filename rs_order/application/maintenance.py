"""Maintenance mode, switched and shown (rest.md 11.2)."""

from collections.abc import Mapping

import structlog

from rs_order.application.errors import NotFound
from rs_order.domain.ids import Tenant
from rs_order.ports.clock import Clock
from rs_order.store.tenants import Maintenance, MaintenanceState

log = structlog.get_logger(__name__)


class SwitchMaintenance:
    def __init__(self, maintenance: Maintenance, clock: Clock) -> None:
        self._maintenance = maintenance
        self._clock = clock

    async def covers(self, tenant: str) -> bool:
        """Whether changes of a tenant's data are refused now."""
        return await self._maintenance.covers(tenant)

    async def states(self) -> Mapping[Tenant, MaintenanceState]:
        """Every tenant's state, those out of maintenance too."""
        return await self._maintenance.all()

    async def handle(self, tenant: str, *, active: bool, by: str) -> None:
        """Put a tenant in maintenance or take it out; in force at once, in every instance.

        Raises:
            NotFound: this deployment doesn't serve the tenant.
        """
        if not await self._maintenance.switch(tenant, active=active, at=self._clock.now()):
            raise NotFound(f"There is no project {tenant} here")
        log.info("maintenance-switched", tenant=tenant, active=active, user=by)
