"""Consumes rs-admin's events on roles and on their access to resources (amqp.md 3.7)."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from rs_order.broker.delivery import Delivery
from rs_order.consumers.batches import Received, dropped
from rs_order.contracts.platform_events import (
    ResourceAccessEvent,
    ResourceAccessInit,
    RoleEvent,
    TenantConnectionEvent,
    TenantEvent,
)
from rs_order.domain.identity import INSTANCE, SERVICE
from rs_order.domain.ids import Tenant
from rs_order.ports import Clock, ServedTenants
from rs_order.regards.role_cache import RoleCache
from rs_order.tenants.connect import ConnectTenants


class RightsHandlers:
    """Refreshes the rights that this process holds in memory.

    A process that dies while it handles an event loses nothing: its successor reads all rights again.
    """

    def __init__(self, changes: RoleCache) -> None:
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


_WITHIN_THE_SECOND = timedelta(microseconds=999_999)


class InstanceTenant:
    """The only tenant of the instance virtual host.

    The header of its events names the instance; the body names the project they concern.
    """

    def serves(self, tenant: str) -> bool:
        return tenant == INSTANCE

    def is_inactive(self, tenant: str) -> bool:  # noqa: ARG002 - the instance is always active
        return False

    def names(self) -> Sequence[Tenant]:
        return [INSTANCE]

    async def load(self) -> None:
        """Do nothing: the instance doesn't change."""


class TenantHandlers:
    """Connects and disconnects tenants as rs-admin-instance announces it."""

    def __init__(self, connect: ConnectTenants, tenants: ServedTenants, clock: Clock) -> None:
        self._connect = connect
        self._tenants = tenants
        self._clock = clock

    async def created(self, _: Tenant, batch: Sequence[Received[TenantEvent]]) -> None:  # noqa: ARG002 - see below
        """Read the tenants again. A project without a connection is not served yet."""
        await self._tenants.load()

    async def deleted(self, _: Tenant, batch: Sequence[Received[TenantEvent]]) -> None:
        for received in batch:
            published_at = self._published_at(received.delivery)
            await self._connect.disconnect(received.message.tenant, published_at)

    async def connected(self, _: Tenant, batch: Sequence[Received[TenantConnectionEvent]]) -> None:
        for name, published_at in self._of_our_service(batch):
            await self._connect.ask([name], published_at)

    async def disconnected(
        self, _: Tenant, batch: Sequence[Received[TenantConnectionEvent]]
    ) -> None:
        for name, published_at in self._of_our_service(batch):
            await self._connect.disconnect(name, published_at)

    def _of_our_service(
        self, batch: Sequence[Received[TenantConnectionEvent]]
    ) -> list[tuple[str, datetime]]:
        ours = []
        for received in batch:
            event, delivery = received.message, received.delivery
            if event.microservice == SERVICE:
                ours.append((event.connection.tenant, self._published_at(delivery)))
            else:
                dropped.labels(delivery.queue, "foreign-service").inc()
        return ours

    def _published_at(self, delivery: Delivery) -> datetime:
        """Return when an event was published: events of different queues arrive in any order.

        AMQP timestamps count seconds. Within a second the order of arrival decides, so that a project
        that is created and deleted at once does not end as created.
        """
        now, at = self._clock.now(), delivery.timestamp
        if at is None:
            return now
        second = at if at.tzinfo else at.replace(tzinfo=UTC)
        return max(second, min(now, second + _WITHIN_THE_SECOND))
