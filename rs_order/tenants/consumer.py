"""Consumes the events of rs-admin on rights (amqp.md 3.7) and of rs-admin-instance on tenants (3.9)."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from rs_order.broker.delivery import Delivery
from rs_order.consumers.batches import Received, dropped
from rs_order.contracts.platform_messages import (
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

    If the process dies while it handles an event, nothing is lost: the next process reads all rights.
    """

    def __init__(self, changes: RoleCache) -> None:
        self._changes = changes

    async def roles(self, tenant: Tenant, batch: Sequence[Received[RoleEvent]]) -> None:  # noqa: ARG002 - all roles are read again, whichever changed
        """Read all roles of the tenant again."""
        self._changes.roles_changed(tenant)

    async def access(self, tenant: Tenant, batch: Sequence[Received[ResourceAccessEvent]]) -> None:
        """Read the rights of the changed roles again. Events about other services are dropped."""
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
        """Register the endpoints of this service in the tenant."""
        self._changes.register(tenant)


_WITHIN_THE_SECOND = timedelta(microseconds=999_999)


class InstanceTenant:
    """The only tenant of the instance virtual host.

    The header of an event names the instance; the body names the project.
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
    """Connects and disconnects tenants by events of rs-admin-instance."""

    def __init__(self, connect: ConnectTenants, tenants: ServedTenants, clock: Clock) -> None:
        self._connect = connect
        self._tenants = tenants
        self._clock = clock

    async def created(self, _: Tenant, batch: Sequence[Received[TenantEvent]]) -> None:  # noqa: ARG002 - see below
        """Read the tenants again. A project without a connection is not served yet."""
        await self._tenants.load()

    async def deleted(self, _: Tenant, batch: Sequence[Received[TenantEvent]]) -> None:
        """Disconnect deleted projects."""
        for received in batch:
            published_at = self._published_at(received.delivery)
            await self._connect.disconnect(received.message.tenant, published_at)

    async def connected(self, _: Tenant, batch: Sequence[Received[TenantConnectionEvent]]) -> None:
        """Plan the connection of projects to this service."""
        for name, published_at in self._of_our_service(batch):
            await self._connect.plan([name], published_at)

    async def disconnected(
        self, _: Tenant, batch: Sequence[Received[TenantConnectionEvent]]
    ) -> None:
        """Disconnect projects whose connection to this service was deleted."""
        for name, published_at in self._of_our_service(batch):
            await self._connect.disconnect(name, published_at)

    def _of_our_service(
        self, batch: Sequence[Received[TenantConnectionEvent]]
    ) -> list[tuple[str, datetime]]:
        """Return project and date of the events about this service. Others are dropped."""
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

        AMQP timestamps count seconds. Within a second, the order of arrival decides. Otherwise a project
        that is created and deleted in the same second could stay connected. A date after now counts as now:
        the clock of its publisher is wrong, and all later events would count as older.
        """
        now, at = self._clock.now(), delivery.timestamp
        if at is None:
            return now
        second = at if at.tzinfo else at.replace(tzinfo=UTC)
        return min(now, second + _WITHIN_THE_SECOND)
