"""Starts an owner's next sub-orders as the limits allow (decisions.md, Which sub-order starts next)."""

from collections.abc import Mapping, Sequence

from rs_order.application.ask_storage import AskStorage
from rs_order.application.policies import SlotLimits
from rs_order.application.service_places import hand_on_places, hold_free_places
from rs_order.application.steps import ScheduleStep
from rs_order.domain.ids import OrderId, Tenant
from rs_order.domain.moves import Reason
from rs_order.domain.order import Order
from rs_order.domain.states import OrderStatus, SubOrderState
from rs_order.domain.sub_order import SubOrder
from rs_order.ports.clock import Clock
from rs_order.store.sub_orders import ReadySubOrder
from rs_order.store.unit_of_work import Store, UnitOfWork

ROUND = 100
"""The most one round starts; an owner without a limit gets the rest in the next rounds."""
ROUND_FILES = 10_000
"""One round starts nothing more once it has asked for so many files."""


class ScheduleSubOrders:
    """One round for one owner; two rounds of the same owner never overlap."""

    def __init__(self, store: Store, ask: AskStorage, clock: Clock, limits: SlotLimits) -> None:
        self._store = store
        self._ask = ask
        self._clock = clock
        self._limits = limits

    async def handle(self, tenant: Tenant, step: ScheduleStep) -> None:
        """Start what may start; repeating it does no harm."""
        async with self._store.unit_of_work(tenant) as uow:
            await uow.sub_orders.lock_owner(step.owner)
            wanted = max(0, await self._user_slots(uow, step.owner))
            await self._start(uow, step.owner, wanted)
            await hand_on_places(uow, self._limits)

    async def _start(self, uow: UnitOfWork, owner: str, wanted: int) -> None:
        ready = await uow.sub_orders.next_ready(owner, wanted + 1) if wanted else []
        free = await uow.sub_orders.next_ready(owner, ROUND, asks_storage=False)
        orders = await uow.orders.lock(
            sorted({sub_order.order_id for sub_order in (*ready, *free)})
        )
        running = {order.id: order for order in orders if order.status is OrderStatus.RUNNING}
        started = await self._start_these(uow, owner, _of_orders(free, running), running)
        # There may be more of those that need no slot.
        more = len(started) < len(free) or len(free) == ROUND
        allowed, left = 0, list[ReadySubOrder]()
        if wanted:
            found = len(ready)
            ready = _of_orders(ready, running)
            allowed = min(wanted, await self._service_places(uow, wanted))
            started = await self._start_these(uow, owner, ready[:allowed], running)
            in_slots = sum(one.state is SubOrderState.RUNNING for one in started)
            # The round had asked for enough; or a slot is another's, found by the next round: an order
            # was paused or deleted meanwhile, storage gave a late answer, or a process had nothing to
            # ask and is at work.
            more = more or in_slots < min(allowed, found)
            left = ready[allowed:]
        if more:
            await uow.messages.send([ScheduleStep(owner).to(uow.tenant)])
        else:
            await self._wait_for_more(uow, owner, wanted, allowed, left)

    async def _start_these(
        self,
        uow: UnitOfWork,
        owner: str,
        ready: Sequence[ReadySubOrder],
        running: Mapping[OrderId, Order],
    ) -> list[SubOrder]:
        """Ask storage for those that are still ready; a process that needs nothing of it begins at once.

        Returns:
            Those that were.
        """
        loaded = {one.id: one for one in await uow.sub_orders.load([one.id for one in ready])}
        by_rank = [loaded[one.id] for one in ready if one.id in loaded]
        chosen, files = list[SubOrder](), 0
        for sub_order in by_rank:
            if sub_order.state is SubOrderState.READY and files < ROUND_FILES:
                files += await self._ask.first(uow, running[sub_order.order_id], sub_order)
                chosen.append(sub_order)
        asked = [one for one in chosen if one.state is SubOrderState.RUNNING]
        begun = [one for one in chosen if one.state is not SubOrderState.RUNNING]
        now = self._clock.now()
        await uow.sub_orders.save(asked, reason=Reason.STORAGE_ASKED, at=now)
        await uow.sub_orders.save(begun, reason=Reason.NOTHING_TO_ASK, at=now)
        await uow.limits.started(owner, [sub_order.id for sub_order in asked])
        return chosen

    async def wake(self, tenant: Tenant) -> None:
        """Have a round made for every owner with a ready sub-order: limits may have been raised."""
        async with self._store.unit_of_work(tenant) as uow:
            owners = await uow.sub_orders.owners_ready()
            await uow.messages.send([ScheduleStep(owner).to(tenant) for owner in owners])

    async def _user_slots(self, uow: UnitOfWork, owner: str) -> int:
        if not self._limits.per_user:
            return ROUND
        taken = await uow.sub_orders.slots_taken(owner)
        return min(ROUND, self._limits.per_user - taken)

    async def _service_places(self, uow: UnitOfWork, wanted: int) -> int:
        return await hold_free_places(uow, self._limits) if self._limits.service else wanted

    async def _wait_for_more(
        self,
        uow: UnitOfWork,
        owner: str,
        wanted: int,
        allowed: int,
        left: Sequence[ReadySubOrder],
    ) -> None:
        """What is left waits: for the service, or, without a limit of the user, for the next round."""
        if not left:
            return
        if allowed < wanted:
            await uow.limits.wait(owner, left[0].rank)
        elif not self._limits.per_user:
            await uow.messages.send([ScheduleStep(owner).to(uow.tenant)])


def _of_orders(
    ready: Sequence[ReadySubOrder], orders: Mapping[OrderId, Order]
) -> list[ReadySubOrder]:
    return [sub_order for sub_order in ready if sub_order.order_id in orders]
