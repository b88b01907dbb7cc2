"""Handles the messages of the service's own queues, which are steps."""

import time
from collections.abc import Sequence

import structlog
from pydantic import ValidationError

from rs_order.broker.delivery import DeadLetter, DeadLetterReason, Delivery, Done, Outcome
from rs_order.consumers.batches import (
    UnreadableBodyError,
    dropped,
    isolated,
    read_body,
    wrong_members,
)
from rs_order.core.steps import Step, StepRegistry, StepScope, UnknownStep, read_step, step_class
from rs_order.domain.ids import Tenant
from rs_order.ports import ServedTenants

log = structlog.get_logger(__name__)


class StepHandler:
    """Calls the handler of each step, and writes one log line per step."""

    def __init__(self, steps: StepRegistry, tenants: ServedTenants) -> None:
        self._steps = steps
        self._tenants = tenants

    async def __call__(self, deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
        return [await self._one(delivery) for delivery in deliveries]

    async def _one(self, delivery: Delivery) -> Outcome:
        step = _read(delivery)
        if isinstance(step, DeadLetter):
            return step
        rejection = await self._rejection(delivery, step)
        if rejection is not None:
            return rejection
        return await self._handle(Tenant(delivery.tenant or ""), step)

    async def _handle(self, tenant: Tenant, step: Step) -> Outcome:
        async def handle(steps: Sequence[Step]) -> None:
            for one in steps:
                await self._steps.handle(tenant, one)

        began = time.perf_counter()
        with structlog.contextvars.bound_contextvars(tenant=tenant, step=step.name):
            (outcome,) = await isolated(handle, [step])
            ms = round(1000 * (time.perf_counter() - began), 1)
            if isinstance(outcome, DeadLetter):
                log.warning("step-failed", ms=ms, **_facts(step))
            else:
                log.info("step-done", ms=ms, **_facts(step))
        return outcome

    async def _rejection(self, delivery: Delivery, step: Step) -> Outcome | None:
        """Return the outcome of a step whose tenant isn't served, or None if the step can be handled."""
        tenant = delivery.tenant or ""
        if step.scope is StepScope.INSTANCE or await self._serves(tenant):
            return None
        if self._tenants.is_inactive(tenant):
            # When the tenant is connected again, the reconciler finds the work in its tables.
            dropped.labels(delivery.queue, "tenant-away").inc()
            return Done()
        detail = f"The tenant {tenant!r} is not served here. Add it, then replay."
        return DeadLetter(DeadLetterReason.UNKNOWN_TENANT, detail)

    async def _serves(self, tenant: str) -> bool:
        """True if the tenant is served. Unknown tenants are looked up in the database."""
        if not self._tenants.serves(tenant):
            await self._tenants.load()
        return self._tenants.serves(tenant)


def _read(delivery: Delivery) -> Step | DeadLetter:
    try:
        body = read_body(delivery.body)
        step = step_class(body)
    except (UnreadableBodyError, UnknownStep) as error:
        return DeadLetter(DeadLetterReason.NOT_CONVERTED_MESSAGE, str(error))
    try:
        return read_step(step, body)
    except ValidationError as error:
        detail = f"The step {step.name!r} can't be read: {wrong_members(error)}"
        return DeadLetter(DeadLetterReason.INVALID_MESSAGE, detail)


def _facts(step: Step) -> dict[str, object]:
    """Return the step's members under the names that all log lines use. A list is given by its length."""
    names = {"orderId": "order", "subOrderId": "sub_order"}
    return {
        names.get(name, name): len(value) if isinstance(value, list) else value
        for name, value in step.members.items()
    }
