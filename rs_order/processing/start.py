"""Passes sub-orders from storage to rs-processing when all inputs are settled (domain.md 8.1 to 8.3)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from rs_order.core.settlement import Cause, Settlement
from rs_order.core.shared_steps import ScheduleStep, StartProcessingStep
from rs_order.domain.identity import SERVICE, Caller
from rs_order.domain.ids import DataFileId, SubOrderId, Tenant
from rs_order.domain.moves import Reason
from rs_order.domain.order import Order
from rs_order.domain.retry import RetryPolicy
from rs_order.domain.states import OrderStatus, SubOrderState
from rs_order.domain.sub_order import SubOrder
from rs_order.ports import (
    Clock,
    MessageKind,
    NewBatch,
    Processes,
    RemoteRejection,
    RemoteUnavailable,
)
from rs_order.processing.executions import executions, without_input
from rs_order.processing.results import GiveUpResultsStep
from rs_order.store.outbox import OutgoingMessage
from rs_order.store.process_batches import Work
from rs_order.store.process_inputs import StoredInput
from rs_order.store.unit_of_work import Store, UnitOfWork


class BeginProcessing:
    """Moves running sub-orders to the state PROCESSING when all their inputs are settled."""

    def __init__(self, settlement: Settlement) -> None:
        self._settlement = settlement

    async def begin(
        self, uow: UnitOfWork, ids: Sequence[SubOrderId], *, reason: Reason, at: datetime
    ) -> None:
        """Release the slots of sub-orders, and write the steps that start their processes.

        The caller has locked their orders.
        """
        sub_orders = await uow.sub_orders.load(ids)
        for sub_order in sub_orders:
            sub_order.begin_processing(at, reason=reason)
        await uow.sub_orders.save(sub_orders, at)
        owners = sorted({sub_order.owner for sub_order in sub_orders})
        await uow.messages.send(
            [
                *(
                    StartProcessingStep(sub_order.order_id, sub_order.id).to(uow.tenant)
                    for sub_order in sub_orders
                ),
                *(ScheduleStep(owner).to(uow.tenant) for owner in owners),
            ]
        )
        await self._settlement.release_capacity(uow, ids)


@dataclass(frozen=True, slots=True)
class _Unstarted:
    """A sub-order whose executions are not requested yet."""

    order: Order
    sub_order: SubOrder
    work: Work
    inputs: Sequence[StoredInput]

    @property
    def step(self) -> StartProcessingStep:
        return StartProcessingStep(self.order.id, self.sub_order.id)

    @property
    def available(self) -> list[StoredInput]:
        return [one for one in self.inputs if one.available]


class StartProcessing:
    """Creates a batch in rs-processing, then requests its executions in one commit.

    A crash between the two leaves a batch without executions, which is harmless. The step runs again.
    """

    def __init__(
        self,
        store: Store,
        processes: Processes,
        settlement: Settlement,
        *,
        clock: Clock,
        retries: RetryPolicy,
        silence: timedelta,
    ) -> None:
        """``silence``: the time limit for results."""
        self._store = store
        self._processes = processes
        self._settlement = settlement
        self._clock = clock
        self._retries = retries
        self._silence = silence

    async def handle(self, tenant: Tenant, step: StartProcessingStep) -> None:
        """Request the executions of a sub-order, unless that was done or its order isn't running (W42)."""
        async with self._store.unit_of_work(tenant) as uow:
            unstarted = await self._lock(uow, step)
        if unstarted is None:
            return
        if not unstarted.available:
            await self._fail(unstarted, tenant, "")
            return
        caller = Caller(tenant, unstarted.order.owner, unstarted.order.role)
        try:
            batch_id = await self._processes.create_batch(caller, _new_batch(unstarted))
        except RemoteRejection as error:
            await self._fail(unstarted, tenant, f"The process was refused: {error}")
        except RemoteUnavailable as error:
            await self._wait(unstarted, tenant, error)
        else:
            await self._send(unstarted, tenant, batch_id)

    async def _lock(self, uow: UnitOfWork, step: StartProcessingStep) -> _Unstarted | None:
        """Lock the order. Return its sub-order, or None if the step has nothing left to do."""
        orders = await uow.orders.lock([step.order_id])
        loaded = await uow.sub_orders.load([step.sub_order_id])
        work = await uow.executions.work(step.sub_order_id)
        if not orders or not loaded or work is None or work.batch_id is not None:
            return None
        (order,), (sub_order,) = orders, loaded
        if sub_order.order_id != order.id or sub_order.state is not SubOrderState.PROCESSING:
            return None
        if order.status is OrderStatus.PAUSED:
            await self._return_to_queue(uow, sub_order)
        if order.status is not OrderStatus.RUNNING:
            return None
        return _Unstarted(order, sub_order, work, await uow.inputs.of_sub_order(sub_order.id))

    async def _return_to_queue(self, uow: UnitOfWork, sub_order: SubOrder) -> None:
        """Queue the sub-order of a paused order again, until the order is resumed (W42)."""
        sub_order.return_to_queue()
        await uow.sub_orders.save([sub_order], self._clock.now())

    async def _send(self, unstarted: _Unstarted, tenant: Tenant, batch_id: UUID) -> None:
        """Request the executions in one commit, and fail the outputs that have no available input."""
        now = self._clock.now()
        async with self._store.unit_of_work(tenant) as uow:
            still = await self._lock(uow, unstarted.step)
            if still is None:
                return
            work, order = still.work, still.order
            await uow.executions.save_batch_id(work.sub_order_id, batch_id)
            impossible = without_input(
                await uow.executions.awaited(work.sub_order_id), still.inputs
            )
            await uow.inputs.delete_used(work.sub_order_id)
            await self._save_due_date(uow, still.sub_order, now + self._silence)
            await uow.messages.send(
                [
                    *(
                        OutgoingMessage(
                            kind=MessageKind.EXECUTION_REQUEST,
                            tenant=tenant,
                            body=request.to_wire(),
                        )
                        for request in executions(work, order.owner, batch_id, still.available)
                    ),
                    GiveUpResultsStep(work.order_id, work.sub_order_id).to(
                        tenant, now + self._silence
                    ),
                ]
            )
            moves = await uow.executions.settle(work.sub_order_id, {}, impossible)
            cause = Cause(Reason.PROCESS_NOT_STARTED, SERVICE, now)
            await self._settlement.apply(uow, [order], moves, cause)

    async def _save_due_date(self, uow: UnitOfWork, sub_order: SubOrder, due_at: datetime) -> None:
        """Save when the next step of the sub-order is due."""
        sub_order.due_at = due_at
        await uow.sub_orders.save([sub_order], self._clock.now())

    async def _fail(self, unstarted: _Unstarted, tenant: Tenant, reason: str) -> None:
        """Fail all outputs, so that the order can end (W7).

        ``reason`` is empty if there is no available input. Each output then gets the reason of its inputs.
        """
        now = self._clock.now()
        async with self._store.unit_of_work(tenant) as uow:
            still = await self._lock(uow, unstarted.step)
            if still is None:
                return
            awaited = await uow.executions.awaited(still.sub_order.id)
            failed: Mapping[DataFileId, str] = (
                {one.id: reason for one in awaited}
                if reason
                else without_input(awaited, still.inputs)
            )
            await uow.inputs.delete_used(still.sub_order.id)
            moves = await uow.executions.settle(still.sub_order.id, {}, failed)
            cause = Cause(Reason.PROCESS_NOT_STARTED, SERVICE, now)
            await self._settlement.apply(uow, [still.order], moves, cause)

    async def _wait(self, unstarted: _Unstarted, tenant: Tenant, error: RemoteUnavailable) -> None:
        """Start the process later, or fail its outputs when the retry policy is exhausted."""
        now = self._clock.now()
        since = unstarted.work.unavailable_since or now
        if self._retries.exhausted(since, now):
            await self._fail(unstarted, tenant, f"The process could not be started: {error}")
            return
        async with self._store.unit_of_work(tenant) as uow:
            still = await self._lock(uow, unstarted.step)
            if still is None or still.work.attempts != unstarted.work.attempts:
                return
            attempts = still.work.attempts
            await uow.executions.note_unavailable(still.sub_order.id, attempts + 1, since)
            due = now + self._retries.pause(attempts + 1)
            await self._save_due_date(uow, still.sub_order, due)
            await uow.messages.send([still.step.to(tenant, due)])


def _new_batch(unstarted: _Unstarted) -> NewBatch:
    work = unstarted.work
    return NewBatch(
        correlation_id=work.correlation_id,
        process_id=work.choice.process_id,
        parameters=work.choice.parameters,
        dataset=work.dataset,
        total_bytes=sum(one.input.size for one in unstarted.available),
    )
