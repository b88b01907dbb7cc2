"""Starts the runs of the reconciler, and those of other periodic work that is stalled."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from prometheus_client import Counter

from rs_order.core.steps import RunNumber, Step
from rs_order.domain.ids import Tenant
from rs_order.mails.plan import REMINDERS, RemindStep
from rs_order.ports import Clock
from rs_order.reconcile.rebuild_steps import Part, RebuildPageStep
from rs_order.reconcile.recount import RECOUNTS, RecountStep
from rs_order.requests.retention import TIDYING, PurgeInboxStep
from rs_order.store.unit_of_work import Store, UnitOfWork

_drifts = Counter("rs_order_drift", "Counters that differed from what they count", ["table"])
_steps = Counter("rs_order_steps_written_again", "Steps of work that stood still", ["step"])


def count_drift(table: str) -> None:
    _drifts.labels(table).inc()


def count_steps(name: str, number: int) -> None:
    _steps.labels(name).inc(number)


ROUNDS = "reconcile"
"""The rounds' name in the store."""


@dataclass(frozen=True)
class ReconcileStep(Step, name="reconcile"):
    """Begin a run of the reconciler."""

    number: RunNumber


async def begin_reconciling(uow: UnitOfWork, now: datetime) -> None:
    """Begin a tenant's rounds, unless they have begun; its first order does so."""
    if await uow.runs.begin(ROUNDS, 1, now):
        await uow.messages.send([ReconcileStep(2).to(uow.tenant, now)])


class ReconcileRounds:
    """Each round plans the next one twice, the second time a round later.

    Who purges the queue takes one of the two at most: the other is still a row of the outbox. It does
    nothing when the first was done.
    """

    def __init__(self, store: Store, clock: Clock, *, every: timedelta) -> None:
        self._store = store
        self._clock = clock
        self._every = every

    async def wake(self, tenant: Tenant) -> None:
        """Begin the rounds, or make up for those that were missed or lost."""
        now = self._clock.now()
        async with self._store.unit_of_work(tenant) as uow:
            await begin_reconciling(uow, now)
            await self._resume(uow, now, now)

    async def begin(self, tenant: Tenant, step: ReconcileStep) -> None:
        """Begin the round of this number, if it is the next one."""
        now = self._clock.now()
        due_at = now + self._every
        async with self._store.unit_of_work(tenant) as uow:
            if not await uow.runs.begin(ROUNDS, step.number, due_at):
                return
            following = ReconcileStep(step.number + 1)
            await uow.messages.send(
                [
                    following.to(tenant, due_at),
                    following.to(tenant, due_at + self._every),
                    RebuildPageStep(Part.REQUESTS).to(tenant),
                ]
            )
            if await uow.runs.begin(RECOUNTS, 1, now):
                await uow.messages.send([RecountStep.first(2).to(tenant, now)])
            await self._resume(uow, now - self._every, now)

    async def _resume(self, uow: UnitOfWork, before: datetime, now: datetime) -> None:
        """Have rounds begun that should have begun before; done twice, a round is done once."""
        overdue = await uow.reconciliation.overdue_runs(before)
        await uow.messages.send(
            [
                # A later version of this service may have runs that this one doesn't know.
                _FIRST_STEPS[name](done + 1).to(uow.tenant, now)
                for name, done in overdue
                if name in _FIRST_STEPS
            ]
        )


_FIRST_STEPS: Mapping[str, Callable[[int], Step]] = {
    ROUNDS: ReconcileStep,
    RECOUNTS: RecountStep.first,
    TIDYING: PurgeInboxStep,
    REMINDERS: RemindStep,
}
"""The step that begins a run of each name, by its number."""
