"""Reminds owners of files that have waited too long for their download (domain.md 10.2)."""

from datetime import timedelta

from rs_order.application.mails.plan import PlanMails, RemindStep
from rs_order.application.mails.send import SendMailStep
from rs_order.domain.ids import Tenant
from rs_order.ports.clock import Clock
from rs_order.store.unit_of_work import Store

OWNERS = 500
"""Looked at in one step."""


class RemindOwners:
    """Begins a round, and does its pages: plans a mail for each owner it is time for.

    The beginning plans the next round and nothing else, so that no trouble of a page ends the rounds. A page
    that is done again finds the mails it planned, or orders whose wait has begun anew, and plans no second
    mail.
    """

    def __init__(self, store: Store, clock: Clock, plan: PlanMails) -> None:
        self._store = store
        self._clock = clock
        self._plan = plan

    async def handle(self, tenant: Tenant, step: RemindStep) -> None:
        """Begin the run of the step, or do its page."""
        if step.after is None:
            await self._begin(tenant, step.number)
        else:
            await self._page(tenant, step.number, step.after)

    async def _begin(self, tenant: Tenant, number: int) -> None:
        """Begin the round of this number, if it is the next one."""
        async with self._store.unit_of_work(tenant) as uow:
            if await self._plan.next_round(uow, number, self._clock.now()):
                await uow.messages.send([RemindStep(number, after="").to(tenant)])

    async def _page(self, tenant: Tenant, number: int, after: str) -> None:
        """Do the page of a round behind an owner; the empty name is before all."""
        now = self._clock.now()
        async with self._store.unit_of_work(tenant) as uow:
            settings = await uow.settings()
            before = now - timedelta(hours=settings.user_notification_delay_hours)
            page = await uow.mails.owners_to_remind(
                after=after, available_before=before, limit=OWNERS
            )
            mails = await uow.mails.plan_reminders(page.due, before)
            await uow.messages.send([SendMailStep(mail).to(tenant) for mail in mails])
            if page.last is not None:
                await uow.messages.send([RemindStep(number, page.last).to(tenant)])
