"""Pausing and resuming an order (O6, O7).

A paused order holds nothing: there is no job to wait for, so it can be resumed at once. What storage was
asked for can't be recalled, and its answers still count.
"""

from rs_order.application import responses, steps
from rs_order.application.act.rights import Actor, Rights, locked, refuse_unless
from rs_order.application.links import DownloadLinks, Links
from rs_order.application.settlement import Settlement
from rs_order.domain.ids import OrderId
from rs_order.domain.moves import Reason
from rs_order.domain.order import Order
from rs_order.domain.states import OrderStatus
from rs_order.ports.clock import Clock
from rs_order.ports.store import CompletionCursor, Store, UnitOfWork

MUST_BE_PENDING_OR_RUNNING = "ORDER_MUST_BE_PENDING_OR_RUNNING"
MUST_BE_PAUSED = "ORDER_MUST_BE_PAUSED"


class PauseOrder:
    """Nothing more of the order starts; its running sub-orders queue again and free their places."""

    def __init__(self, store: Store, rights: Rights, settlement: Settlement, clock: Clock) -> None:
        self._store = store
        self._rights = rights
        self._settlement = settlement
        self._clock = clock

    async def handle(self, actor: Actor, order_id: OrderId) -> None:
        """Pause a pending or running order."""
        await self._rights.require(actor, order_id)
        now = self._clock.now()
        async with self._store.unit_of_work(actor.caller.tenant) as uow:
            order = await locked(uow, order_id)
            refuse_unless(order.status.can_be_paused, MUST_BE_PENDING_OR_RUNNING)
            order.move(OrderStatus.PAUSED, reason=Reason.PAUSED, actor=actor.email)
            await uow.orders.save([order], now)
            stopped = await uow.sub_orders.stop(order_id, reason=Reason.ORDER_PAUSED, at=now)
            if stopped:
                await uow.messages.send([steps.schedule(uow.tenant, order.owner)])
            await self._settlement.leave_service_slots(uow, stopped)


class ResumeOrder:
    """The order goes on where it stood: with its completion, its retry, or its sub-orders."""

    def __init__(self, store: Store, rights: Rights, links: Links, clock: Clock) -> None:
        self._store = store
        self._rights = rights
        self._links = links
        self._clock = clock

    async def handle(self, actor: Actor, order_id: OrderId) -> None:
        """Resume a paused order."""
        await self._rights.require(actor, order_id)
        links = await self._links.download(actor.caller.tenant)
        async with self._store.unit_of_work(actor.caller.tenant) as uow:
            order = await locked(uow, order_id)
            refuse_unless(order.status is OrderStatus.PAUSED, MUST_BE_PAUSED)
            completion = await uow.completions.cursor(order_id)
            if completion is None:
                await self._go_on(uow, order, actor, links)
            else:
                await self._go_on_reading(uow, order, actor, completion)

    async def _go_on_reading(
        self, uow: UnitOfWork, order: Order, actor: Actor, cursor: CompletionCursor
    ) -> None:
        """Read the page at which the completion stopped; trouble from before the pause is forgotten."""
        order.move(OrderStatus.PENDING, reason=Reason.RESUMED, actor=actor.email)
        await uow.completions.advance(order.id, cursor.untroubled())
        await uow.orders.save([order], self._clock.now())
        await uow.messages.send(
            [steps.complete_order(uow.tenant, order.id, cursor.selection, cursor.page)]
        )

    async def _go_on(
        self, uow: UnitOfWork, order: Order, actor: Actor, links: DownloadLinks
    ) -> None:
        order.move(OrderStatus.RUNNING, reason=Reason.RESUMED, actor=actor.email)
        ended = order.settle(reason=Reason.RESUMED, actor=actor.email)
        await uow.orders.save([order], self._clock.now())
        retry = await uow.retries.cursor(order.id)
        if retry is not None:
            await uow.messages.send(
                [steps.retry_order(uow.tenant, order.id, retry.dataset_task, retry.file)]
            )
        elif ended:
            await uow.messages.respond(
                [responses.order_ended(uow.tenant, order, links.of(order.id))]
            )
        else:
            await uow.messages.send([steps.schedule(uow.tenant, order.owner)])
