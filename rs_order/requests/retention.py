"""Forgets answered requests and told responses when their time is over (decisions.md, Repeated request)."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from rs_order.core.steps import RunNumber, Step
from rs_order.domain.ids import Tenant
from rs_order.ports import Clock
from rs_order.store.unit_of_work import Store, UnitOfWork

SLICE = 5000
EVERY = timedelta(hours=1)
PURGES = "tidy-inbox"
"""The rounds' name in the store."""


@dataclass(frozen=True)
class PurgeInboxStep(Step, name="tidy"):
    """Delete a slice of what the inbox need not remember any more."""

    number: RunNumber


async def begin_purges(uow: UnitOfWork, now: datetime) -> None:
    """Start the rounds of a tenant, unless they have begun; its first request does so."""
    if await uow.runs.begin(PURGES, 1, now + EVERY):
        await uow.messages.send([PurgeInboxStep(2).to(uow.tenant, now + EVERY)])


class PurgeInbox:
    """A round of at most one slice of each; it writes the next round in the same commit."""

    def __init__(self, store: Store, clock: Clock, *, retention: timedelta) -> None:
        self._store = store
        self._clock = clock
        self._retention = retention

    async def handle(self, tenant: Tenant, step: PurgeInboxStep) -> None:
        now = self._clock.now()
        async with self._store.unit_of_work(tenant) as uow:
            if not await uow.runs.begin(PURGES, step.number, now + EVERY):
                return
            before = now - self._retention
            forgotten = max(
                await uow.requests.purge(before, SLICE),
                await uow.messages.purge_responses(before, SLICE),
            )
            following = now if forgotten == SLICE else now + EVERY
            await uow.messages.send([PurgeInboxStep(step.number + 1).to(tenant, following)])
