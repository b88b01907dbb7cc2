"""Makes up for what a tenant missed while no process served it."""

from dataclasses import dataclass

from rs_order.application.mails.plan import PlanMails
from rs_order.application.reconcile import ReconcileRounds
from rs_order.application.schedule_sub_orders import ScheduleSubOrders
from rs_order.application.step import Step
from rs_order.domain.ids import Tenant


@dataclass(frozen=True)
class ResumeTenantStep(Step, name="wake-tenant"):
    """Make up for what a tenant missed that an operator added."""


class WakeTenant:
    """At the start of a process, and when a tenant comes; done by several at once, it is done once."""

    def __init__(
        self, schedule: ScheduleSubOrders, mails: PlanMails, reconcile: ReconcileRounds
    ) -> None:
        self._schedule = schedule
        self._mails = mails
        self._reconcile = reconcile

    async def handle(self, tenant: Tenant) -> None:
        """Limits may have been raised, schedules changed, and steps dropped that fell due meanwhile."""
        await self._schedule.wake(tenant)
        await self._mails.wake(tenant)
        await self._reconcile.wake(tenant)
