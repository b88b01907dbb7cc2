"""Our own queue: each message is a piece of work for one use case."""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import structlog

from rs_order.application.steps import STEPS_OF_THE_INSTANCE, Step, StepName
from rs_order.broker.delivery import Delivery
from rs_order.broker.settle import DeadLetter, DeadLetterReason, Done, Outcome
from rs_order.domain.ids import Tenant
from rs_order.entrypoints.amqp.batches import KnownTenants, dropped
from rs_order.entrypoints.amqp.isolation import isolated
from rs_order.entrypoints.amqp.parsing import UnreadableBodyError, read_body

log = structlog.get_logger(__name__)

Work = Callable[[Step], Awaitable[None]]


class StepHandler:
    """Hands each step to its use case; one canonical log line per step."""

    def __init__(self, works: Mapping[StepName, Work], tenants: KnownTenants) -> None:
        self._works = works
        self._tenants = tenants

    async def __call__(self, deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
        return [await self._one(delivery) for delivery in deliveries]

    async def _one(self, delivery: Delivery) -> Outcome:
        step = await self._read(delivery)
        if not isinstance(step, Step):
            return step
        began = time.perf_counter()
        with structlog.contextvars.bound_contextvars(tenant=step.tenant, step=step.name):
            (outcome,) = await isolated(self._work, [step])
            ms = round(1000 * (time.perf_counter() - began), 1)
            if isinstance(outcome, DeadLetter):
                log.warning("step-failed", ms=ms, **_facts(step))
            else:
                log.info("step-done", ms=ms, **_facts(step))
        return outcome

    async def _work(self, steps: Sequence[Step]) -> None:
        for step in steps:
            await self._works[step.name](step)

    async def _read(self, delivery: Delivery) -> Step | Outcome:
        tenant = delivery.tenant or ""
        try:
            body = read_body(delivery.body)
            name = StepName(body.pop("step", None))
        except (UnreadableBodyError, ValueError) as error:
            return DeadLetter(DeadLetterReason.NOT_CONVERTED_MESSAGE, str(error))
        if name not in STEPS_OF_THE_INSTANCE and not await self._serves(tenant):
            if self._tenants.is_away(tenant):
                # When it comes again, what there is to do is found in its tables.
                dropped.labels(delivery.queue, "tenant-away").inc()
                return Done()
            detail = f"The tenant {tenant!r} is not served here. Add it, then replay."
            return DeadLetter(DeadLetterReason.UNKNOWN_TENANT, detail)
        return Step(name, Tenant(tenant), body)

    async def _serves(self, tenant: str) -> bool:
        """A tenant may have been added since we last looked."""
        if not self._tenants.serves(tenant):
            await self._tenants.load()
        return self._tenants.serves(tenant)


def _facts(step: Step) -> dict[str, Any]:
    """The step's arguments by the names all log lines use; of a long list only its length."""
    names = {"orderId": "order", "subOrderId": "sub_order"}
    return {
        names.get(name, name): len(value) if isinstance(value, list) else value
        for name, value in step.arguments.items()
    }
