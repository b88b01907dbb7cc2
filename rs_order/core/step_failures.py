"""Failures of steps: the first one with a cause is reported, the following ones are counted."""

import re
from collections import defaultdict
from collections.abc import Sequence

import orjson
import structlog

from rs_order.core.steps import Step, read_step, step_class
from rs_order.domain.dead_letters import LetterState
from rs_order.domain.identity import SERVICE
from rs_order.domain.ids import OrderId, Tenant
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
OVERTAKEN = "overtaken"
"""The reason of a dead letter that is discarded because its step is done."""
LETTERS = 1000
"""Dead letters of a step that are discarded at a time."""

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
        """Discard the dead letters of steps that had failed and go on, and the messages of their orders."""
        subjects: dict[tuple[str, OrderId | None], set[str]] = defaultdict(set)
        for failed in overtaken:
            subjects[failed.step, failed.order_id].add(failed.subject)
        for (step, order_id), closed in subjects.items():
            if order_id is not None:
                await uow.orders.withdraw(order_id, DELAYED)
            letters = await uow.dead_letters.of_step(uow.tenant, step, order_id, LETTERS)
            ids = [id_ for id_, body in letters if _subjects_of(body) <= closed]
            await uow.dead_letters.close(
                ids, LetterState.DISCARDED, self._clock.now(), SERVICE, OVERTAKEN
            )
            log.info(
                "step-overtaken", tenant=uow.tenant, step=step, order=order_id, letters=len(ids)
            )


def _subjects_of(body: bytes) -> set[str]:
    """Return what the step of a dead letter works on, as far as it can be read."""
    try:
        content = orjson.loads(body)
        return set(read_step(step_class(content), content).subjects)
    except ValueError:  # an operator has to look at it
        return {""}
