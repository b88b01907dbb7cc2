"""Walks over all orders and counts again, a slice at a time (architecture: drift is a bug).

A look takes no lock: one statement sees counters and files of the same instant, and they change in the
same commits. Only an order that is wrong is locked, counted again and mended.
"""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from rs_order.core.shared_steps import DeleteFilesStep
from rs_order.core.slice_sizes import SLICE_SIZES, SliceSizes
from rs_order.core.steps import RunNumber, Step
from rs_order.domain.ids import OrderId, SubOrderId, Tenant
from rs_order.ports import Clock
from rs_order.reconcile.repair_order import MendOrder
from rs_order.store.unit_of_work import Store, UnitOfWork

RECOUNTS = "recount"
"""The walks' name in the store; each slice is a round."""
PAUSE = timedelta(seconds=1)
"""Between two slices, so that a walk over many orders costs little of the database's time."""


class RecountPart(StrEnum):
    """What is looked at, in this order."""

    ORDERS = "orders"
    """Counters of orders and dataset tasks against those of sub-orders; what gone orders left."""
    SUB_ORDERS = "sub-orders"
    """Counters of sub-orders against files."""
    REMOVED = "removed"
    """What removed orders left."""


@dataclass(frozen=True)
class RecountStep(Step, name="recount"):
    """Count a slice of orders or sub-orders again."""

    number: RunNumber

    part: RecountPart
    after: int
    """The last order or sub-order of the slice before; 0 in the first slice of a part."""

    @classmethod
    def first(cls, number: int) -> "RecountStep":
        """Return the first slice of a run over all orders."""
        return cls(number, RecountPart.ORDERS, 0)

    @property
    def is_first(self) -> bool:
        return self == self.first(self.number)

    def following(self, last: int | None) -> "RecountStep":
        """Return the next slice, behind the last one of this; None: the part is done.

        After the last part comes the first slice of the next run.
        """
        number = self.number + 1
        if last is not None:
            return RecountStep(number, self.part, last)
        parts = list(RecountPart)
        further = parts[parts.index(self.part) + 1 :]
        return RecountStep(number, further[0], 0) if further else self.first(number)


@dataclass(slots=True)
class _Found:
    """What a slice found."""

    wrong: dict[OrderId, list[SubOrderId]]
    """Orders to be counted again, each with its sub-orders that are wrong."""
    left_behind: list[OrderId]
    last: int | None
    """None: this was the end of the part."""


class Recount:
    """Does one slice, and writes the next in the same commit; the last one of a walk plans the next walk."""

    def __init__(
        self,
        store: Store,
        mend: MendOrder,
        clock: Clock,
        *,
        every: timedelta,
        sizes: SliceSizes = SLICE_SIZES,
    ) -> None:
        self._sizes = sizes
        self._store = store
        self._mend = mend
        self._clock = clock
        self._every = every

    async def handle(self, tenant: Tenant, step: RecountStep) -> None:
        """Do the slice of the step, if it is the next one."""
        now = self._clock.now()
        async with self._store.unit_of_work(tenant) as uow:
            found = await self._look(uow, step, now)
            following = step.following(found.last)
            due_at = now + (self._every if following.is_first else PAUSE)
            if not await uow.runs.begin(RECOUNTS, step.number, due_at):
                return
            await uow.messages.send(
                [
                    *(DeleteFilesStep(order).to(tenant) for order in found.left_behind),
                    following.to(tenant, due_at),
                ]
            )
        # Behind the commit: an order that can't be mended must not hold up the walk.
        for order, sub_orders in found.wrong.items():
            await self._mend.handle(tenant, order, sub_orders)
        if step.is_first:
            await self._mend.free_places(tenant)

    async def _look(self, uow: UnitOfWork, step: RecountStep, now: datetime) -> _Found:
        if step.part is RecountPart.ORDERS:
            return await self._look_at_orders(uow, OrderId(step.after), now)
        if step.part is RecountPart.SUB_ORDERS:
            return await self._look_at_sub_orders(uow, SubOrderId(step.after))
        held = await uow.reconciliation.check_removed(
            OrderId(step.after), self._sizes.checked_orders
        )
        removed = [order for order, is_removed in held if is_removed]
        return _Found({}, removed, held[-1][0] if len(held) == self._sizes.checked_orders else None)

    async def _look_at_orders(self, uow: UnitOfWork, after: OrderId, now: datetime) -> _Found:
        orders = await uow.reconciliation.check_orders(
            after, self._sizes.recounted_orders, now - self._every
        )
        return _Found(
            {order.id: [] for order in orders if order.miscounted},
            [order.id for order in orders if order.left_behind],
            orders[-1].id if len(orders) == self._sizes.recounted_orders else None,
        )

    async def _look_at_sub_orders(self, uow: UnitOfWork, after: SubOrderId) -> _Found:
        sub_orders = await uow.reconciliation.check_sub_orders(
            after, self._sizes.recounted_sub_orders, self._sizes.recounted_files
        )
        wrong: dict[OrderId, list[SubOrderId]] = defaultdict(list)
        for one in sub_orders:
            if one.miscounted:
                wrong[one.order_id].append(one.id)
        return _Found(wrong, [], sub_orders[-1].id if sub_orders else None)
