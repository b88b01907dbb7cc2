"""Deletes the files of an order, and removes a deleted order (O13, O14)."""

from rs_order.actions.rights import Actor, Rights, locked, reject_unless
from rs_order.core.shared_steps import DeleteFilesStep
from rs_order.domain.ids import OrderId
from rs_order.domain.moves import Reason
from rs_order.domain.states import OrderStatus
from rs_order.orders.order_end import OrderTeardown
from rs_order.ports import Clock
from rs_order.store.audit import AuditAction
from rs_order.store.unit_of_work import Store

MUST_BE_DELETABLE = "ORDER_MUST_BE_DONE_OR_DONE_WITH_WARNING_OR_PAUSED_OR_FAILED_OR_EXPIRED"
MUST_BE_DELETED = "ORDER_MUST_BE_DELETED"


class DeleteOrder:
    """Deletes the files of an order in slices. The order stays, with its dataset tasks and its basket."""

    def __init__(self, store: Store, rights: Rights, teardown: OrderTeardown, clock: Clock) -> None:
        self._store = store
        self._rights = rights
        self._teardown = teardown
        self._clock = clock

    async def handle(self, actor: Actor, order_id: OrderId) -> None:
        """Delete an order that isn't pending or running, even one in ERROR.

        Raises:
            NotFound: there is no such order.
            ActionRejected: the status of the order, or the actor, doesn't allow it.
            RemoteUnavailable: rs-admin doesn't answer whether the actor is an administrator.
        """
        await self._rights.require(actor, order_id)
        async with self._store.unit_of_work(actor.caller.tenant) as uow:
            order = await locked(uow, order_id)
            reject_unless(order.status.can_be_deleted, MUST_BE_DELETABLE)
            order.move(OrderStatus.DELETED, reason=Reason.DELETED, actor=actor.email)
            await actor.audit(uow, AuditAction.ORDER_DELETED, order)
            await self._teardown.tear_down(uow, [order])
            await uow.orders.save([order], self._clock.now())


class RemoveOrder:
    """Removes an order with its basket and dataset tasks at once. Its history stays, for audits."""

    def __init__(self, store: Store, rights: Rights, clock: Clock) -> None:
        self._store = store
        self._rights = rights
        self._clock = clock

    async def handle(self, actor: Actor, order_id: OrderId) -> None:
        """Remove a deleted order. Only administrators may, even if the order is their own.

        Raises:
            NotFound, ActionRejected, RemoteUnavailable: as for a deletion.
        """
        await self._rights.require(actor, order_id, of_owner=False)
        async with self._store.unit_of_work(actor.caller.tenant) as uow:
            order = await locked(uow, order_id)
            reject_unless(order.status is OrderStatus.DELETED, MUST_BE_DELETED)
            await actor.audit(uow, AuditAction.ORDER_REMOVED, order)
            await uow.orders.remove(
                order, reason=Reason.REMOVED, actor=actor.email, at=self._clock.now()
            )
            # There may be many files, so a step deletes them. The step of the deletion may be lost.
            await uow.messages.send([DeleteFilesStep(order_id).to(uow.tenant)])
