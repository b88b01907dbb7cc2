"""Starts an owner's next sub-orders as the limits allow (decisions.md, Which sub-order starts next)."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from rs_order.core.forecasts import Forecast, Forecasts
from rs_order.core.policies import SLICE_SIZES, SliceSizes, SlotLimits
from rs_order.core.settlement import wake_next_waiters
from rs_order.core.shared_steps import ScheduleStep
from rs_order.domain.identity import INSTANCE
from rs_order.domain.ids import OrderId, SubOrderId, Tenant
from rs_order.domain.scheduling import Candidate, decide, slots_of_pass
from rs_order.domain.shares import Amount
from rs_order.domain.states import FileState, OrderStatus, SubOrderKind, SubOrderState
from rs_order.domain.sub_order import SubOrder
from rs_order.ports import Clock
from rs_order.scheduling.restoration import AskersNotLocked, AskStorage
from rs_order.store.sub_orders import OwnerQueue, ReadySubOrder
from rs_order.store.unit_of_work import Store, UnitOfWork


@dataclass(frozen=True, slots=True)
class _Waiting:
    """The owner's next sub-order, which waits for capacity of the service."""

    rank: datetime
    role: str
    """Of the owner."""


class ScheduleSubOrders:
    """Starts sub-orders in passes, one owner at a time; two passes of an owner never overlap."""

    def __init__(
        self,
        store: Store,
        ask: AskStorage,
        clock: Clock,
        limits: SlotLimits,
        forecasts: Forecasts,
        *,
        sizes: SliceSizes = SLICE_SIZES,
    ) -> None:
        self._pass_limits = sizes.started
        self._store = store
        self._ask = ask
        self._clock = clock
        self._limits = limits
        self._forecasts = forecasts

    async def handle(self, tenant: Tenant, step: ScheduleStep) -> None:
        """Start the sub-orders that the limits allow. Handling the step twice does no harm."""
        forecast = await self._forecasts.of(tenant)
        askers: frozenset[OrderId] = frozenset()
        while True:
            try:
                await self._schedule(tenant, step.owner, forecast, askers)
            except AskersNotLocked as found:
                askers |= found.orders
            else:
                return

    async def _schedule(
        self, tenant: Tenant, owner: str, forecast: Forecast, askers: Collection[OrderId]
    ) -> None:
        async with self._store.unit_of_work(tenant, schedules=owner) as uow:
            waits = await self._pass(uow, owner, forecast, askers)
            if self._limits.service:
                await self._queue_for_capacity(uow, owner, waits)
            await wake_next_waiters(uow, self._limits)

    async def begin(self) -> None:
        """Compare uses by the half-life of the settings. Without a limit, forget who waited for capacity."""
        async with self._store.unit_of_work(INSTANCE) as uow:
            await uow.capacity.lock()
            if self._limits.service:
                await uow.capacity.keep_half_life(self._limits.half_life)
            else:
                await uow.capacity.stop_to_count()

    async def resume(self, tenant: Tenant) -> None:
        """Schedule a pass for every owner with a ready sub-order, since limits may have been raised."""
        async with self._store.unit_of_work(tenant) as uow:
            owners = await uow.sub_orders.owners_ready()
            await uow.messages.send([ScheduleStep(owner).to(tenant) for owner in owners])

    async def _pass(
        self, uow: UnitOfWork, owner: str, forecast: Forecast, askers: Collection[OrderId]
    ) -> _Waiting | None:
        """Lock the orders in the owner's queue, decide which sub-orders start, and start them.

        Return what waits for capacity of the service, or None. ``askers``: orders that are locked, too,
        because they have asked for the same files.
        """
        found = await self._queue(uow, owner)
        slots = self._limits.per_user - found.slots_taken if self._limits.per_user else None
        wanted = slots_of_pass(slots, self._pass_limits)
        queue = found.with_slot[: wanted + 1] if wanted else []
        without_slot = found.without_slot
        ready = [*queue, *without_slot]
        if not ready:
            return None
        queued = {one.order_id for one in ready}
        orders = await uow.orders.lock(sorted(queued | set(askers)), filling=False)
        running = {order.id: order for order in orders if order.status is OrderStatus.RUNNING}
        loaded = await _load(uow, (one.id for one in ready if one.order_id in running))
        asked = await _asked_of_storage(uow, loaded.values())
        decision = decide(
            _candidates(queue, asked),
            _candidates(without_slot, asked),
            slots=slots,
            capacity=await self._capacity(uow, owner) if queue else None,
            limits=self._pass_limits,
        )
        chosen = [(running[one.order_id], one) for one in map(loaded.__getitem__, decision.start)]
        if chosen:
            await self._ask.first(uow, chosen, forecast, {order.id for order in orders})
            await self._save_started(uow, owner, [one for _, one in chosen], asked)
        if decision.again:
            await uow.messages.send([ScheduleStep(owner).to(uow.tenant)])
        if decision.waiting_rank is None:
            return None
        role = next(order.role for order in orders if order.owner == owner)
        return _Waiting(decision.waiting_rank, role)

    async def _queue(self, uow: UnitOfWork, owner: str) -> OwnerQueue:
        """Return the owner's queue as far as a pass needs it, if all slots are free."""
        return await uow.sub_orders.queue_of(
            owner,
            with_slot=1 + slots_of_pass(self._limits.per_user or None, self._pass_limits),
            without_slot=self._pass_limits.sub_orders,
            count_slots=bool(self._limits.per_user),
        )

    async def _capacity(self, uow: UnitOfWork, owner: str) -> int | None:
        """Lock the capacity, and return how much of it the owner may take; None if there is no limit."""
        if not self._limits.service:
            return None
        await uow.capacity.lock()
        return (await uow.capacity.claims(owner)).allowance(self._limits.service)

    async def _queue_for_capacity(
        self, uow: UnitOfWork, owner: str, waits: _Waiting | None
    ) -> None:
        """Let the owner wait, or leave the queue: what was promised to them is taken now, or not needed."""
        await uow.capacity.lock()
        if waits is None:
            await uow.capacity.leave(owner)
        else:
            await uow.capacity.wait(owner, waits.rank, waits.role)

    async def _save_started(
        self,
        uow: UnitOfWork,
        owner: str,
        started: Sequence[SubOrder],
        amounts: Mapping[SubOrderId, Amount],
    ) -> None:
        """Save sub-orders that were started, with the capacity that those that wait for storage use.

        ``amounts``: what each of them needs. What it joined counts for the one that asked.
        """
        now = self._clock.now()
        await uow.sub_orders.save(started, now)
        asked = {
            one.id: amounts[one.id].without(one.joined_files, one.joined_bytes)
            for one in started
            if one.state is SubOrderState.RUNNING
        }
        if asked:
            await uow.capacity.acquire(owner, asked)
            if self._limits.service:
                use = sum(amount.use for amount in asked.values())
                await uow.capacity.charge(owner, use, now, self._limits.half_life)


async def _load(uow: UnitOfWork, ids: Iterable[SubOrderId]) -> dict[SubOrderId, SubOrder]:
    wanted = list(ids)
    return {one.id: one for one in await uow.sub_orders.load(wanted)} if wanted else {}


async def _asked_of_storage(
    uow: UnitOfWork, loaded: Iterable[SubOrder]
) -> dict[SubOrderId, Amount]:
    """Return what storage is asked for by those sub-orders that are still ready."""
    ready = [one for one in loaded if one.state is SubOrderState.READY]
    processed = [one.id for one in ready if one.kind is SubOrderKind.PROCESSING]
    inputs = await uow.inputs.count_pending(processed) if processed else {}
    return {
        one.id: Amount(1, *inputs.get(one.id, (0, 0)))
        if one.kind is SubOrderKind.PROCESSING
        else Amount(1, one.counters.pending, one.counters.bytes[FileState.PENDING])
        for one in ready
    }


def _candidates(
    ready: Sequence[ReadySubOrder], asked: Mapping[SubOrderId, Amount]
) -> list[Candidate]:
    """Return the queue as it is now; ``asked`` has those that are still ready."""
    return [
        Candidate(
            one.id,
            one.rank,
            asked[one.id].files if one.id in asked else 0,
            may_start=one.id in asked,
        )
        for one in ready
    ]
