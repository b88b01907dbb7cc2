"""Counts an order again under its lock, mends what differs, and tells that it did: a drift is a defect."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from rs_order.core.capacity import wake_next_waiters
from rs_order.core.policies import SlotLimits
from rs_order.core.settlement import Cause, Settlement
from rs_order.domain.counters import FileCounters
from rs_order.domain.identity import SERVICE
from rs_order.domain.ids import OrderId, SubOrderId, Tenant
from rs_order.domain.moves import Reason
from rs_order.domain.order import Order
from rs_order.domain.states import OrderStatus, SubOrderState
from rs_order.domain.sub_order import SubOrder
from rs_order.ports import Clock
from rs_order.store.unit_of_work import Store, UnitOfWork

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Drift:
    """Something that differed from what it counts."""

    table: str
    id: int
    difference: Mapping[str, tuple[int | str, int | str]]
    """What stood, and what is true."""


class _BeyondRepair(Exception):
    """Mending would need a move that no order or sub-order can make; nothing is changed."""

    def __init__(self, drifts: Sequence[Drift]) -> None:
        super().__init__()
        self.drifts = drifts


class MendOrder:
    """Counters follow the files; states and statuses follow the counters, by the rules of every move."""

    def __init__(
        self,
        store: Store,
        settlement: Settlement,
        clock: Clock,
        *,
        limits: SlotLimits,
        count: Callable[[str], None],
    ) -> None:
        """``count``: counts a drift of a table."""
        self._store = store
        self._settlement = settlement
        self._limits = limits
        self._clock = clock
        self._count = count

    async def handle(
        self, tenant: Tenant, order_id: OrderId, sub_order_ids: Sequence[SubOrderId]
    ) -> None:
        """Mend an order, and those of its sub-orders, as far as they are still wrong."""
        mended = True
        try:
            drifts = await self._mend(tenant, order_id, sub_order_ids)
        except _BeyondRepair as beyond:
            drifts, mended = list(beyond.drifts), False
        for drift in drifts:
            self._tell(tenant, drift, order=order_id, mended=mended)

    async def free_places(self, tenant: Tenant) -> None:
        """Places of the service that nothing running holds are free; whatever is free is handed on."""
        async with self._store.unit_of_work(tenant) as uow:
            await uow.capacity.lock()
            freed = await uow.reconciliation.release_capacity()
            await wake_next_waiters(uow, self._limits)
        for sub_order in freed:
            drift = Drift("running_sub_order", sub_order, {"place": ("taken", "free")})
            self._tell(tenant, drift, mended=True)

    async def _mend(
        self, tenant: Tenant, order_id: OrderId, sub_order_ids: Sequence[SubOrderId]
    ) -> list[Drift]:
        async with self._store.unit_of_work(tenant) as uow:
            orders = await uow.orders.lock([order_id])
            if not orders or orders[0].status.deleted_or_expired:
                return []
            (order,) = orders
            before = _stands(order)
            sub_orders, drifts = await _count(uow, sub_order_ids)
            cause = Cause(Reason.RECOUNTED, SERVICE, self._clock.now())
            await self._settlement.recounted(uow, order, sub_orders, cause)
            drifts += _difference("orders", order.id, before, _stands(order))
            if order.counters.pending and order.status in (
                OrderStatus.DONE,
                OrderStatus.DONE_WITH_WARNING,
            ):
                raise _BeyondRepair(drifts)
            await uow.orders.save([order], cause.at)
            for task in await uow.reconciliation.repair_tasks(order_id):
                drifts += _difference(
                    "dataset_task",
                    task.id,
                    {"files": task.files_before, "bytes": task.bytes_before},
                    {"files": task.files, "bytes": task.bytes},
                )
        return drifts

    def _tell(
        self, tenant: Tenant, drift: Drift, *, mended: bool, order: OrderId | None = None
    ) -> None:
        self._count(drift.table)
        log.error(
            "drift-found",
            tenant=tenant,
            order=order,
            table=drift.table,
            id=drift.id,
            difference=drift.difference,
            mended=mended,
        )


async def _count(uow: UnitOfWork, ids: Sequence[SubOrderId]) -> tuple[list[SubOrder], list[Drift]]:
    """Those of the sub-orders that are wrong, with their true counters.

    Raises:
        _BeyondRepair: one has ended, and still has a pending file.
    """
    counted = await uow.reconciliation.count_files(ids)
    wrong: list[SubOrder] = []
    drifts: list[Drift] = []
    for sub_order in await uow.sub_orders.load(ids):
        fact = counted[sub_order.id]
        difference = _difference(
            "sub_order", sub_order.id, _counters(sub_order.counters), _counters(fact)
        )
        if difference:
            drifts += difference
            sub_order.counters = fact
            wrong.append(sub_order)
    settled = (SubOrderState.WAITING, SubOrderState.ENDED)
    if any(one.counters.pending and one.state in settled for one in wrong):
        raise _BeyondRepair(drifts)
    return wrong, drifts


def _stands(order: Order) -> dict[str, int | str]:
    return {
        "status": order.status,
        "sub_orders": order.sub_orders,
        "waiting_sub_orders": order.waiting_sub_orders,
        **_counters(order.counters),
    }


def _counters(counters: FileCounters) -> dict[str, int | str]:
    return {
        **{f"{state.lower()}_files": number for state, number in counters.files.items()},
        **{f"{state.lower()}_bytes": number for state, number in counters.bytes.items()},
    }


def _difference(
    table: str, id_: int, before: Mapping[str, Any], after: Mapping[str, Any]
) -> list[Drift]:
    """What differs; nothing when nothing does."""
    differing = {
        name: (before[name], after[name]) for name in before if before[name] != after[name]
    }
    return [Drift(table, id_, differing)] if differing else []
