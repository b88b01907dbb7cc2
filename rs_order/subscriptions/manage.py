"""Subscriptions: a client names the events it wants, and acknowledges what it handled (faces.md E-20)."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from rs_order.core.errors import InvalidInput, NotFound, TooManySubscriptions, UnknownSubscription
from rs_order.domain.identity import Caller
from rs_order.domain.ids import OrderId
from rs_order.domain.subscriptions import (
    MOST_OF_TENANT,
    MOST_OF_USER,
    Subscription,
    SubscriptionScope,
)
from rs_order.ports import Clock
from rs_order.store.unit_of_work import Store, UnitOfWork


@dataclass(frozen=True, slots=True)
class WantedEvents:
    """The events of a new subscription, as its members of the same names."""

    scope: SubscriptionScope
    order_id: OrderId | None
    types: Sequence[str] | None
    label: str | None


class ManageSubscriptions:
    """Adds, changes and removes subscriptions. Whether the caller may do it was checked."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def add(self, caller: Caller, wanted: WantedEvents, *, any_order: bool) -> Subscription:
        """Add a subscription of the caller, which begins with the next event.

        ``any_order``: the order may belong to another user.

        Raises:
            NotFound: there is no such order, or it belongs to another user.
            TooManySubscriptions: a limit of the user or of the tenant is reached.
        """
        async with self._store.unit_of_work(caller.tenant) as uow:
            await self.require_room(uow, caller, wanted, any_order=any_order)
            return await uow.subscriptions.add(
                caller.email,
                self._clock.now(),
                scope=wanted.scope,
                order_id=wanted.order_id,
                types=wanted.types,
                label=wanted.label,
            )

    async def require_room(
        self, uow: UnitOfWork, caller: Caller, wanted: WantedEvents, *, any_order: bool
    ) -> None:
        """Check that the caller may have one more. No other one begins until the unit of work ends.

        Raises:
            NotFound, TooManySubscriptions: as of `add`.
        """
        if wanted.order_id is not None:
            owner = await uow.orders.owner(wanted.order_id)
            if owner is None or (owner != caller.email and not any_order):
                raise NotFound(f"You have no order {wanted.order_id}.")
        count = await uow.subscriptions.count(caller.email)
        if count.of_owner >= MOST_OF_USER:
            raise TooManySubscriptions(f"You have {count.of_owner} subscriptions")
        if count.of_tenant >= MOST_OF_TENANT:
            raise TooManySubscriptions(f"The project has {count.of_tenant} subscriptions")

    async def change(
        self,
        caller: Caller,
        subscription_id: UUID,
        *,
        types: Sequence[str] | None,
        label: str | None,
    ) -> Subscription:
        """Replace types and label, and return the subscription.

        Raises:
            UnknownSubscription: it was removed.
        """
        async with self._store.unit_of_work(caller.tenant) as uow:
            changed = await uow.subscriptions.change(subscription_id, types=types, label=label)
        if changed is None:
            raise UnknownSubscription(subscription_id)
        return changed

    async def acknowledge(
        self, caller: Caller, subscription_id: UUID, position: int
    ) -> Subscription:
        """Let the subscription go on behind a position. One that was acknowledged earlier changes nothing.

        Raises:
            InvalidInput: the log doesn't reach so far.
        """
        async with self._store.unit_of_work(caller.tenant) as uow:
            moved = await uow.subscriptions.acknowledge(subscription_id, position)
        if moved is None:
            raise InvalidInput(f"position: there is no event {position}")
        return moved

    async def remove(self, caller: Caller, subscription_id: UUID) -> None:
        """Remove a subscription. It may be removed already."""
        async with self._store.unit_of_work(caller.tenant) as uow:
            await uow.subscriptions.remove(subscription_id)
