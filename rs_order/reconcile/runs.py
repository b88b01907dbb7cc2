"""Starts the runs of the reconciler, and those of other periodic work that is stalled."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from prometheus_client import Counter

from rs_order.core.reconciliations import RECONCILIATIONS, begin_reconciling
from rs_order.core.shared_steps import ReconcileStep, TimedEventsStep
from rs_order.core.steps import Step
from rs_order.domain.ids import Tenant
from rs_order.mails.plan import REMINDERS, RemindStep
from rs_order.ports import Clock
from rs_order.reconcile.rebuild_steps import first_checks
from rs_order.reconcile.recount import RECOUNTS, RecountStep
from rs_order.requests.retention import PURGES, PurgeInboxStep, begin_purges
from rs_order.store.unit_of_work import Store, UnitOfWork

_drifts = Counter("rs_order_drift", "Rows whose counters or state were wrong", ["table"])
_steps = Counter(
    "rs_order_steps_written_again", "Steps written again because their work was stalled", ["step"]
)


def count_drift(table: str) -> None:
    """Count a drift of a table in the metrics."""
    _drifts.labels(table).inc()


def count_steps(name: str, number: int) -> None:
    """Count steps that were written again in the metrics, by the name of the step."""
    _steps.labels(name).inc(number)


RUNS_OF_USED_TENANTS = (RECONCILIATIONS, PURGES)
"""The periodic runs that begin when a tenant is used."""


class ReconcilerRuns:
    """Begins the runs of the reconciler. Each run plans the next one twice, the second one run later.

    If the queue is purged, at most one of the two steps is lost: the other is still a row of the outbox.
    It does nothing if the first was handled.
    """

    def __init__(self, store: Store, clock: Clock, *, every: timedelta) -> None:
        """``every``: time between two runs."""
        self._store = store
        self._clock = clock
        self._every = every

    async def resume(self, tenant: Tenant) -> None:
        """Begin the runs of a tenant, the purge of its inbox included; begin missed or lost runs again.

        Events that a process left without positions get them.
        """
        now = self._clock.now()
        async with self._store.unit_of_work(tenant) as uow:
            await begin_purges(uow, now)
            await begin_reconciling(uow, now)
            uow.events.number_later()  # those of a process that died before it could
            await self._begin_overdue(uow, now, now)

    async def begin(self, tenant: Tenant, step: ReconcileStep) -> None:
        """Begin the run of the step, if its number is the next one."""
        now = self._clock.now()
        due_at = now + self._every
        async with self._store.unit_of_work(tenant) as uow:
            if not await uow.runs.begin(RECONCILIATIONS, step.number, due_at):
                return
            following = ReconcileStep(step.number + 1)
            await uow.messages.send(
                [
                    following.to(tenant, due_at),
                    following.to(tenant, due_at + self._every),
                    *(check.to(tenant) for check in first_checks(now)),
                    TimedEventsStep().to(tenant),
                ]
            )
            await begin_purges(uow, now)
            uow.events.number_later()  # those of a process that died before it could
            if await uow.runs.begin(RECOUNTS, 1, now):
                await uow.messages.send([RecountStep.first(2).to(tenant, now)])
            await self._begin_overdue(uow, now - self._every, now)

    async def _begin_overdue(self, uow: UnitOfWork, before: datetime, now: datetime) -> None:
        """Write the first steps of the periodic runs that were due ``before``. A second step does nothing."""
        overdue = await uow.reconciliation.overdue_runs(before)
        await uow.messages.send(
            [
                # A later version of this service may have runs that this one doesn't know.
                _FIRST_STEPS[name](number + 1).to(uow.tenant, now)
                for name, number in overdue
                if name in _FIRST_STEPS
            ]
        )


_FIRST_STEPS: Mapping[str, Callable[[int], Step]] = {
    RECONCILIATIONS: ReconcileStep,
    RECOUNTS: RecountStep.first,
    PURGES: PurgeInboxStep,
    REMINDERS: RemindStep,
}
"""The step that begins a run, by the name of the run. It is created with the run number."""
