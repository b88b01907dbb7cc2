"""Plans mails: the confirmation of an order, and the runs of reminders (domain.md 10.2)."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from rs_order.core.policies import SLICE_SIZES, SliceSizes
from rs_order.core.steps import RunNumber, Step
from rs_order.domain.ids import Tenant
from rs_order.domain.order import Order
from rs_order.domain.states import OrderStatus
from rs_order.mails.cron import CronSchedule
from rs_order.mails.send import SendMailStep
from rs_order.ports import Clock
from rs_order.store.unit_of_work import Store, UnitOfWork

REMINDERS = "remind"
"""Name of the reminder runs in the store."""


@dataclass(frozen=True)
class RemindStep(Step, name="remind", periodic=True):
    """Begin a run of reminders, or remind a page of owners."""

    number: RunNumber
    after: str | None = None
    """The last owner of the previous page, "" for the first page; None: begin the run."""


class PlanMails:
    """Plans mails: writes a row and a step in the transaction of the change that the mail is about."""

    def __init__(self, store: Store, clock: Clock, reminders: CronSchedule) -> None:
        self._store = store
        self._clock = clock
        self._reminders = reminders
        self._reminded: set[Tenant] = set()
        """The tenants whose reminder runs had begun before an order was completed."""

    @property
    def schedule(self) -> str:
        """The schedule of the reminder runs."""
        return self._reminders.text

    async def orders_completed(
        self, uow: UnitOfWork, orders: Iterable[Order], now: datetime
    ) -> None:
        """Plan the confirmations of orders placed on the project's site that have files (domain.md 16.2).

        A tenant's first orders also begin the reminder runs of the tenant.
        """
        if uow.tenant not in self._reminded and not await self._begin_runs(uow, now):
            self._reminded.add(uow.tenant)
        for order in orders:
            if order.front_url and order.status in (OrderStatus.RUNNING, OrderStatus.DONE):
                mail = await uow.mails.plan_creation(order.id, order.owner)
                await uow.messages.send([SendMailStep(mail).to(uow.tenant)])

    async def resume(self, tenant: Tenant) -> None:
        """Begin the reminder runs of a tenant, or plan the next one again if the schedule changed.

        A run that became due while the tenant was not served stays planned, and happens late.
        """
        now = self._clock.now()
        async with self._store.unit_of_work(tenant) as uow:
            if await self._begin_runs(uow, now):
                return
            due_at = self._reminders.after(now)
            done = await uow.runs.reschedule(REMINDERS, self._reminders.text, due_at)
            if done is not None and due_at is not None:
                await uow.messages.send([RemindStep(done + 1).to(tenant, due_at)])

    async def next_run(self, uow: UnitOfWork, number: int, now: datetime) -> bool:
        """Count a run and plan the one after it. False if it was counted before, or reminders are off.

        Due times that have passed already are skipped.
        """
        due_at = self._reminders.after(now)
        begun = await uow.runs.begin(REMINDERS, number, due_at, self._reminders.text)
        if not begun or due_at is None:
            return False
        await uow.messages.send([RemindStep(number + 1).to(uow.tenant, due_at)])
        return True

    async def _begin_runs(self, uow: UnitOfWork, now: datetime) -> bool:
        return await self.next_run(uow, 1, now)


class RemindOwners:
    """Begins a reminder run, and processes its pages: plans a mail for each owner that is due.

    The beginning plans the next run and nothing else. So a page that fails doesn't end the series of runs.
    A page that is repeated plans no second mail: it finds the planned mails, or orders whose waiting time
    has restarted.
    """

    def __init__(
        self, store: Store, clock: Clock, plan: PlanMails, sizes: SliceSizes = SLICE_SIZES
    ) -> None:
        self._owners = sizes.reminded_owners
        self._store = store
        self._clock = clock
        self._plan = plan

    async def handle(self, tenant: Tenant, step: RemindStep) -> None:
        """Begin the run of the step, or process its page."""
        if step.after is None:
            await self._begin(tenant, step.number)
        else:
            await self._page(tenant, step.number, step.after)

    async def _begin(self, tenant: Tenant, number: int) -> None:
        """Begin the run, if it is the next one."""
        async with self._store.unit_of_work(tenant) as uow:
            if await self._plan.next_run(uow, number, self._clock.now()):
                await uow.messages.send([RemindStep(number, after="").to(tenant)])

    async def _page(self, tenant: Tenant, number: int, after: str) -> None:
        """Plan the reminders of a page of owners, and send the step of the next page."""
        now = self._clock.now()
        async with self._store.unit_of_work(tenant) as uow:
            settings = await uow.settings()
            before = now - timedelta(hours=settings.user_notification_delay_hours)
            page = await uow.mails.owners_to_remind(
                after=after, available_before=before, limit=self._owners
            )
            mails = await uow.mails.plan_reminders(page.due, before)
            await uow.messages.send([SendMailStep(mail).to(tenant) for mail in mails])
            if page.last is not None:
                await uow.messages.send([RemindStep(number, page.last).to(tenant)])
