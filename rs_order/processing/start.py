"""Hands sub-orders from storage to rs-processing once all inputs are settled (domain.md 8.1 to 8.3)."""

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
    ProcessBatches,
    RemoteRefusal,
    RemoteTrouble,
)
from rs_order.processing.executions import executions, without_input
from rs_order.processing.results import GiveUpResultsStep
from rs_order.store.executions import Work
from rs_order.store.messages import OutgoingMessage
from rs_order.store.process_inputs import StoredInput
from rs_order.store.unit_of_work import Store, UnitOfWork


class BeginProcessing:
    """A running sub-order whose inputs are settled gives its slot back and asks for its executions."""

    def __init__(self, settlement: Settlement) -> None:
        self._settlement = settlement

    async def begin(
        self, uow: UnitOfWork, ids: Sequence[SubOrderId], *, reason: Reason, at: datetime
    ) -> None:
        """Begin these; the caller holds their orders."""
        if not ids:
            return
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
class _Held:
    """A sub-order whose executions are still to be asked for, its order locked."""

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
    """One step: makes a batch, then asks for its executions in one commit.

    Dying between the two leaves a batch without executions, which does no harm; the step comes again.
    """

    def __init__(
        self,
        store: Store,
        batches: ProcessBatches,
        settlement: Settlement,
        *,
        clock: Clock,
        retries: RetryPolicy,
        silence: timedelta,
    ) -> None:
        """``silence``: how long results are waited for."""
        self._store = store
        self._batches = batches
        self._settlement = settlement
        self._clock = clock
        self._retries = retries
        self._silence = silence

    async def handle(self, tenant: Tenant, step: StartProcessingStep) -> None:
        """Ask for the executions of a sub-order, unless that was done, or its order doesn't run (W42)."""
        async with self._store.unit_of_work(tenant) as uow:
            held = await self._hold(uow, step)
        if held is None:
            return
        if not held.available:
            await self._fail(held, tenant, "")
            return
        caller = Caller(tenant, held.order.owner, held.order.role)
        try:
            batch_id = await self._batches.create(caller, _new_batch(held))
        except RemoteRefusal as refusal:
            await self._fail(held, tenant, f"The process was refused: {refusal}")
        except RemoteTrouble as trouble:
            await self._wait(held, tenant, trouble)
        else:
            await self._send(held, tenant, batch_id)

    async def _hold(self, uow: UnitOfWork, step: StartProcessingStep) -> _Held | None:
        orders = await uow.orders.lock([step.order_id])
        loaded = await uow.sub_orders.load([step.sub_order_id])
        work = await uow.executions.work(step.sub_order_id)
        if not orders or not loaded or work is None or work.batch_id is not None:
            return None
        (order,), (sub_order,) = orders, loaded
        if sub_order.state is not SubOrderState.PROCESSING:
            return None
        if order.status is OrderStatus.PAUSED:
            await self._put_back(uow, sub_order)
        if order.status is not OrderStatus.RUNNING:
            return None
        return _Held(order, sub_order, work, await uow.inputs.of_sub_order(sub_order.id))

    async def _put_back(self, uow: UnitOfWork, sub_order: SubOrder) -> None:
        """A paused order starts no process: its sub-order queues again until it is resumed (W42)."""
        sub_order.return_to_queue()
        await uow.sub_orders.save([sub_order], self._clock.now())

    async def _send(self, held: _Held, tenant: Tenant, batch_id: UUID) -> None:
        now = self._clock.now()
        async with self._store.unit_of_work(tenant) as uow:
            still = await self._hold(uow, held.step)
            if still is None:
                return
            work, order = still.work, still.order
            await uow.executions.save_batch_id(work.sub_order_id, batch_id)
            lost = without_input(await uow.executions.awaited(work.sub_order_id), still.inputs)
            await uow.inputs.delete_used(work.sub_order_id)
            await self._mind(uow, still, now + self._silence)
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
            moves = await uow.executions.settle(work.sub_order_id, {}, lost)
            cause = Cause(Reason.PROCESS_NOT_STARTED, SERVICE, now)
            await self._settlement.carry(uow, [order], moves, cause)

    async def _mind(self, uow: UnitOfWork, held: _Held, due_at: datetime) -> None:
        """Note when the next step for the sub-order falls due."""
        held.sub_order.due_at = due_at
        await uow.sub_orders.save([held.sub_order], self._clock.now())

    async def _fail(self, held: _Held, tenant: Tenant, reason: str) -> None:
        """Nothing will be made: every output says so, so that the order ends (W7).

        ``reason`` is empty when there is no input; then each output has the reason of its own.
        """
        now = self._clock.now()
        async with self._store.unit_of_work(tenant) as uow:
            still = await self._hold(uow, held.step)
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
            await self._settlement.carry(uow, [still.order], moves, cause)

    async def _wait(self, held: _Held, tenant: Tenant, trouble: RemoteTrouble) -> None:
        """rs-processing gave no answer: ask later, or, when patience ends, fail."""
        now = self._clock.now()
        since = held.work.unavailable_since or now
        if self._retries.exhausted(since, now):
            await self._fail(held, tenant, f"The process could not be started: {trouble}")
            return
        async with self._store.unit_of_work(tenant) as uow:
            still = await self._hold(uow, held.step)
            if still is None or still.work.attempts != held.work.attempts:
                return
            attempts = still.work.attempts
            await uow.executions.note_unavailable(still.sub_order.id, attempts + 1, since)
            due = now + self._retries.pause(attempts + 1)
            await self._mind(uow, still, due)
            await uow.messages.send([still.step.to(tenant, due)])


def _new_batch(held: _Held) -> NewBatch:
    work = held.work
    return NewBatch(
        correlation_id=work.correlation_id,
        process_id=work.choice.process_id,
        parameters=work.choice.parameters,
        dataset=work.dataset,
        total_bytes=sum(one.input.size for one in held.available),
    )
