"""Connects tenants to this service and disconnects them (amqp.md 3.9, 5.9), and resumes their work."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

import structlog

from rs_order.core.policies import SlotLimits
from rs_order.core.steps import Step, StepQueue, StepScope
from rs_order.domain.identity import INSTANCE
from rs_order.domain.ids import Tenant
from rs_order.domain.retry import Backoff
from rs_order.mails.plan import PlanMails
from rs_order.ports import Clock, ConnectionState, RemoteError, RemoteUnavailable
from rs_order.reconcile.runs import ReconcilerRuns
from rs_order.regards.admin import RegardsConnections
from rs_order.scheduling.schedule import ScheduleSubOrders
from rs_order.store.errors import StoreError
from rs_order.store.tenants import Tenants
from rs_order.store.unit_of_work import Store


@dataclass(frozen=True)
class ResumeTenantStep(Step, name="wake-tenant"):
    """Make up for what a tenant missed that an operator added."""


class ResumeTenant:
    """At the start of a process, and when a tenant comes; done by several at once, it is done once."""

    def __init__(
        self, schedule: ScheduleSubOrders, mails: PlanMails, reconcile: ReconcilerRuns
    ) -> None:
        self._schedule = schedule
        self._mails = mails
        self._reconcile = reconcile

    async def handle(self, tenant: Tenant) -> None:
        """Limits may have been raised, schedules changed, and steps dropped that fell due meanwhile."""
        await self._schedule.resume(tenant)
        await self._mails.resume(tenant)
        await self._reconcile.resume(tenant)


LONGEST_CAUSE: Final = 200
"""Characters of an ``errorCause``."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class ConnectTenantStep(
    Step, name="connect-tenant", queue=StepQueue.REMOTE, scope=StepScope.INSTANCE
):
    """Provision a tenant that the platform connected us to."""

    project: str
    said_at: datetime


@dataclass(frozen=True)
class ReportConnectionStep(
    Step, name="report-connection", queue=StepQueue.REMOTE, scope=StepScope.INSTANCE
):
    """Report the state of a connection to rs-admin-instance."""

    project: Tenant
    state: ConnectionState
    attempts: int
    cause: str | None = None


@dataclass(frozen=True)
class FindTenantsStep(Step, name="find-tenants", queue=StepQueue.REMOTE, scope=StepScope.INSTANCE):
    """Ask rs-admin-instance which tenants we should serve."""

    attempts: int


class ConnectTenants:
    """Every instance hears of a tenant, and each may do all of this: it comes to the same."""

    def __init__(
        self,
        store: Store,
        tenants: Tenants,
        connections: RegardsConnections | None,
        *,
        resume: ResumeTenant,
        clock: Clock,
        backoff: Backoff,
        limits: SlotLimits,
    ) -> None:
        """``connections``: None where there is no rs-admin-instance to report to."""
        self._store = store
        self._tenants = tenants
        self._connections = connections
        self._resume = resume
        self._clock = clock
        self._backoff = backoff
        self._limits = limits

    async def ask(self, names: Sequence[str], said_at: datetime) -> None:
        """Have tenants connected, by steps: once this returns it happens, whoever dies."""
        await self._store.send([ConnectTenantStep(name, said_at).to(INSTANCE) for name in names])

    async def connect(self, _: Tenant, step: ConnectTenantStep) -> None:
        """Provision a tenant, unless it went meanwhile, and say what came of it."""
        name = step.project
        await self._tenants.load()
        if not self._tenants.serves(name):
            await self._report(Tenant(name), ConnectionState.CONNECTING)
        try:
            holds = await self._tenants.activate(name, step.said_at)
        except StoreError:
            raise
        except Exception as error:  # whatever is wrong, the platform has to hear of it
            log.exception("tenant-not-connected", project=name)
            failed = ReportConnectionStep(
                Tenant(name), ConnectionState.ERROR, attempts=0, cause=_in_short(error)
            )
            await self.report(INSTANCE, failed)
            return
        if not holds:
            log.info("tenant-gone-meanwhile", project=name)
            return
        log.info("tenant-connected", project=name)
        await self._resume.handle(Tenant(name))
        enabled = ReportConnectionStep(Tenant(name), ConnectionState.ENABLED, attempts=0)
        await self.report(INSTANCE, enabled)

    async def report(self, _: Tenant, step: ReportConnectionStep) -> None:
        """Report a state, now or, when rs-admin-instance is away, by a later step."""
        if step.state is ConnectionState.ENABLED and not self._tenants.serves(step.project):
            return
        if await self._report(step.project, step.state, step.cause):
            return
        due_at = self._clock.now() + self._backoff.pause(step.attempts + 1)
        again = replace(step, attempts=step.attempts + 1)
        await self._store.send([again.to(INSTANCE, due_at)])

    async def disconnect(self, name: str, said_at: datetime) -> None:
        """Serve a tenant no more; what it has stays, for when it is connected again."""
        try:
            holds = await self._tenants.deactivate(name, said_at)
        except ValueError:
            return  # it never was, and never will be, one of ours
        if not holds:
            return
        log.info("tenant-disconnected", project=name)
        if self._limits.service:
            # Its sub-orders may have held places that others wait for. Not only whoever was the first to
            # hear of it looks: he may have died of it.
            for tenant in self._tenants.names():
                await self._resume.handle(tenant)

    async def look(self) -> None:
        """Connect, by and by, what the platform has for us and we missed while nobody listened."""
        await self._store.send([FindTenantsStep(attempts=0).to(INSTANCE)])

    async def find(self, _: Tenant, step: FindTenantsStep) -> None:
        """Ask which tenants to serve, again later when rs-admin-instance is away."""
        if self._connections is None:
            return
        now = self._clock.now()
        try:
            wanted = await self._connections.wanted()
        except RemoteUnavailable as trouble:
            log.warning("tenants-not-found-out", cause=str(trouble))
            due_at = now + self._backoff.pause(step.attempts + 1)
            again = FindTenantsStep(step.attempts + 1)
            await self._store.send([again.to(INSTANCE, due_at)])
            return
        await self.ask([name for name in wanted if not self._tenants.serves(name)], now)

    async def _report(
        self, tenant: Tenant, state: ConnectionState, cause: str | None = None
    ) -> bool:
        """Whether there is nothing left to report."""
        if self._connections is None:
            return True
        try:
            await self._connections.report(tenant, state, cause)
        except RemoteError as error:
            log.warning("connection-not-reported", project=tenant, state=state, cause=str(error))
            return not isinstance(error, RemoteUnavailable)
        return True


def _in_short(error: Exception) -> str:
    """What an administrator reads in rs-admin-instance; a wrong name explains itself."""
    text = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
    return (text.splitlines() or [type(error).__name__])[0][:LONGEST_CAUSE]
