"""Failures of steps: the first one with a cause is reported, the following ones are counted."""

import re
from collections.abc import Sequence

import structlog

from rs_order.core.steps import Step
from rs_order.domain.ids import Tenant
from rs_order.ports import Clock
from rs_order.store.outbox import OutgoingMessage
from rs_order.store.repeated_steps import FailedStep
from rs_order.store.unit_of_work import Store, UnitOfWork

DELAYED = (
    "This order is delayed by an internal error. The operators were notified; the order continues by itself "
    "once the error is repaired."
)
"""The message of an order while one of its steps fails."""
LONGEST_CAUSE = 300
"""Characters."""

log = structlog.get_logger(__name__)


class StepFailures:
    """Notes the failures of a tenant's steps, and closes what was noted when their work goes on."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def note(
        self, tenant: Tenant, step: Step, *, detail: str, notification: OutgoingMessage
    ) -> bool:
        """Note that a step failed. True if it is the first failure with this cause.

        The operators are notified then, and the order of the step gets a message.
        """
        order_id = getattr(step, "order_id", None)
        async with self._store.unit_of_work(tenant) as uow:
            first = await uow.repeated_steps.note_failure(
                step.name,
                step.subjects,
                order_id,
                cause=re.sub(r"\d+", "#", detail)[:LONGEST_CAUSE],
                detail=detail[:LONGEST_CAUSE],
                now=self._clock.now(),
            )
            if first:
                await uow.messages.send([notification])
                if order_id is not None:
                    await uow.orders.explain(order_id, DELAYED)
        return first

    async def done(self, tenant: Tenant, step: Step) -> None:
        """Forget that a step was written again, and that it had failed: it is done now."""
        async with self._store.unit_of_work(tenant) as uow:
            await self.close(uow, await uow.repeated_steps.forget(step.name, step.subjects))

    async def close(self, uow: UnitOfWork, overtaken: Sequence[FailedStep]) -> None:
        """Remove the messages of orders whose steps had failed and go on."""
        for failed in overtaken:
            if failed.order_id is not None:
                await uow.orders.withdraw(failed.order_id, DELAYED)
            log.info(
                "step-overtaken",
                tenant=uow.tenant,
                step=failed.step,
                order=failed.order_id,
                subject=failed.subject,
            )
