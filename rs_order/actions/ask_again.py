"""Has storage asked again for the files of an order, before its reminder is due (console.md 4)."""

from typing import Final

from rs_order.actions.rights import Actor, Rights, locked, reject_unless
from rs_order.core.shared_steps import AskAgainStep
from rs_order.domain.ids import OrderId
from rs_order.domain.states import OrderStatus
from rs_order.store.audit import AuditAction
from rs_order.store.unit_of_work import Store

MUST_BE_RUNNING: Final = "ORDER_MUST_BE_RUNNING"
MOST_AT_ONCE: Final = 1000
"""The most sub-orders that one call has asked again, those first that have waited longest."""


class AskStorageAgain:
    """Writes the reminders of an order's sub-orders that are due later, so that they are sent now.

    The later ones are outdated then. A second call does nothing before the first has had its effect.
    """

    def __init__(self, store: Store, rights: Rights) -> None:
        self._store = store
        self._rights = rights

    async def handle(self, actor: Actor, order_id: OrderId) -> int:
        """Return the number of sub-orders for which storage is asked again.

        Raises:
            NotFound: there is no such order.
            ActionRejected: the order isn't running, or the actor is no administrator.
            RemoteUnavailable: rs-admin doesn't answer whether the actor is an administrator.
        """
        await self._rights.require(actor, order_id, of_owner=False)
        async with self._store.unit_of_work(actor.caller.tenant) as uow:
            order = await locked(uow, order_id)
            reject_unless(order.status is OrderStatus.RUNNING, MUST_BE_RUNNING)
            waiting = await uow.sub_orders.at_storage(order_id, MOST_AT_ONCE)
            await uow.messages.send(
                [AskAgainStep(order_id, one.id, one.asks).to(uow.tenant) for one in waiting]
            )
            await actor.audit(uow, AuditAction.ORDER_ASKED_AGAIN, order)
        return len(waiting)
