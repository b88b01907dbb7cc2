"""The consumer of our own queues: each message is a step for one use case."""

import time
from collections.abc import Sequence

import structlog
from pydantic import ValidationError

from rs_order.broker.delivery import DeadLetter, DeadLetterReason, Delivery, Done, Outcome
from rs_order.consumers.batches import dropped
from rs_order.consumers.isolation import UnreadableBodyError, isolated, read_body, wrong_members
from rs_order.core.steps import Step, StepRegistry, StepScope, UnknownStep, read_step, step_class
from rs_order.domain.ids import Tenant
from rs_order.ports import ServedTenants

log = structlog.get_logger(__name__)


class StepHandler:
    """Calls the handler of each step; writes one canonical log line per step."""

    def __init__(self, steps: StepRegistry, tenants: ServedTenants) -> None:
        self._steps = steps
        self._tenants = tenants

    async def __call__(self, deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
        return [await self._one(delivery) for delivery in deliveries]

    async def _one(self, delivery: Delivery) -> Outcome:
        step = _read(delivery)
        if isinstance(step, DeadLetter):
            return step
        unserved = await self._unserved(delivery, step)
        if unserved is not None:
            return unserved
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

    async def _unserved(self, delivery: Delivery, step: Step) -> Outcome | None:
        """Return the outcome of a step whose tenant isn't served; None: it is, or needn't be."""
        tenant = delivery.tenant or ""
        if step.scope is StepScope.INSTANCE or await self._serves(tenant):
            return None
        if self._tenants.is_inactive(tenant):
            # When the tenant is connected again, what there is to do is found in its tables.
            dropped.labels(delivery.queue, "tenant-away").inc()
            return Done()
        detail = f"The tenant {tenant!r} is not served here. Add it, then replay."
        return DeadLetter(DeadLetterReason.UNKNOWN_TENANT, detail)

    async def _serves(self, tenant: str) -> bool:
        """True if the tenant is served; it may have been added since the last check."""
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
        return DeadLetter(DeadLetterReason.NOT_CONVERTED_MESSAGE, detail)


def _facts(step: Step) -> dict[str, object]:
    """Return the step's members by the names that all log lines use; of a long list its length."""
    names = {"orderId": "order", "subOrderId": "sub_order"}
    return {
        names.get(name, name): len(value) if isinstance(value, list) else value
        for name, value in step.members.items()
    }
