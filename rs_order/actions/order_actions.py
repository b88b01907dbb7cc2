"""All actions on orders, as the REST routes call them."""

from dataclasses import dataclass
from functools import partial

from rs_order.actions.delete import DeleteOrder, RemoveOrder
from rs_order.actions.pause import PauseOrder, ResumeOrder
from rs_order.actions.restart import RestartOrder
from rs_order.actions.retry_order import RetryOrder
from rs_order.actions.rights import Actor
from rs_order.core.concurrency import retry_on_conflict
from rs_order.domain.ids import OrderId
from rs_order.orders.create import OrderOptions


@dataclass(frozen=True, slots=True)
class OrderActions:
    """Runs the actions, and repeats those that conflict with another transaction.

    Raises:
        NotFound: there is no such order.
        ActionRejected: the status of the order, or the actor, doesn't allow the action (rest.md 4.4).
        RemoteUnavailable: rs-admin doesn't answer whether the actor is an administrator.
        StoreUnavailable: the database doesn't answer.
    """

    pause_order: PauseOrder
    resume_order: ResumeOrder
    delete_order: DeleteOrder
    remove_order: RemoveOrder
    restart_order: RestartOrder
    retry_order: RetryOrder

    async def pause(self, actor: Actor, order_id: OrderId) -> None:
        await retry_on_conflict(partial(self.pause_order.handle, actor, order_id))

    async def resume(self, actor: Actor, order_id: OrderId) -> None:
        await retry_on_conflict(partial(self.resume_order.handle, actor, order_id))

    async def delete(self, actor: Actor, order_id: OrderId) -> None:
        await retry_on_conflict(partial(self.delete_order.handle, actor, order_id))

    async def remove(self, actor: Actor, order_id: OrderId) -> None:
        await retry_on_conflict(partial(self.remove_order.handle, actor, order_id))

    async def restart(self, actor: Actor, order_id: OrderId, options: OrderOptions) -> OrderId:
        """Return the id of the new order.

        Raises:
            LabelRejected: the label is too long, or the owner has an order with it.
        """
        return await retry_on_conflict(partial(self.restart_order.handle, actor, order_id, options))

    async def retry(self, actor: Actor, order_id: OrderId) -> None:
        await retry_on_conflict(partial(self.retry_order.handle, actor, order_id))
