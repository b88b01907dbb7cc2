"""Ends orders: cancels them for a service (amqp.md 2.5), expires them, and deletes their files in slices."""

from collections.abc import Sequence

from rs_order.consumers.batches import Received
from rs_order.contracts.order_messages import OrderCancelRequest
from rs_order.core.policies import SLICE_SIZES, SliceSizes
from rs_order.core.settlement import Settlement, schedule_following
from rs_order.core.shared_steps import DeleteFilesStep, ExpireOrderStep, ScheduleStep
from rs_order.domain.identity import PEER, SERVICE
from rs_order.domain.ids import OrderId, Tenant
from rs_order.domain.moves import Reason
from rs_order.domain.order import Order
from rs_order.domain.states import OrderStatus
from rs_order.ports import Clock
from rs_order.requests.accept import MAX_CORRELATION_ID
from rs_order.store.audit import AuditAction, AuditActor, AuditEntry
from rs_order.store.unit_of_work import Store, UnitOfWork


class OrderTeardown:
    """Tears down deleted and expired orders: nothing of them starts afterwards.

    Their sub-orders and files are deleted in slices, sub-orders with a slot first.
    """

    def __init__(self, settlement: Settlement, sizes: SliceSizes = SLICE_SIZES) -> None:
        self._settlement = settlement
        self._slice = sizes.released_sub_orders

    async def tear_down(self, uow: UnitOfWork, orders: Sequence[Order]) -> None:
        """Stop the work of orders and release their slots.

        The caller has moved the orders to their final status, and saves them afterwards.
        """
        if not orders:
            return
        ids = [order.id for order in orders]
        for order in orders:
            order.waiting_sub_orders = 0
        await uow.completions.finish(ids)
        await uow.retries.finish(ids)
        await self.release(uow, ids)
        await schedule_following(uow, {order.owner for order in orders})
        await uow.messages.send([DeleteFilesStep(order.id).to(uow.tenant) for order in orders])

    async def release(self, uow: UnitOfWork, order_ids: Sequence[OrderId]) -> bool:
        """Release at most one slice of the orders' slots; return True if there may be more."""
        released = await uow.sub_orders.release(order_ids, self._slice)
        owners = sorted({sub_order.owner for sub_order in released})
        await uow.messages.send([ScheduleStep(owner).to(uow.tenant) for owner in owners])
        await self._settlement.release_capacity(uow, [one.id for one in released])
        return len(released) == self._slice


class CancelOrders:
    """Deletes orders in any status; it ignores unknown and deleted orders."""

    def __init__(self, store: Store, teardown: OrderTeardown, clock: Clock) -> None:
        self._store = store
        self._teardown = teardown
        self._clock = clock

    async def handle(
        self, tenant: Tenant, ids: Sequence[OrderId], by: AuditActor | None = None
    ) -> Sequence[OrderId]:
        """Cancel orders of one tenant, and return those that were not deleted before.

        The history of each order has the outcome; there is no response.

        ``by``: the operator who cancels them, for the audit; None: their service does.
        """
        actor = by.name if by else PEER
        async with self._store.unit_of_work(tenant) as uow:
            orders = [
                order
                for order in await uow.orders.lock(ids)
                if order.status is not OrderStatus.DELETED
            ]
            if by is not None:
                for order in orders:
                    await uow.audit(_cancelled(uow.tenant, order, by))
            await self._pause(uow, orders, actor)
            for order in orders:
                order.move(OrderStatus.DELETED, reason=Reason.CANCEL_REQUEST, actor=actor)
            await self._teardown.tear_down(uow, orders)
            await uow.orders.save(orders, self._clock.now())
        return [order.id for order in orders]

    async def _pause(self, uow: UnitOfWork, orders: Sequence[Order], actor: str) -> None:
        """Pause pending and running orders, which can't be deleted as they are (O6, O13)."""
        active = [
            order for order in orders if order.status in (OrderStatus.PENDING, OrderStatus.RUNNING)
        ]
        for order in active:
            order.move(OrderStatus.PAUSED, reason=Reason.CANCEL_REQUEST, actor=actor)
        await uow.orders.save(active, self._clock.now())


def _cancelled(tenant: Tenant, order: Order, by: AuditActor) -> AuditEntry:
    return AuditEntry(
        action=AuditAction.ORDER_CANCELLED,
        by=by,
        tenant=tenant,
        object_id=str(order.id),
        before={"status": order.status, "owner": order.owner},
        after={"status": OrderStatus.DELETED},
    )


class ExpireOrder:
    """Expires an order once its expiry date has passed (O11, O12)."""

    def __init__(self, store: Store, teardown: OrderTeardown, clock: Clock) -> None:
        self._store = store
        self._teardown = teardown
        self._clock = clock

    async def handle(self, tenant: Tenant, step: ExpireOrderStep) -> None:
        """Expire the order if its expiry date has passed and its status allows it."""
        now = self._clock.now()
        async with self._store.unit_of_work(tenant) as uow:
            expired = [
                order
                for order in await uow.orders.lock([step.order_id])
                if order.expires_at is not None and order.expires_at <= now and _can_expire(order)
            ]
            for order in expired:
                order.move(OrderStatus.EXPIRED, reason=Reason.EXPIRED, actor=SERVICE)
            await self._teardown.tear_down(uow, expired)
            await uow.orders.save(expired, now)


def _can_expire(order: Order) -> bool:
    if order.status in (OrderStatus.PENDING, OrderStatus.RUNNING, OrderStatus.PAUSED):
        return True
    finished = order.status in (OrderStatus.DONE, OrderStatus.DONE_WITH_WARNING)
    return finished and order.counters.available > 0


def _is_emptied(order: Order) -> bool:
    """True if all files of the order are to be deleted: it is deleted, expired, or its completion failed."""
    if order.status.deleted_or_expired:
        return True
    return not order.completing and not order.sub_orders and not order.counters.total_files


class DeleteFiles:
    """Deletes a slice of the files and sub-orders of an order that is deleted, expired or emptied."""

    def __init__(
        self, store: Store, teardown: OrderTeardown, sizes: SliceSizes = SLICE_SIZES
    ) -> None:
        self._store = store
        self._teardown = teardown
        self._rows = sizes.deleted_rows

    async def handle(self, tenant: Tenant, step: DeleteFilesStep) -> None:
        """Delete a slice, and send the step again if there may be more. An order in use keeps its files."""
        order_id = step.order_id
        async with self._store.unit_of_work(tenant) as uow:
            if any(not _is_emptied(order) for order in await uow.orders.lock([order_id])):
                return
            more = (
                await self._teardown.release(uow, [order_id])
                or await uow.files.delete_archives(order_id, self._rows) == self._rows
                or await uow.files.delete_slice(order_id, self._rows) == self._rows
                or await uow.product_lists.delete_slice(order_id, self._rows) == self._rows
                or await uow.inputs.delete_slice(order_id, self._rows) == self._rows
                or await uow.sub_orders.delete_slice(order_id, self._rows) == self._rows
            )
            if more:
                await uow.messages.send([step.to(tenant)])


def invalid_cancel_request(request: OrderCancelRequest) -> str | None:
    """Return what is wrong with a cancel request.

    A cancel request gets no response, so an invalid one becomes a dead letter (amqp.md 2.5).
    """
    if request.correlation_id is None:
        return "correlationId is required to monitor this request."
    if len(request.correlation_id) > MAX_CORRELATION_ID:
        return "provided correlationId must not exceed 255 characters."
    if request.order_id is None:
        return "orderId is required to cancel an order."
    return None


class CancelRequestHandler:
    """Cancels the orders named in a batch of cancel requests."""

    def __init__(self, cancel: CancelOrders) -> None:
        self._cancel = cancel

    async def __call__(self, tenant: Tenant, batch: Sequence[Received[OrderCancelRequest]]) -> None:
        ids = {received.message.order_id for received in batch}
        await self._cancel.handle(tenant, sorted(OrderId(id_) for id_ in ids if id_ is not None))
