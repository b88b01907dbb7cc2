"""Restarts an order: creates a new one from the basket of the old one (domain.md 12.5)."""

from rs_order.actions.rights import Actor, Rights, locked, reject_unless
from rs_order.domain.events import OrderDoor
from rs_order.domain.ids import OrderId
from rs_order.domain.order import Order
from rs_order.orders.create import (
    OrderOptions,
    WithOrder,
    begin_order,
    generated_correlation_id,
    order_label,
)
from rs_order.ports import Clock
from rs_order.store.audit import AuditAction
from rs_order.store.orders import NewOrder
from rs_order.store.unit_of_work import Store, UnitOfWork

MUST_BE_FINAL = "ORDER_MUST_BE_DONE_OR_DONE_WITH_WARNING_OR_FAILED"
BASKET_NOT_FOUND = "BASKET_NOT_FOUND"


class RestartOrder:
    """Creates a new order of the same owner, whoever restarts it. The old order stays as it is."""

    def __init__(self, store: Store, rights: Rights, clock: Clock) -> None:
        self._store = store
        self._rights = rights
        self._clock = clock

    async def handle(
        self,
        actor: Actor,
        order_id: OrderId,
        options: OrderOptions,
        with_order: WithOrder | None = None,
    ) -> OrderId:
        """Create a new order from a copy of the old one's basket. Return its id.

        ``with_order``: called in the unit of work of the new order.

        Raises:
            NotFound: there is no such order.
            ActionRejected: the old order isn't final or has no basket, or the actor may not manage it.
            RemoteUnavailable: rs-admin doesn't answer whether the actor is an administrator.
            LabelRejected: the label is too long, or the owner has an order with it.
        """
        await self._rights.require(actor, order_id)
        async with self._store.unit_of_work(actor.caller.tenant) as uow:
            old = await locked(uow, order_id)
            reject_unless(old.status.final, MUST_BE_FINAL)
            reject_unless(await uow.orders.has_basket(order_id), BASKET_NOT_FOUND)
            order = await self._new_order(uow, old, actor, options)
            new = await begin_order(uow, order, with_order)
            await uow.orders.copy_selections(old.id, new)
            await actor.audit(uow, AuditAction.ORDER_RESTARTED, old, new_order=new)
        return new

    async def _new_order(
        self, uow: UnitOfWork, old: Order, actor: Actor, options: OrderOptions
    ) -> NewOrder:
        now = self._clock.now()
        settings = await uow.settings()
        return NewOrder(
            owner=old.owner,
            role=actor.caller.role if actor.email == old.owner else old.role,
            label=await order_label(uow, old.owner, options.label, now),
            correlation_id=generated_correlation_id(),
            request_id=None,
            sub_order_hours=settings.user_sub_order_hours,
            created_at=now,
            door=OrderDoor.RESTART,
            front_url=options.front_url,
        )
