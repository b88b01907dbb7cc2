"""Purges what is kept for a time, such as requests and responses (decisions.md, Repeated request)."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from rs_order.core.steps import RunNumber, Step
from rs_order.domain.ids import Tenant
from rs_order.domain.quotes import KEPT
from rs_order.ports import Clock
from rs_order.store.unit_of_work import Store, UnitOfWork

SLICE = 5000
"""The most rows of each table that one run deletes."""
EVERY = timedelta(hours=1)
"""The time between two runs."""
PURGES = "tidy-inbox"
"""The name of the runs in the store; it stays as rows have it."""


@dataclass(frozen=True)
class PurgeInboxStep(Step, name="tidy", periodic=True):
    """Delete a slice of each table whose rows are past their retention."""

    number: RunNumber


async def begin_purges(uow: UnitOfWork, now: datetime) -> None:
    """Start the runs of a tenant, unless they have begun. Each run of the reconciler does so."""
    if await uow.runs.begin(PURGES, 1, now + EVERY):
        await uow.messages.send([PurgeInboxStep(2).to(uow.tenant, now + EVERY)])


class PurgeInbox:
    """Deletes at most one slice of each table in a run, and plans the next run in the same commit."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        *,
        retention: timedelta,
        events: timedelta,
        audit_days: int,
    ) -> None:
        """Keep requests and responses for the ``retention``.

        Args:
            store: the store.
            clock: the clock.
            retention: of requests and responses.
            events: the retention of events.
            audit_days: how long entries of the audit are kept, those of all tenants.
        """
        self._store = store
        self._clock = clock
        self._retention = retention
        self._events = events
        self._audit_days = audit_days

    async def handle(self, tenant: Tenant, step: PurgeInboxStep) -> None:
        """Do the run of the step, unless it is outdated; after a full slice, the next run is due at once."""
        now = self._clock.now()
        async with self._store.unit_of_work(tenant) as uow:
            if not await uow.runs.begin(PURGES, step.number, now + EVERY):
                return
            before = now - self._retention
            deleted = max(
                await uow.requests.purge(before, SLICE),
                await uow.messages.purge_responses(before, SLICE),
                await uow.keyed_requests.purge(before, SLICE),
                await uow.purge_audit(self._audit_days, SLICE),
                await uow.sub_orders.purge_samples(SLICE),
                await uow.quotes.purge(now - KEPT, SLICE),
                await uow.events.purge(now - self._events, SLICE),
            )
            await uow.webhooks.end_with_orders()
            due = now if deleted == SLICE else now + EVERY
            await uow.messages.send([PurgeInboxStep(step.number + 1).to(tenant, due)])
