"""Handles the messages of the service's own queues, which are steps."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import structlog
from pydantic import ValidationError

from rs_order import traces
from rs_order.broker.delivery import DeadLetter, DeadLetterReason, Delivery, Done, Outcome
from rs_order.consumers.batches import (
    Failures,
    NotifyFailures,
    UnreadableBodyError,
    dropped,
    failure_notification,
    isolated,
    read_body,
    wrong_members,
)
from rs_order.core.step_failures import StepFailures
from rs_order.core.steps import (
    Step,
    StepRegistry,
    StepScope,
    UnknownStep,
    is_again,
    read_step,
    step_class,
)
from rs_order.correlation_ids import correlated
from rs_order.domain.ids import Tenant
from rs_order.ports import ServedTenants
from rs_order.store.errors import StoreUnavailable

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Received:
    step: Step
    delivery: Delivery
    again: bool
    """True if the reconciler wrote it again."""

    @property
    def tenant(self) -> Tenant:
        return Tenant(self.delivery.tenant or "")

    @property
    def must_be_closed(self) -> bool:
        """True if an earlier delivery or step may have failed."""
        return self.again or self.is_only_copy

    @property
    def is_only_copy(self) -> bool:
        """True if no dead letter holds it, for certain: it was replayed, or its handling was interrupted."""
        return self.delivery.death_queue is not None or self.delivery.redelivered


class StepHandler:
    """Calls the handler of each step, and writes one log line per step."""

    def __init__(
        self,
        steps: StepRegistry,
        tenants: ServedTenants,
        failures: StepFailures,
        notify: NotifyFailures,
    ) -> None:
        """``failures``: notes steps that fail. ``notify``: notifies operators of other dead letters."""
        self._steps = steps
        self._tenants = tenants
        self._failures = failures
        self._notify = notify

    async def __call__(self, deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
        return [await self._one(delivery) for delivery in deliveries]

    async def _one(self, delivery: Delivery) -> Outcome:
        received = _read(delivery)
        if isinstance(received, DeadLetter):
            return await self._notified(delivery, received)
        rejection = await self._rejection(delivery, received.step)
        if isinstance(rejection, DeadLetter):
            return await self._notified(delivery, rejection)
        if rejection is not None:
            return rejection
        step = received.step
        with (
            correlated(delivery.correlation_id),
            traces.span(
                f"step {step.name}",
                "CONSUMER",
                parent=None if step.periodic else delivery.traceparent,
                tenant=delivery.tenant or "",
            ),
        ):
            outcome = await self._handle(received)
        if received.step.scope is StepScope.INSTANCE:
            return (
                await self._notified(delivery, outcome)
                if isinstance(outcome, DeadLetter)
                else outcome
            )
        return await self._noted(received, outcome)

    async def _handle(self, received: _Received) -> Outcome:
        tenant, step = received.tenant, received.step

        async def handle(steps: Sequence[Step]) -> None:
            for one in steps:
                await self._steps.handle(tenant, one)

        began = time.perf_counter()
        with structlog.contextvars.bound_contextvars(tenant=tenant, step=step.name):
            (outcome,) = await isolated(handle, [step])
            ms = round(1000 * (time.perf_counter() - began), 1)
            if isinstance(outcome, DeadLetter):
                log.warning("step-failed", ms=ms, **facts(step))
            else:
                log.info("step-done", ms=ms, **facts(step))
        return outcome

    async def _noted(self, received: _Received, outcome: Outcome) -> Outcome:
        """Note a failure, or that a step which may have failed is done. Return the outcome.

        A step that failed before with the same cause has its dead letter, so this one needs none.
        """
        try:
            if isinstance(outcome, DeadLetter):
                first = await self._failures.note(
                    received.tenant,
                    received.step,
                    detail=f"{outcome.reason}: {outcome.detail}",
                    notification=failure_notification(
                        Failures(received.tenant, {outcome.reason.label: 1})
                    ),
                )
                return outcome if first or received.is_only_copy else Done()
            if received.must_be_closed:
                await self._failures.done(received.tenant, received.step)
        except StoreUnavailable:
            raise
        except Exception:  # the outcome of the step counts, whatever prevents its note
            log.exception("step-not-noted", step=received.step.name)
        return outcome

    async def _notified(self, delivery: Delivery, dead_letter: DeadLetter) -> DeadLetter:
        """Notify operators of a dead letter that is no step of a served tenant, and return it."""
        served = delivery.tenant and self._tenants.serves(delivery.tenant)
        tenant = Tenant(delivery.tenant or "") if served else None
        await self._notify.notify([Failures(tenant, {dead_letter.reason.label: 1})])
        return dead_letter

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


def _read(delivery: Delivery) -> _Received | DeadLetter:
    try:
        body = read_body(delivery.body)
        step = step_class(body)
    except (UnreadableBodyError, UnknownStep) as error:
        return DeadLetter(DeadLetterReason.NOT_CONVERTED_MESSAGE, str(error))
    try:
        return _Received(read_step(step, body), delivery, is_again(body))
    except ValidationError as error:
        detail = f"The step {step.name!r} can't be read: {wrong_members(error)}"
        return DeadLetter(DeadLetterReason.INVALID_MESSAGE, detail)


def facts(step: Step) -> dict[str, object]:
    """Return the step's members under the names that all log lines use. A list is given by its length."""
    names = {"orderId": "order", "subOrderId": "sub_order"}
    return {
        names.get(name, name): len(value) if isinstance(value, list) else value
        for name, value in step.members.items()
    }
