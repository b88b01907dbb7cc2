"""Starts an owner's next sub-orders as the limits allow (decisions.md, Which sub-order starts next)."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from rs_order.core.forecasts import Forecast, Forecasts
from rs_order.core.policies import SLICE_SIZES, SliceSizes, SlotLimits
from rs_order.core.settlement import wake_next_waiters
from rs_order.core.shared_steps import ScheduleStep
from rs_order.domain.events import EventType
from rs_order.domain.identity import INSTANCE
from rs_order.domain.ids import OrderId, SubOrderId, Tenant
from rs_order.domain.order import Order
from rs_order.domain.scheduling import Candidate, decide, slots_of_pass
from rs_order.domain.shares import NOTHING, Amount
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
    asks: Amount
    """What it asks of storage."""


@dataclass(frozen=True, slots=True)
class _Passed:
    """What a pass leaves to be done."""

    limited: bool
    """True if the capacity is counted."""
    waits: _Waiting | None = None


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
            passed = await self._pass(uow, owner, forecast, askers)
            if passed.limited:
                await self._queue_for_capacity(uow, owner, passed.waits)
                await wake_next_waiters(uow, self._limits)

    async def begin(self) -> None:
        """Compare uses by the half-life of the settings. Without a limit, forget who waited for capacity."""
        async with self._store.unit_of_work(INSTANCE) as uow:
            await uow.capacity.lock()
            await uow.capacity.keep_half_life(self._limits.half_life)
            if not self._limits.limited:
                await uow.capacity.stop_to_count()

    async def resume(self, tenant: Tenant) -> None:
        """Schedule a pass for every owner with a ready sub-order, since limits may have been raised."""
        async with self._store.unit_of_work(tenant) as uow:
            owners = await uow.sub_orders.owners_ready()
            await uow.messages.send([ScheduleStep(owner).to(tenant) for owner in owners])

    async def _pass(
        self, uow: UnitOfWork, owner: str, forecast: Forecast, askers: Collection[OrderId]
    ) -> _Passed:
        """Lock the orders in the owner's queue, decide which sub-orders start, and start them.

        ``askers``: orders that are locked, too, because they have asked for the same files.
        """
        found = await self._queue(uow, owner)
        limited = self._limits.limited or found.limited
        slots = self._limits.per_user - found.slots_taken if self._limits.per_user else None
        wanted = slots_of_pass(slots, self._pass_limits)
        queue = found.with_slot[: wanted + 1] if wanted else []
        without_slot = found.without_slot
        ready = [*queue, *without_slot]
        if not ready:
            return _Passed(limited)
        queued = {one.order_id for one in ready}
        orders = await uow.orders.lock(sorted(queued | set(askers)), filling=False)
        running = {order.id: order for order in orders if order.status is OrderStatus.RUNNING}
        loaded = await _load(uow, (one.id for one in ready if one.order_id in running))
        asked = await _asked_of_storage(uow, loaded.values())
        startable = [asked[one.id] for one in queue if one.id in asked][:wanted]
        if limited and startable:
            slots, capacity = await self._within_limits(uow, owner, slots, startable)
        else:
            capacity = None
        decision = decide(
            _candidates(queue, asked),
            _candidates(without_slot, asked),
            slots=slots,
            capacity=capacity,
            limits=self._pass_limits,
        )
        chosen = [(running[one.order_id], one) for one in map(loaded.__getitem__, decision.start)]
        if chosen:
            locked = {order.id for order in orders}
            await self._ask.first(uow, chosen, forecast, locked, askers_known=bool(askers))
            await self._save_started(uow, owner, chosen, asked, limited=limited)
        # What they joined counts for the one that asked, so the next one may fit after all.
        joined = limited and any(one.joined_files for _, one in chosen)
        if decision.again or (joined and len(chosen) < len(ready)):
            await uow.messages.send([ScheduleStep(owner).to(uow.tenant)])
        if decision.waits is None:
            return _Passed(limited)
        role = next(order.role for order in orders if order.owner == owner)
        first = decision.waits
        return _Passed(limited, _Waiting(first.rank, role, asked[first.id]))

    async def _queue(self, uow: UnitOfWork, owner: str) -> OwnerQueue:
        """Return the owner's queue as far as a pass needs it, if all slots are free."""
        return await uow.sub_orders.queue_of(
            owner,
            with_slot=1 + slots_of_pass(self._limits.per_user or None, self._pass_limits),
            without_slot=self._pass_limits.sub_orders,
            count_slots=bool(self._limits.per_user),
        )

    async def _within_limits(
        self, uow: UnitOfWork, owner: str, slots: int | None, wanted: Sequence[Amount]
    ) -> tuple[int | None, int | None]:
        """Return how many of the wanted sub-orders the owner's limits allow, and the others; None: all.

        It locks the capacity. Limits of each user act like slots: only the owner's own sub-orders make room.
        """
        await uow.capacity.lock()
        claims = await uow.capacity.claims(owner)
        own = claims.user.fitting(wanted)
        if own < len(wanted):
            slots, wanted = own, wanted[:own]
        shared = claims.allowance(self._limits.of_service, wanted)
        return slots, shared if shared < len(wanted) else None

    async def _queue_for_capacity(
        self, uow: UnitOfWork, owner: str, waits: _Waiting | None
    ) -> None:
        """Let the owner wait, or leave the queue: what was promised to them is taken now, or not needed."""
        await uow.capacity.lock()
        if waits is None:
            await uow.capacity.leave(owner)
        else:
            await uow.capacity.wait(owner, waits.rank, waits.role, waits.asks)

    async def _save_started(
        self,
        uow: UnitOfWork,
        owner: str,
        chosen: Sequence[tuple[Order, SubOrder]],
        amounts: Mapping[SubOrderId, Amount],
        *,
        limited: bool,
    ) -> None:
        """Save sub-orders that were started, with the capacity that those that wait for storage use.

        ``amounts``: what each of them needs. What it joined counts for the one that asked.
        ``limited``: whether recent use counts.
        """
        now = self._clock.now()
        asked = {
            one.id: amounts[one.id].without(one.joined_files, one.joined_bytes)
            for _, one in chosen
            if one.state is SubOrderState.RUNNING
        }
        for order, one in chosen:
            if one.id in asked:
                _note_started(order, one)
        orders = {order.id: order for order, _ in chosen}
        await uow.sub_orders.save([one for _, one in chosen], now, of=list(orders.values()))
        if asked:
            await uow.capacity.acquire(owner, asked)
            if limited:
                use = sum(amount.use for amount in asked.values())
                await uow.capacity.charge(owner, use, now, self._limits.half_life)


def _note_started(order: Order, sub_order: SubOrder) -> None:
    """Add the event that storage was asked for the files of a sub-order."""
    order.note(
        EventType.SUB_ORDER_STARTED,
        subOrderId=sub_order.id,
        subOrderFiles=sub_order.counters.total_files,
        subOrderBytes=sub_order.counters.total_bytes,
    )


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
        one.id: Amount(1, *inputs[one.id])
        if one.id in inputs
        else NOTHING
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
