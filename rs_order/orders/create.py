"""Creates an order from the caller's basket in one commit (rest.md 7.2, domain.md 4.2, W3)."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import uuid4

from rs_order.core.errors import EmptyBasket, LabelRejected
from rs_order.core.links import Links
from rs_order.core.reconciliations import begin_reconciling
from rs_order.core.shared_steps import CompleteOrderStep
from rs_order.domain.events import OrderDoor
from rs_order.domain.identity import Caller
from rs_order.domain.ids import OrderId
from rs_order.domain.order import MAX_LABEL, dated_label, unique_label
from rs_order.ports import Clock
from rs_order.store.orders import NewOrder
from rs_order.store.unit_of_work import Store, UnitOfWork, retry_on_conflict

TOO_LONG: Final = "TOO_MANY_CHARACTERS_IN_LABEL"
TAKEN: Final = "LABEL_NOT_UNIQUE_FOR_OWNER"


WithOrder = Callable[[UnitOfWork, OrderId], Awaitable[None]]
"""Writes what belongs to the commit of a new order, whose id it gets."""


async def order_label(uow: UnitOfWork, owner: str, wanted: str | None, now: datetime) -> str:
    """Return the requested label; without one, a label with the server's time (rest.md 7.1, C1).

    Raises:
        LabelRejected: the label is too long, or the owner has an order with this label.
    """
    if not wanted:
        return await free_label(uow, owner, dated_label(now.astimezone()))
    if len(wanted) > MAX_LABEL:
        raise LabelRejected(TOO_LONG, code="label-too-long")
    if await uow.orders.labels_taken([(owner, wanted)]):
        raise LabelRejected(TAKEN, code="label-in-use")
    return wanted


async def free_label(uow: UnitOfWork, owner: str, wanted: str) -> str:
    """Return the label, or its first numbered form that no order of the owner has (W40)."""
    taken = await uow.orders.labels_taken([(owner, wanted)])
    return unique_label(wanted, {label for _, label in taken})


@dataclass(frozen=True, slots=True)
class OrderOptions:
    """The caller's options for a new order (rest.md 7.1)."""

    label: str | None = None
    """None or empty: a label is generated."""
    front_url: str | None = None


class CreateOrder:
    """Turns the basket of a user into an order. Of two calls at the same time, only one finds the basket."""

    def __init__(self, store: Store, links: Links, clock: Clock) -> None:
        self._store = store
        self._links = links
        self._clock = clock

    async def handle(
        self,
        caller: Caller,
        options: OrderOptions,
        *,
        applicative: bool = False,
        with_order: WithOrder | None = None,
    ) -> OrderId:
        """Create the order; steps read its files from the catalog later.

        Args:
            caller: the owner of the basket.
            options: the caller's options for the order.
            applicative: storage keeps the files as long as for automatic orders.
            with_order: called in the unit of work of the order.

        Raises:
            EmptyBasket: the caller has no basket; a basket without selections is accepted.
            LabelRejected: the label is too long, or the caller has an order of this label.
        """
        await self._links.learn_if_possible(caller.tenant)
        return await retry_on_conflict(
            lambda: self._create(caller, options, applicative, with_order)
        )

    async def _create(
        self,
        caller: Caller,
        options: OrderOptions,
        applicative: bool,
        with_order: WithOrder | None,
    ) -> OrderId:
        async with self._store.unit_of_work(caller.tenant) as uow:
            basket = await uow.orders.lock_basket(caller.email)
            if basket is None:
                raise EmptyBasket
            settings, now = await uow.settings(), self._clock.now()
            return await begin_order(
                uow,
                NewOrder(
                    owner=caller.email,
                    role=caller.role,
                    label=await order_label(uow, caller.email, options.label, now),
                    correlation_id=generated_correlation_id(),
                    request_id=None,
                    sub_order_hours=settings.app_sub_order_hours
                    if applicative
                    else settings.user_sub_order_hours,
                    created_at=now,
                    door=OrderDoor.BASKET,
                    basket=basket,
                    front_url=options.front_url,
                ),
                with_order,
            )


async def begin_order(
    uow: UnitOfWork, order: NewOrder, with_order: WithOrder | None = None
) -> OrderId:
    """Store a new order, send the first step of its completion, and return its id.

    ``with_order``: called with the new order.
    """
    (order_id,) = await uow.orders.create([order])
    await uow.messages.send([CompleteOrderStep(order_id, selection=0, page=0).to(uow.tenant)])
    await begin_reconciling(uow, order.created_at)
    if with_order is not None:
        await with_order(uow, order_id)
    return order_id


def generated_correlation_id() -> str:
    """Return a new correlation id, for an order whose caller gave none (domain.md 4.2)."""
    return f"auto-correlation-id-{uuid4()}"
