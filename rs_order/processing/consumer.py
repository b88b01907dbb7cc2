"""Consumes rs-processing's results and changes of its processes (amqp.md 3.3)."""

from collections.abc import Sequence

from rs_order.consumers.batches import Received, dropped
from rs_order.contracts.processing_messages import (
    ExecutionResult,
    ExecutionResultEvent,
    ProcessRightsEvent,
    RightsType,
)
from rs_order.domain.ids import Tenant, Urn
from rs_order.processing.results import ApplyResults, DetachProcesses
from rs_order.regards.processing import cardinality_of


class ExecutionResultHandler:
    """Applies the results of this service's executions, one by one, and drops those of other services."""

    def __init__(self, apply: ApplyResults) -> None:
        self._apply = apply

    async def __call__(
        self, tenant: Tenant, batch: Sequence[Received[ExecutionResultEvent]]
    ) -> None:
        for received in batch:
            if reason := await self._apply_one(tenant, received.message):
                dropped.labels(received.delivery.queue, reason).inc()

    async def _apply_one(self, tenant: Tenant, event: ExecutionResultEvent) -> str | None:
        """Return the reason why a result changes nothing, or None if it was applied.

        Raises:
            ValidationError, MalformedProcess, UnreadableExecution: the result belongs to a batch of this
                service and can't be read.
        """
        if not isinstance(event.batch, str) or not await self._apply.has_batch(tenant, event.batch):
            return "foreign-batch"
        result = ExecutionResult.model_validate(event.body)
        if not result.status.final:
            return "intermediate-status"
        cardinality = cardinality_of(result.process_info)
        applied = await self._apply.handle(tenant, result, cardinality)
        return None if applied else "foreign-batch"


class ProcessRightsHandler:
    """Removes processes from baskets that may not use them any more (domain.md 8.5)."""

    def __init__(self, detach: DetachProcesses) -> None:
        self._detach = detach

    async def __call__(self, tenant: Tenant, batch: Sequence[Received[ProcessRightsEvent]]) -> None:
        for received in batch:
            event = received.message
            match event.type:
                case RightsType.DELETE if event.before:
                    await self._detach.handle(tenant, event.before.id, None)
                case RightsType.UPDATE if event.after and not event.after.rights.all_datasets:
                    datasets = [Urn(urn) for urn in event.after.rights.datasets]
                    await self._detach.handle(tenant, event.after.id, datasets)
                case _:
                    dropped.labels(received.delivery.queue, "unused-type").inc()
