"""Checks the health of this process: database, broker, consumers, relay, maintenance and roles."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence

from rs_order.broker.batch_consumer import BatchConsumer
from rs_order.broker.connection import SupervisedConnection
from rs_order.contracts.administration import HealthStatus
from rs_order.ports import ComponentHealth, Health
from rs_order.regards.role_cache import RoleCache
from rs_order.store.outbox import Outbox
from rs_order.store.tenants import Maintenance

LONGEST_CHECK_SECONDS = 3.0
RECENT_SECONDS = 1.0
"""The age of a check that still answers."""
RECENT_DOWN_SECONDS = 0.2
"""Its age while a component is DOWN, so that an end is noticed at once."""
LONGEST_RELAY_LAG_SECONDS = 60.0


def _health(up: bool, **details: object) -> ComponentHealth:
    return ComponentHealth(HealthStatus.UP if up else HealthStatus.DOWN, details)


def consumption(consumers: Sequence[BatchConsumer]) -> ComponentHealth:
    """Return UP if every consumer is registered at the broker and none fails because of a defect."""
    missing = [consumer.queue.name for consumer in consumers if not consumer.registered]
    failing = {consumer.queue.name: consumer.defect for consumer in consumers if consumer.defect}
    return _health(
        not missing and not failing,
        registered=len(consumers) - len(missing),
        missing=missing,
        failing=failing,
    )


class RecentHealth:
    """Implements :class:`rs_order.ports.Health`: answers all callers from the last check, if it is recent.

    So the cost of health doesn't grow with the number of callers.
    """

    def __init__(self, health: Health, *, now: Callable[[], float] = time.monotonic) -> None:
        self._health = health
        self._now = now
        self._began = 0.0
        self._checking: asyncio.Task[Mapping[str, ComponentHealth]] | None = None

    async def check(self) -> Mapping[str, ComponentHealth]:
        if self._checking is None or self._is_old(self._checking):
            self._began = self._now()
            self._checking = asyncio.create_task(self._check())
        return await asyncio.shield(
            self._checking
        )  # a caller who leaves doesn't end it for the others

    async def _check(self) -> Mapping[str, ComponentHealth]:
        return await self._health.check()

    def _is_old(self, checking: asyncio.Task[Mapping[str, ComponentHealth]]) -> bool:
        if not checking.done():
            return False
        failed = checking.cancelled() or checking.exception() is not None
        up = not failed and all(
            component.status is not HealthStatus.DOWN for component in checking.result().values()
        )
        return self._now() - self._began >= (RECENT_SECONDS if up else RECENT_DOWN_SECONDS)


class ServiceHealth:
    """Implements :class:`rs_order.ports.Health`."""

    def __init__(
        self,
        database_error: Callable[[], str | None],
        outbox: Outbox,
        connections: Sequence[SupervisedConnection],
        consumers: Callable[[], Sequence[BatchConsumer]],
        *,
        maintenance: Maintenance,
        roles: RoleCache | None = None,
    ) -> None:
        """``database_error`` returns why the database can't be used, or None.

        ``consumers`` returns those that should be registered at the broker.
        """
        self._database_error = database_error
        self._outbox = outbox
        self._connections = connections
        self._consumers = consumers
        self._maintenance = maintenance
        self._roles = roles

    async def check(self) -> Mapping[str, ComponentHealth]:
        relay, maintenance = await asyncio.gather(self._relay(), self._tenants())
        return {
            "db": self._database(),
            "rabbit": self._broker(),
            "consumers": consumption(self._consumers()),
            "relay": relay,
            "maintenance": maintenance,
            **self._rights(),
        }

    def _database(self) -> ComponentHealth:
        error = self._database_error()
        return _health(True) if error is None else _health(False, error=error)

    async def _relay(self) -> ComponentHealth:
        try:
            async with asyncio.timeout(LONGEST_CHECK_SECONDS):
                lag = await self._outbox.lag()
        except Exception as error:  # noqa: BLE001 - whatever it is, the database doesn't answer
            return _health(False, error=type(error).__name__)
        return _health(
            lag.oldest_seconds <= LONGEST_RELAY_LAG_SECONDS,
            dueRows=lag.rows,
            oldestSeconds=round(lag.oldest_seconds, 1),
            rejectedByPeers=lag.rejected,
            oldestRejectedSeconds=round(lag.oldest_rejected_seconds, 1),
        )

    async def _tenants(self) -> ComponentHealth:
        """Return OUT_OF_SERVICE while a tenant is in maintenance: this is intended, so it isn't DOWN."""
        try:
            async with asyncio.timeout(LONGEST_CHECK_SECONDS):
                states = await self._maintenance.all()
        except Exception as error:  # noqa: BLE001 - as above
            return _health(False, error=type(error).__name__)
        tenants = [tenant for tenant, state in states.items() if state.active]
        if not tenants:
            return _health(True)
        return ComponentHealth(HealthStatus.OUT_OF_SERVICE, {"tenant": ", ".join(tenants)})

    def _broker(self) -> ComponentHealth:
        lost = {
            connection.vhost: connection.last_loss or "not connected yet"
            for connection in self._connections
            if not connection.connected
        }
        blocked = sorted({one.vhost for one in self._connections if one.is_blocked})
        return _health(not lost, lost=lost, blocked=blocked)

    def _rights(self) -> dict[str, ComponentHealth]:
        """Return OUT_OF_SERVICE while rights are unknown: REST callers must wait, messages are handled."""
        if self._roles is None:
            return {}
        unknown = self._roles.unknown
        status = HealthStatus.OUT_OF_SERVICE if unknown else HealthStatus.UP
        return {"roles": ComponentHealth(status, {"unknown": unknown})}
