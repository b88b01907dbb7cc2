"""Applies the results of executions, stops waiting for them, and detaches processes.

See amqp.md 3.3, domain.md 8.4 and 8.5.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from rs_order.consumers.batches import Received, dropped
from rs_order.contracts.platform_names import PlatformService
from rs_order.contracts.processing_messages import (
    ExecutionResult,
    ExecutionResultEvent,
    ProcessRightsEvent,
    RightsType,
)
from rs_order.core.settlement import Cause, Settlement
from rs_order.core.steps import Step
from rs_order.domain.correlation import BatchCorrelation, ExecutionCorrelation
from rs_order.domain.identity import SERVICE
from rs_order.domain.ids import OrderId, SubOrderId, Tenant, Urn
from rs_order.domain.moves import Reason
from rs_order.domain.order import Order
from rs_order.domain.outputs import NOT_DELIVERED, deliver, within
from rs_order.domain.process import Cardinality
from rs_order.domain.states import SubOrderState
from rs_order.ports import Clock
from rs_order.regards.processing import cardinality_of
from rs_order.store.process_batches import Work
from rs_order.store.unit_of_work import Store, UnitOfWork


class ApplyResults:
    """Settles the outputs of executions. Applying the same result twice changes nothing."""

    def __init__(self, store: Store, settlement: Settlement, clock: Clock) -> None:
        self._store = store
        self._settlement = settlement
        self._clock = clock

    async def has_batch(self, tenant: Tenant, batch: str) -> bool:
        """True if the batch belongs to an order of this service that still exists (decisions.md, 6.12)."""
        if BatchCorrelation.parse(batch) is None:
            return False
        async with self._store.unit_of_work(tenant) as uow:
            return await uow.executions.of_correlation_id(batch) is not None

    async def handle(
        self, tenant: Tenant, result: ExecutionResult, cardinality: Cardinality
    ) -> bool:
        """Apply a final result; return False if its order no longer exists.

        Raises:
            UnreadableExecution: this service can't have requested such an execution.
        """
        execution = ExecutionCorrelation.parse(result.execution_correlation_id)
        async with self._store.unit_of_work(tenant) as uow:
            locked = await self._lock(uow, result.batch_correlation_id)
            if locked is None:
                return False
            order, work = locked
            outputs = within(await uow.executions.awaited(work.sub_order_id), execution.product)
            delivered = result.made if result.succeeded else []
            delivery = deliver(cardinality, work.correlation_id, outputs, delivered)
            reason = NOT_DELIVERED if delivered else result.explanation
            moves = await uow.executions.settle(
                work.sub_order_id, delivery.made, dict.fromkeys(delivery.missing, reason)
            )
            cause = Cause(Reason.PROCESS_ENDED, PlatformService.PROCESSING, self._clock.now())
            await self._settlement.apply(uow, [order], moves, cause)
        return True

    @staticmethod
    async def _lock(uow: UnitOfWork, batch: str) -> tuple[Order, Work] | None:
        """Lock and return the order of a batch, or None if its outputs can't be settled any more."""
        named = await uow.executions.of_correlation_id(batch)
        orders = await uow.orders.lock([named.order_id]) if named else []
        # Read again under the lock: the order may have been deleted just before.
        work = await uow.executions.of_correlation_id(batch)
        if not orders or work is None or orders[0].status.deleted_or_expired:
            return None
        return orders[0], work


@dataclass(frozen=True)
class GiveUpResultsStep(Step, name="give-up-results"):
    """End the wait for the results of a sub-order."""

    order_id: OrderId
    sub_order_id: SubOrderId


class GiveUpResults:
    """Stops waiting for results that don't arrive in time."""

    def __init__(self, store: Store, settlement: Settlement, clock: Clock, *, hours: float) -> None:
        """``hours``: the time limit, for the reason of the failed files."""
        self._store = store
        self._settlement = settlement
        self._clock = clock
        self._reason = f"The process gave no result for {hours:g} hours."

    async def handle(self, tenant: Tenant, step: GiveUpResultsStep) -> None:
        """Mark pending outputs as failed; a late result can still settle them."""
        now = self._clock.now()
        async with self._store.unit_of_work(tenant) as uow:
            orders = await uow.orders.lock([step.order_id])
            loaded = await uow.sub_orders.load([step.sub_order_id])
            if not orders or orders[0].status.deleted_or_expired or not loaded:
                return
            (sub_order,) = loaded
            if sub_order.order_id != step.order_id or sub_order.is_early(now):
                return
            if sub_order.state is not SubOrderState.PROCESSING:
                return
            moves = await uow.executions.give_up(step.sub_order_id, self._reason)
            cause = Cause(Reason.PROCESS_SILENT, SERVICE, now)
            await self._settlement.apply(uow, orders, moves, cause)


SLICE = 1000
"""Datasets of baskets that one transaction changes."""


class DetachProcesses:
    """Removes a process from the datasets of baskets. An order under completion keeps its process."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def handle(self, tenant: Tenant, process_id: UUID, allowed: Sequence[Urn] | None) -> None:
        """Detach a process from every dataset except the ``allowed`` ones, or from all if that is None.

        Each slice is a commit of its own. A repeated call continues where the last one stopped.
        """
        changed = SLICE
        while changed == SLICE:
            async with self._store.unit_of_work(tenant) as uow:
                changed = await uow.process_choices.detach(process_id, allowed, SLICE)


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
