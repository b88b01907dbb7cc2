"""When the reconciler works: its rounds, and those of others that stand still."""

from datetime import datetime, timedelta

from rs_order.application import steps
from rs_order.application.mails.plan import REMINDERS
from rs_order.application.reconcile.rebuild_steps import Part
from rs_order.application.reconcile.recount import RECOUNTS, WalkPlace
from rs_order.application.tidy_inbox import TIDYING
from rs_order.domain.ids import Tenant
from rs_order.ports.clock import Clock
from rs_order.store.messages import OutgoingMessage
from rs_order.store.unit_of_work import Store, UnitOfWork

ROUNDS = "reconcile"
"""The rounds' name in the store."""


async def begin_reconciling(uow: UnitOfWork, now: datetime) -> None:
    """Begin a tenant's rounds, unless they have begun; its first order does so."""
    if await uow.rounds.begin(ROUNDS, 1, now):
        await uow.messages.send([steps.reconcile(uow.tenant, 2, now)])


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

    async def begin(self, tenant: Tenant, number: int) -> None:
        """Begin the round of this number, if it is the next one."""
        now = self._clock.now()
        due_at = now + self._every
        async with self._store.unit_of_work(tenant) as uow:
            if not await uow.rounds.begin(ROUNDS, number, due_at):
                return
            await uow.messages.send(
                [
                    steps.reconcile(tenant, number + 1, due_at),
                    steps.reconcile(tenant, number + 1, due_at + self._every),
                    steps.rebuild_steps(tenant, Part.REQUESTS, None),
                ]
            )
            if await uow.rounds.begin(RECOUNTS, 1, now):
                await uow.messages.send([_walk(tenant, 2, now)])
            await self._resume(uow, now - self._every, now)

    async def _resume(self, uow: UnitOfWork, before: datetime, now: datetime) -> None:
        """Have rounds begun that should have begun before; done twice, a round is done once."""
        overdue = await uow.reconciliation.overdue_rounds(before)
        lost = [_next_round(uow.tenant, name, done + 1, now) for name, done in overdue]
        await uow.messages.send([step for step in lost if step is not None])


def _walk(tenant: Tenant, number: int, now: datetime) -> OutgoingMessage:
    start = WalkPlace()
    return steps.recount(tenant, number, start.part, start.after, now)


def _next_round(tenant: Tenant, name: str, number: int, now: datetime) -> OutgoingMessage | None:
    """The step that begins a round; None for rounds of a later version of this service."""
    if name == ROUNDS:
        return steps.reconcile(tenant, number, now)
    if name == RECOUNTS:
        return _walk(tenant, number, now)
    if name == TIDYING:
        return steps.tidy(tenant, number, now)
    if name == REMINDERS:
        return steps.remind(tenant, number, now)
    return None
