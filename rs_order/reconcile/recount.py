"""Counts all orders again, a slice at a time. A wrong counter is a defect of the service.

A check takes no lock: one statement sees the counters and the files at the same instant, and both change in
the same commits. Only an order that is wrong is locked, counted again and repaired.
"""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from rs_order.core.policies import SLICE_SIZES, SliceSizes
from rs_order.core.shared_steps import DeleteFilesStep
from rs_order.core.steps import RunNumber, Step
from rs_order.domain.ids import OrderId, SubOrderId, Tenant
from rs_order.ports import Clock
from rs_order.reconcile.repair_order import RepairOrder
from rs_order.store.unit_of_work import Store, UnitOfWork

RECOUNTS = "recount"
"""Name of the recounts in the store. Each slice has a run number of its own."""
PAUSE = timedelta(seconds=1)
"""Time between two slices, so that the recount of many orders doesn't load the database."""


class RecountPart(StrEnum):
    """The parts of a recount, in their order."""

    ORDERS = "orders"
    """Counters of orders and dataset tasks against those of sub-orders; also finds files of deleted or
    expired orders."""
    SUB_ORDERS = "sub-orders"
    """Counters of sub-orders against their files."""
    REMOVED = "removed"
    """Files of removed orders."""


@dataclass(frozen=True)
class RecountStep(Step, name="recount", periodic=True):
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
        """Return the slice after the ``last`` item of this one; None: the first slice of the next part.

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
    """The result of the checks of a slice."""

    wrong: dict[OrderId, list[SubOrderId]]
    """Orders to count again, each with its wrong sub-orders."""
    left_behind: list[OrderId]
    """Deleted, expired or removed orders that still have files."""
    last: int | None
    """The last checked item. None at the end of the part."""


class Recount:
    """Checks one slice, and writes the step of the next one in the same commit.

    The last slice of a recount plans the next recount.
    """

    def __init__(
        self,
        store: Store,
        repair: RepairOrder,
        clock: Clock,
        *,
        every: timedelta,
        sizes: SliceSizes = SLICE_SIZES,
    ) -> None:
        """``every``: time between two recounts."""
        self._sizes = sizes
        self._store = store
        self._repair = repair
        self._clock = clock
        self._every = every

    async def handle(self, tenant: Tenant, step: RecountStep) -> None:
        """Check the slice of the step, if its run number is the next one."""
        now = self._clock.now()
        async with self._store.unit_of_work(tenant) as uow:
            found = await self._check(uow, step, now)
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
        # After the commit, so that an order that can't be repaired doesn't stop the recount.
        for order, sub_orders in found.wrong.items():
            await self._repair.handle(tenant, order, sub_orders)
        if step.is_first:
            await self._repair.release_capacity(tenant)

    async def _check(self, uow: UnitOfWork, step: RecountStep, now: datetime) -> _Found:
        if step.part is RecountPart.ORDERS:
            return await self._check_orders(uow, OrderId(step.after), now)
        if step.part is RecountPart.SUB_ORDERS:
            return await self._check_sub_orders(uow, SubOrderId(step.after))
        return await self._check_removed(uow, OrderId(step.after))

    async def _check_orders(self, uow: UnitOfWork, after: OrderId, now: datetime) -> _Found:
        orders = await uow.reconciliation.check_orders(
            after, self._sizes.recounted_orders, now - self._every
        )
        return _Found(
            {order.id: [] for order in orders if order.miscounted},
            [order.id for order in orders if order.left_behind],
            orders[-1].id if len(orders) == self._sizes.recounted_orders else None,
        )

    async def _check_sub_orders(self, uow: UnitOfWork, after: SubOrderId) -> _Found:
        sub_orders = await uow.reconciliation.check_sub_orders(
            after, self._sizes.recounted_sub_orders, self._sizes.recounted_files
        )
        wrong: dict[OrderId, list[SubOrderId]] = defaultdict(list)
        for one in sub_orders:
            if one.miscounted:
                wrong[one.order_id].append(one.id)
        return _Found(wrong, [], sub_orders[-1].id if sub_orders else None)

    async def _check_removed(self, uow: UnitOfWork, after: OrderId) -> _Found:
        limit = self._sizes.checked_orders
        orders = await uow.reconciliation.check_removed(after, limit)
        return _Found(
            {},
            [order for order, removed in orders if removed],
            orders[-1][0] if len(orders) == limit else None,
        )
