"""What rs-admin and rs-admin-instance tell every instance, and what it is handed to (amqp.md 3.7, 3.9)."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Protocol

from rs_order.application.connect_tenants import ConnectTenants
from rs_order.application.steps import INSTANCE
from rs_order.broker.delivery import Delivery
from rs_order.contracts.platform_events import (
    SERVICE,
    ResourceAccessEvent,
    ResourceAccessInit,
    RoleEvent,
    TenantConnectionEvent,
    TenantEvent,
)
from rs_order.domain.ids import Tenant
from rs_order.entrypoints.amqp.batches import Arrival, KnownTenants, dropped
from rs_order.ports.clock import Clock


class RoleNews(Protocol):
    """Takes note that rights changed; asks for the new ones by itself, for as long as it takes."""

    def register(self, tenant: Tenant) -> None: ...

    def roles_changed(self, tenant: Tenant) -> None: ...

    def role_changed(self, tenant: Tenant, role: str) -> None: ...


class RightsHandlers:
    """Rights live in the memory of each process, so nothing is lost when it dies with an event."""

    def __init__(self, news: RoleNews) -> None:
        self._news = news

    async def roles(self, tenant: Tenant, arrivals: Sequence[Arrival[RoleEvent]]) -> None:  # noqa: ARG002 - which role doesn't matter
        self._news.roles_changed(tenant)

    async def access(
        self, tenant: Tenant, arrivals: Sequence[Arrival[ResourceAccessEvent]]
    ) -> None:
        for arrival in arrivals:
            if arrival.message.microservice == SERVICE:
                self._news.role_changed(tenant, arrival.message.role)
            else:
                dropped.labels(arrival.delivery.queue, "foreign-service").inc()

    async def initialised(
        self,
        tenant: Tenant,
        arrivals: Sequence[Arrival[ResourceAccessInit]],  # noqa: ARG002 - they are empty
    ) -> None:
        self._news.register(tenant)


_WITHIN_THE_SECOND = timedelta(microseconds=999_999)


class OnlyTheInstance:
    """The tenant of the events of the installation: their header says so, the body names the project."""

    def serves(self, tenant: str) -> bool:
        return tenant == INSTANCE

    def is_away(self, tenant: str) -> bool:  # noqa: ARG002 - it never is
        return False

    async def load(self) -> None:
        """It never changes."""


class TenantHandlers:
    def __init__(self, connect: ConnectTenants, tenants: KnownTenants, clock: Clock) -> None:
        self._connect = connect
        self._tenants = tenants
        self._clock = clock

    async def created(self, _: Tenant, arrivals: Sequence[Arrival[TenantEvent]]) -> None:  # noqa: ARG002 - see below
        """A project without a connection is nothing to serve yet; what we know is looked at again."""
        await self._tenants.load()

    async def deleted(self, _: Tenant, arrivals: Sequence[Arrival[TenantEvent]]) -> None:
        for arrival in arrivals:
            await self._connect.disconnect(arrival.message.tenant, self._said_at(arrival.delivery))

    async def connected(
        self, _: Tenant, arrivals: Sequence[Arrival[TenantConnectionEvent]]
    ) -> None:
        for name, said_at in self._ours(arrivals):
            await self._connect.ask([name], said_at)

    async def disconnected(
        self, _: Tenant, arrivals: Sequence[Arrival[TenantConnectionEvent]]
    ) -> None:
        for name, said_at in self._ours(arrivals):
            await self._connect.disconnect(name, said_at)

    def _ours(
        self, arrivals: Sequence[Arrival[TenantConnectionEvent]]
    ) -> list[tuple[str, datetime]]:
        ours = []
        for arrival in arrivals:
            event, delivery = arrival.message, arrival.delivery
            if event.microservice == SERVICE:
                ours.append((event.connection.tenant, self._said_at(delivery)))
            else:
                dropped.labels(delivery.queue, "foreign-service").inc()
        return ours

    def _said_at(self, delivery: Delivery) -> datetime:
        """When it was published: events of different queues come in any order.

        The broker tells the second. Within it, what comes first was said first: a project that is made
        and deleted at once must not come last as made.
        """
        now, at = self._clock.now(), delivery.timestamp
        if at is None:
            return now
        second = at if at.tzinfo else at.replace(tzinfo=UTC)
        return max(second, min(now, second + _WITHIN_THE_SECOND))
