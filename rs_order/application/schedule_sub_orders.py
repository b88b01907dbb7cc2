"""Starts an owner's next sub-orders as the limits allow (decisions.md, Which sub-order starts next)."""

from collections.abc import Sequence
from itertools import accumulate

from rs_order.application import steps
from rs_order.application.ask_storage import AskStorage
from rs_order.application.policies import SlotLimits
from rs_order.domain.ids import Tenant
from rs_order.domain.states import OrderStatus
from rs_order.ports.clock import Clock
from rs_order.ports.store import ReadySubOrder, Store, UnitOfWork

ROUND = 100
"""The most one round starts; an owner without a limit gets the rest in the next rounds."""
ROUND_FILES = 10_000
"""One round asks for no more, but for one sub-order that is larger."""


class ScheduleSubOrders:
    """One round for one owner; two rounds of the same owner never overlap."""

    def __init__(self, store: Store, ask: AskStorage, clock: Clock, limits: SlotLimits) -> None:
        self._store = store
        self._ask = ask
        self._clock = clock
        self._limits = limits

    async def handle(self, tenant: Tenant, owner: str) -> None:
        """Start what may start; repeating it does no harm."""
        async with self._store.unit_of_work(tenant) as uow:
            await uow.sub_orders.lock_owner(owner)
            wanted = await self._user_slots(uow, owner)
            if wanted > 0:
                await self._start(uow, owner, wanted)
            await self._hand_on_places(uow)

    async def _start(self, uow: UnitOfWork, owner: str, wanted: int) -> None:
        ready = await uow.sub_orders.next_ready(owner, wanted + 1)
        orders = await uow.orders.lock(sorted({sub_order.order_id for sub_order in ready}))
        running = {
            order.id: order
            for order in orders
            if order.status is OrderStatus.RUNNING and not order.retrying
        }
        if len(running) < len(orders):
            # One was paused or deleted meanwhile: its slot is another's, found by the next round.
            await uow.messages.send([steps.schedule(uow.tenant, owner)])
        ready = [sub_order for sub_order in ready if sub_order.order_id in running]
        allowed = min(wanted, await self._service_places(uow, wanted))
        first = _within_a_round(ready[:allowed])
        chosen = await uow.sub_orders.load([sub_order.id for sub_order in first])
        for sub_order in chosen:
            await self._ask.first(uow, running[sub_order.order_id], sub_order)
        await uow.sub_orders.save(chosen, reason="storage-asked", at=self._clock.now())
        await uow.limits.started(owner, [sub_order.id for sub_order in chosen])
        if len(first) < min(allowed, len(ready)):
            await uow.messages.send([steps.schedule(uow.tenant, owner)])
        else:
            await self._wait_for_more(uow, owner, wanted, allowed, ready[allowed:])

    async def wake(self, tenant: Tenant) -> None:
        """Have a round made for every owner with a ready sub-order: limits may have been raised."""
        async with self._store.unit_of_work(tenant) as uow:
            owners = await uow.sub_orders.owners_ready()
            await uow.messages.send([steps.schedule(tenant, owner) for owner in owners])

    async def _user_slots(self, uow: UnitOfWork, owner: str) -> int:
        if not self._limits.per_user:
            return ROUND
        taken = await uow.sub_orders.slots_taken(owner)
        return min(ROUND, self._limits.per_user - taken)

    async def _service_places(self, uow: UnitOfWork, wanted: int) -> int:
        if not self._limits.service:
            return wanted
        await uow.limits.lock()
        return max(0, self._limits.service - await uow.limits.running())

    async def _hand_on_places(self, uow: UnitOfWork) -> None:
        """Places of the service that this owner doesn't need go to those who wait for one."""
        if not self._limits.service:
            return
        turn = await uow.limits.next_users(await self._service_places(uow, 0))
        await uow.messages.send([steps.schedule(tenant, owner) for tenant, owner in turn])

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
            await uow.messages.send([steps.schedule(uow.tenant, owner)])


def _within_a_round(ready: Sequence[ReadySubOrder]) -> Sequence[ReadySubOrder]:
    """The first ones, by the files that storage is asked for."""
    files = accumulate(sub_order.pending_files for sub_order in ready)
    within = sum(1 for total in files if total <= ROUND_FILES)
    return ready[: max(1, within)]
