"""Maintenance mode: a tenant whose data nobody may change for a while (rest.md 2.6, 11.2)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from rs_order.domain.ids import Tenant


@dataclass(frozen=True, slots=True)
class MaintenanceState:
    active: bool
    since: datetime
    """When it was last switched, else when the tenant came."""


class Maintenance(Protocol):
    """Kept in the database, so that all instances agree (decisions.md).

    Each method raises StoreUnavailable when the database gives no answer.
    """

    async def covers(self, tenant: str) -> bool:
        """Whether a tenant is in maintenance now; one that isn't served is not."""
        ...

    async def all(self) -> Mapping[Tenant, MaintenanceState]:
        """The state of every tenant that is served."""
        ...

    async def switch(self, tenant: str, *, active: bool, at: datetime) -> bool:
        """Put a tenant in maintenance or take it out; False for one that isn't served."""
        ...
