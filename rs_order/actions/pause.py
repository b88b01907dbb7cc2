"""Pauses and resumes an order (O6, O7).

A paused order needs no slot and no running job, so it can be resumed at once. Requests to storage can't be
withdrawn, so storage's answers still count.
"""

from rs_order.actions.retry_order import RetryOrderStep
from rs_order.actions.rights import Actor, Rights, locked, reject_unless
from rs_order.core import responses
from rs_order.core.links import Links
from rs_order.core.policies import SLICE_SIZES, SliceSizes
from rs_order.core.settlement import Settlement, schedule_following
from rs_order.core.shared_steps import CompleteOrderStep, ScheduleStep, StopSubOrdersStep
from rs_order.domain.ids import OrderId, Tenant
from rs_order.domain.moves import Reason
from rs_order.domain.order import Order
from rs_order.domain.states import OrderStatus
from rs_order.ports import Clock
from rs_order.store.audit import AuditAction
from rs_order.store.cursors import CompletionCursor
from rs_order.store.unit_of_work import Store, UnitOfWork

MUST_BE_PENDING_OR_RUNNING = "ORDER_MUST_BE_PENDING_OR_RUNNING"
MUST_BE_PAUSED = "ORDER_MUST_BE_PAUSED"


class StopSubOrders:
    """Returns the running sub-orders of a paused order to the queue, a slice at a time.

    A sub-order that is still running when the order is resumed keeps running.
    """

    def __init__(
        self,
        store: Store,
        settlement: Settlement,
        clock: Clock,
        sizes: SliceSizes = SLICE_SIZES,
    ) -> None:
        self._store = store
        self._settlement = settlement
        self._clock = clock
        self._slice = sizes.stopped_sub_orders

    async def handle(self, tenant: Tenant, step: StopSubOrdersStep) -> None:
        """Stop the next slice, unless the order is no longer paused."""
        async with self._store.unit_of_work(tenant) as uow:
            for order in await uow.orders.lock([step.order_id]):
                if order.status is OrderStatus.PAUSED:
                    await self.stop(uow, order)

    async def stop(self, uow: UnitOfWork, order: Order) -> None:
        """Stop a slice of a locked order, and write the next step if there may be more."""
        stopped = await uow.sub_orders.stop(
            order.id, self._slice, reason=Reason.ORDER_PAUSED, at=self._clock.now()
        )
        if stopped:
            await uow.messages.send([ScheduleStep(order.owner).to(uow.tenant)])
        if len(stopped) == self._slice:
            await uow.messages.send([StopSubOrdersStep(order.id).to(uow.tenant)])
        await self._settlement.release_capacity(uow, stopped)


class PauseOrder:
    """Pauses an order: its running sub-orders stop, and no other starts."""

    def __init__(
        self, store: Store, rights: Rights, stop_sub_orders: StopSubOrders, clock: Clock
    ) -> None:
        self._store = store
        self._rights = rights
        self._stop_sub_orders = stop_sub_orders
        self._clock = clock

    async def handle(self, actor: Actor, order_id: OrderId) -> None:
        """Pause a pending or running order.

        Raises:
            NotFound: there is no such order.
            ActionRejected: the status of the order, or the actor, doesn't allow it.
            RemoteUnavailable: rs-admin doesn't answer whether the actor is an administrator.
        """
        await self._rights.require(actor, order_id)
        async with self._store.unit_of_work(actor.caller.tenant) as uow:
            order = await locked(uow, order_id)
            reject_unless(order.status.can_be_paused, MUST_BE_PENDING_OR_RUNNING)
            order.move(OrderStatus.PAUSED, reason=Reason.PAUSED, actor=actor.email)
            await actor.audit(uow, AuditAction.ORDER_PAUSED, order)
            await uow.orders.save([order], self._clock.now())
            await self._stop_sub_orders.stop(uow, order)
            await schedule_following(uow, [order.owner])


class ResumeOrder:
    """Resumes an order where it was paused: its completion, its retry, or its sub-orders."""

    def __init__(self, store: Store, rights: Rights, links: Links, clock: Clock) -> None:
        self._store = store
        self._rights = rights
        self._links = links
        self._clock = clock

    async def handle(self, actor: Actor, order_id: OrderId) -> None:
        """Resume a paused order. Failed attempts from before the pause no longer count.

        Raises:
            NotFound, ActionRejected, RemoteUnavailable: as for a pause.
        """
        await self._rights.require(actor, order_id)
        async with self._store.unit_of_work(actor.caller.tenant) as uow:
            order = await locked(uow, order_id)
            reject_unless(order.status is OrderStatus.PAUSED, MUST_BE_PAUSED)
            completion = await uow.completions.cursor(order_id)
            if completion is None:
                await self._continue_sub_orders(uow, order, actor)
            elif order.expires_at is None:
                await self._continue_completion(uow, order, actor, completion)
            else:
                await self._continue_announcements(uow, order, actor, completion)

    async def _continue_completion(
        self, uow: UnitOfWork, order: Order, actor: Actor, cursor: CompletionCursor
    ) -> None:
        """Read the page at which the completion was paused."""
        order.move(OrderStatus.PENDING, reason=Reason.RESUMED, actor=actor.email)
        await actor.audit(uow, AuditAction.ORDER_RESUMED, order)
        await uow.completions.advance({order.id: cursor.without_attempts()})
        await uow.orders.save([order], self._clock.now())
        await uow.messages.send(
            [CompleteOrderStep(order.id, cursor.selection, cursor.page).to(uow.tenant)]
        )

    async def _continue_announcements(
        self, uow: UnitOfWork, order: Order, actor: Actor, cursor: CompletionCursor
    ) -> None:
        """Start sub-orders, and announce the remaining ones that are complete."""
        await self._continue_sub_orders(uow, order, actor)
        await uow.messages.send(
            [CompleteOrderStep(order.id, cursor.selection, cursor.page).to(uow.tenant)]
        )

    async def _continue_sub_orders(self, uow: UnitOfWork, order: Order, actor: Actor) -> None:
        """Continue the retry, end an order whose files were settled meanwhile, or start sub-orders."""
        order.move(OrderStatus.RUNNING, reason=Reason.RESUMED, actor=actor.email)
        ended = order.settle(reason=Reason.RESUMED, actor=actor.email)
        await actor.audit(uow, AuditAction.ORDER_RESUMED, order)
        await uow.orders.save([order], self._clock.now())
        await uow.executions.reset_attempts(order.id)
        retry = await uow.retries.cursor(order.id)
        if retry is not None:
            await uow.messages.send([RetryOrderStep.at(order.id, retry).to(uow.tenant)])
        elif ended:
            link = (await self._links.within(uow)).of(order.id)
            await uow.messages.respond([responses.order_ended(uow.tenant, order, link)])
        else:
            await uow.messages.send([ScheduleStep(order.owner).to(uow.tenant)])
