"""Expires orders and deletes, slice by slice, the files of those that are gone."""

from rs_order.application.cancel_orders import Departure
from rs_order.application.steps import DeleteFilesStep, ExpireOrderStep
from rs_order.domain.identity import SERVICE
from rs_order.domain.ids import Tenant
from rs_order.domain.moves import Reason
from rs_order.domain.order import Order
from rs_order.domain.states import OrderStatus
from rs_order.ports.clock import Clock
from rs_order.store.unit_of_work import Store

SLICE = 5000
"""Files, or sub-orders that hold no slot, that one step deletes."""


class ExpireOrder:
    """Expires an order when its time has come (O11, O12)."""

    def __init__(self, store: Store, departure: Departure, clock: Clock) -> None:
        self._store = store
        self._departure = departure
        self._clock = clock

    async def handle(self, tenant: Tenant, step: ExpireOrderStep) -> None:
        """Expire the order, unless it is not its time, or nothing of it can expire."""
        now = self._clock.now()
        async with self._store.unit_of_work(tenant) as uow:
            expired = [
                order
                for order in await uow.orders.lock([step.order_id])
                if order.expires_at is not None and order.expires_at <= now and _can_expire(order)
            ]
            for order in expired:
                order.move(OrderStatus.EXPIRED, reason=Reason.EXPIRED, actor=SERVICE)
            await self._departure.depart(uow, expired)
            await uow.orders.save(expired, now)


def _can_expire(order: Order) -> bool:
    if order.status in (OrderStatus.PENDING, OrderStatus.RUNNING, OrderStatus.PAUSED):
        return True
    finished = order.status in (OrderStatus.DONE, OrderStatus.DONE_WITH_WARNING)
    return finished and order.counters.available > 0


class DeleteFiles:
    """Deletes a slice of what an order that is gone, or whose completion failed, left behind.

    The order isn't locked: nothing else changes what it left.
    """

    def __init__(self, store: Store, departure: Departure) -> None:
        self._store = store
        self._departure = departure

    async def handle(self, tenant: Tenant, step: DeleteFilesStep) -> None:
        order_id = step.order_id
        async with self._store.unit_of_work(tenant) as uow:
            more = (
                await self._departure.release(uow, [order_id])
                or await uow.files.delete_slice(order_id, SLICE) == SLICE
                or await uow.inputs.delete_slice(order_id, SLICE) == SLICE
                or await uow.sub_orders.delete_slice(order_id, SLICE) == SLICE
            )
            if more:
                await uow.messages.send([step.to(tenant)])
