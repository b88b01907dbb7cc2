"""Consumes rs-admin's events on roles and on their access to resources (amqp.md 3.7)."""

from collections.abc import Sequence
from typing import Protocol

from rs_order.contracts.platform_events import (
    ResourceAccessEvent,
    ResourceAccessInit,
    RoleEvent,
)
from rs_order.domain.identity import SERVICE
from rs_order.domain.ids import Tenant
from rs_order.entrypoints.amqp.batches import Received, dropped


class RoleChanges(Protocol):
    """Notes that rights changed and fetches them again, with retries."""

    def register(self, tenant: Tenant) -> None: ...

    def roles_changed(self, tenant: Tenant) -> None: ...

    def role_changed(self, tenant: Tenant, role: str) -> None: ...


class RightsHandlers:
    """Refreshes the rights that this process holds in memory.

    A process that dies while it handles an event loses nothing: its successor reads all rights again.
    """

    def __init__(self, changes: RoleChanges) -> None:
        self._changes = changes

    async def roles(self, tenant: Tenant, batch: Sequence[Received[RoleEvent]]) -> None:  # noqa: ARG002 - all roles are read again, whichever changed
        self._changes.roles_changed(tenant)

    async def access(self, tenant: Tenant, batch: Sequence[Received[ResourceAccessEvent]]) -> None:
        for received in batch:
            if received.message.microservice == SERVICE:
                self._changes.role_changed(tenant, received.message.role)
            else:
                dropped.labels(received.delivery.queue, "foreign-service").inc()

    async def initialised(
        self,
        tenant: Tenant,
        batch: Sequence[Received[ResourceAccessInit]],  # noqa: ARG002 - the events are empty
    ) -> None:
        self._changes.register(tenant)
