"""Connects tenants to this service, disconnects them (amqp.md 3.9, 5.9), and resumes their work."""

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
from rs_order.mails.plan import REMINDERS, PlanMails
from rs_order.ports import Clock, ConnectionState, RemoteError, RemoteUnavailable
from rs_order.reconcile.runs import RUNS_OF_USED_TENANTS, ReconcilerRuns
from rs_order.regards.admin import RegardsConnections
from rs_order.scheduling.schedule import ScheduleSubOrders
from rs_order.store.errors import StoreError
from rs_order.store.migrate import MigrationError
from rs_order.store.tenants import Tenants
from rs_order.store.unit_of_work import Store


@dataclass(frozen=True)
class ResumeTenantStep(Step, name="wake-tenant"):
    """Resume the work of a tenant that an operator added."""


class ResumeTenant:
    """Resumes the work of a tenant at the start of a process, and when the tenant becomes active.

    Several processes may do it at the same time: the operations are idempotent.
    """

    def __init__(
        self,
        tenants: Tenants,
        clock: Clock,
        schedule: ScheduleSubOrders,
        mails: PlanMails,
        reconcile: ReconcilerRuns,
    ) -> None:
        self._tenants = tenants
        self._clock = clock
        self._schedule = schedule
        self._mails = mails
        self._reconcile = reconcile

    async def all(self) -> None:
        """Resume all active tenants, with the limits of this process."""
        await self._schedule.begin()
        await self._resume(self._tenants.names())

    async def handle(self, tenant: Tenant) -> None:
        """Start ready sub-orders and the periodic runs of a tenant.

        While the tenant was not served, limits may have been raised, schedules changed, and due steps
        dropped.
        """
        await self._resume([tenant])

    async def _resume(self, tenants: Sequence[Tenant]) -> None:
        """Resume those that need it, found by few statements. A tenant that was never used has no runs."""
        for tenant in await self._tenants.to_resume(
            tenants,
            self._clock.now(),
            runs=RUNS_OF_USED_TENANTS,
            scheduled_run=REMINDERS,
            schedule=self._mails.schedule,
        ):
            await self._schedule.resume(tenant)
            await self._mails.resume(tenant)
            await self._reconcile.resume(tenant)


LONGEST_CAUSE: Final = 200
"""The most characters of an ``errorCause``."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class ConnectTenantStep(
    Step, name="connect-tenant", queue=StepQueue.REMOTE, scope=StepScope.INSTANCE
):
    """Provision a tenant that the platform connected to this service."""

    project: str
    said_at: datetime
    """When the platform published the event."""


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
    """Ask rs-admin-instance which tenants this service should serve."""

    attempts: int


class ConnectTenants:
    """Connects and disconnects tenants.

    Every instance receives tenant events and may handle them; all operations are idempotent.
    """

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
        """``connections`` is None if no rs-admin-instance is configured."""
        self._store = store
        self._tenants = tenants
        self._connections = connections
        self._resume = resume
        self._clock = clock
        self._backoff = backoff
        self._limits = limits

    async def plan(self, names: Sequence[str], published_at: datetime) -> None:
        """Send the steps that connect tenants. They survive the end of this process."""
        await self._store.send(
            [ConnectTenantStep(name, published_at).to(INSTANCE) for name in names]
        )

    async def connect(self, _: Tenant, step: ConnectTenantStep) -> None:
        """Provision a tenant and report the result, unless a newer event has disconnected it.

        Raises:
            StoreError: the database is unavailable; the step can be repeated.
        """
        name = step.project
        await self._tenants.load()
        if not self._tenants.serves(name):
            await self._report(Tenant(name), ConnectionState.CONNECTING)
        try:
            published_at = min(step.said_at, self._clock.now())
            activated = await self._tenants.activate(name, published_at)
        except StoreError:
            raise
        except Exception as error:  # the platform needs a report of every failure
            log.exception("tenant-not-connected", project=name)
            failed = ReportConnectionStep(
                Tenant(name), ConnectionState.ERROR, attempts=0, cause=_short_cause(error)
            )
            await self.report(INSTANCE, failed)
            return
        if not activated:
            log.info("tenant-already-disconnected", project=name)
            return
        log.info("tenant-connected", project=name)
        await self._resume.handle(Tenant(name))
        enabled = ReportConnectionStep(Tenant(name), ConnectionState.ENABLED, attempts=0)
        await self.report(INSTANCE, enabled)

    async def report(self, _: Tenant, step: ReportConnectionStep) -> None:
        """Report a state now or, if rs-admin-instance is unavailable, by a later step.

        ENABLED is not reported for a tenant that was disconnected in the meantime.
        """
        if step.state is ConnectionState.ENABLED and not self._tenants.serves(step.project):
            return
        if await self._report(step.project, step.state, step.cause):
            return
        due_at = self._clock.now() + self._backoff.pause(step.attempts + 1)
        again = replace(step, attempts=step.attempts + 1)
        await self._store.send([again.to(INSTANCE, due_at)])

    async def disconnect(self, name: str, published_at: datetime) -> None:
        """Stop serving a tenant. Its data stays until it is connected again."""
        try:
            deactivated = await self._tenants.deactivate(name, published_at)
        except ValueError:
            return  # no tenant can have this name
        if not deactivated:
            return
        log.info("tenant-disconnected", project=name)
        if self._limits.limited:
            # Its sub-orders may have used capacity that other tenants wait for. Every instance resumes
            # them, because the one that deactivated the tenant may die before it does.
            await self._resume.all()

    async def plan_search(self) -> None:
        """Send the step that finds tenants whose events were missed while no process ran."""
        await self._store.send([FindTenantsStep(attempts=0).to(INSTANCE)])

    async def find(self, _: Tenant, step: FindTenantsStep) -> None:
        """Ask which tenants to serve. If rs-admin-instance is unavailable, a later step asks again."""
        if self._connections is None:
            return
        now = self._clock.now()
        try:
            wanted = await self._connections.wanted()
        except RemoteUnavailable as error:
            log.warning("tenants-unknown", cause=str(error))
            due_at = now + self._backoff.pause(step.attempts + 1)
            again = FindTenantsStep(step.attempts + 1)
            await self._store.send([again.to(INSTANCE, due_at)])
            return
        await self.plan([name for name in wanted if not self._tenants.serves(name)], now)

    async def _report(
        self, tenant: Tenant, state: ConnectionState, cause: str | None = None
    ) -> bool:
        """Report a state. False if it must be reported again later."""
        if self._connections is None:
            return True
        try:
            await self._connections.report(tenant, state, cause)
        except RemoteError as error:
            log.warning("connection-not-reported", project=tenant, state=state, cause=str(error))
            return not isinstance(error, RemoteUnavailable)
        return True


def _short_cause(error: Exception) -> str:
    """Return the cause that administrators read in rs-admin-instance.

    The texts for operators, such as the errors of a wrong name or of missing rights, need no class name.
    """
    is_plain = isinstance(error, (ValueError, MigrationError))
    text = str(error) if is_plain else f"{type(error).__name__}: {error}"
    return (text.splitlines() or [type(error).__name__])[0][:LONGEST_CAUSE]
