"""Checks if an order exists, and then if the actor may manage it (domain.md 12.1)."""

from dataclasses import dataclass

from rs_order.core.errors import ActionRejected, NotFound
from rs_order.domain.identity import Caller
from rs_order.domain.ids import OrderId
from rs_order.domain.order import Order
from rs_order.ports import RemoteRejection, Users
from rs_order.rest.access import audit_actor
from rs_order.store.audit import AuditAction, AuditEntry
from rs_order.store.unit_of_work import Store, UnitOfWork

NOT_ALLOWED = "USER_NOT_ALLOWED_TO_MANAGE_ORDER"


@dataclass(frozen=True, slots=True)
class Actor:
    """A person, or a service in its own name, who acts on an order."""

    caller: Caller
    administrator: bool
    """True if the token proves it. Otherwise rs-admin decides."""

    @property
    def email(self) -> str:
        return self.caller.email

    async def audit(
        self,
        uow: UnitOfWork,
        action: AuditAction,
        order: Order,
        *,
        new_order: OrderId | None = None,
    ) -> None:
        """Add the action to the audit, unless the order is the actor's own: its history has it then.

        Call it before the order is saved. ``new_order``: the one that a restart created.
        """
        if order.owner == self.email:
            return
        before = order.moves[0].before if order.moves else order.status
        after = {"status": order.status, "newOrder": new_order}
        entry = AuditEntry(
            action=action,
            by=audit_actor(self.caller),
            tenant=uow.tenant,
            object_id=str(order.id),
            before={"status": before, "owner": order.owner},
            after={name: value for name, value in after.items() if value is not None},
        )
        await uow.audit(entry)


class Rights:
    """Checks the rights of actors, before anything is locked."""

    def __init__(self, store: Store, users: Users) -> None:
        self._store = store
        self._users = users

    async def require(self, actor: Actor, order_id: OrderId, *, of_owner: bool = True) -> None:
        """Check that the actor may manage the order. ``of_owner``: True if its owner may, too.

        Raises:
            NotFound: there is no such order.
            ActionRejected: the actor is neither its owner nor an administrator.
            RemoteUnavailable: rs-admin doesn't answer whether the actor is an administrator.
        """
        async with self._store.unit_of_work(actor.caller.tenant) as uow:
            owner = await uow.orders.owner(order_id)
        if owner is None:
            raise no_such_order(order_id)
        if actor.administrator or (of_owner and owner == actor.email):
            return
        reject_unless(await self._is_administrator(actor.caller), NOT_ALLOWED)

    async def _is_administrator(self, caller: Caller) -> bool:
        try:
            return await self._users.is_admin(caller.tenant, caller.email)
        except RemoteRejection:
            return False


async def locked(uow: UnitOfWork, order_id: OrderId) -> Order:
    """Lock and return an order.

    Raises:
        NotFound: there is no such order, or it was removed meanwhile.
    """
    for order in await uow.orders.lock([order_id]):
        return order
    raise no_such_order(order_id)


def reject_unless(allowed: bool, code: str) -> None:
    """Reject an action with a code of rest.md 4.4 unless it is allowed.

    Raises:
        ActionRejected: the message is the code.
    """
    if not allowed:
        raise ActionRejected(code)


def no_such_order(order_id: OrderId) -> NotFound:
    """Return the error for an order that doesn't exist."""
    return NotFound(f"There is no order {order_id}")
