"""Counts an order again under its lock, repairs what differs, and logs it: a drift is a defect."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from rs_order.core.policies import SlotLimits
from rs_order.core.settlement import Cause, Settlement, wake_next_waiters
from rs_order.core.shared_steps import ScheduleStep
from rs_order.domain.identity import SERVICE
from rs_order.domain.ids import OrderId, SubOrderId, Tenant
from rs_order.domain.moves import Reason
from rs_order.domain.order import Order
from rs_order.domain.states import FileCounters, OrderStatus, SubOrderState
from rs_order.domain.sub_order import SubOrder
from rs_order.ports import Clock
from rs_order.store.unit_of_work import Store, UnitOfWork

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Drift:
    """A row whose counters or state were wrong."""

    table: str
    id: int | str
    difference: Mapping[str, tuple[object, object]]
    """The stored and the true value of each wrong column."""


class _Irreparable(Exception):
    """The repair would need a move that no order or sub-order may make. Nothing is changed."""

    def __init__(self, drifts: Sequence[Drift]) -> None:
        super().__init__()
        self.drifts = drifts


class RepairOrder:
    """Corrects counters by the files, then states and statuses by the counters, with the usual moves."""

    def __init__(
        self,
        store: Store,
        settlement: Settlement,
        clock: Clock,
        *,
        limits: SlotLimits,
        count: Callable[[str], None],
    ) -> None:
        """``count``: is called with the table of each drift."""
        self._store = store
        self._settlement = settlement
        self._limits = limits
        self._clock = clock
        self._count = count

    async def handle(
        self, tenant: Tenant, order_id: OrderId, sub_order_ids: Sequence[SubOrderId]
    ) -> None:
        """Repair an order and the given sub-orders, as far as they are still wrong under the lock."""
        repaired = True
        try:
            drifts = await self._repair(tenant, order_id, sub_order_ids)
        except _Irreparable as error:
            drifts, repaired = list(error.drifts), False
        for drift in drifts:
            self._report(tenant, drift, order=order_id, repaired=repaired)

    async def release_capacity(self, tenant: Tenant) -> None:
        """Release the capacity of sub-orders that don't run any more, and wake the next waiters.

        If the claims on the capacity are wrong, all are counted again.
        """
        async with self._store.unit_of_work(tenant) as uow:
            await uow.capacity.lock()
            released = await uow.reconciliation.release_capacity()
            wrong = await uow.reconciliation.wrong_claims()
            if wrong:
                await uow.capacity.count()
            # Their steps may be lost. Capacity that was promised to them is free once they are handled.
            await uow.messages.send(
                [ScheduleStep(owner).to(tenant) for owner in await uow.capacity.woken()]
            )
            if self._limits.limited or await uow.capacity.counted_claims("") is not None:
                await wake_next_waiters(uow, self._limits)
        for sub_order in released:
            drift = Drift("running_sub_order", sub_order, {"capacity": ("acquired", "released")})
            self._report(tenant, drift, repaired=True)
        for claim in wrong:
            difference = {"claim": (claim.stored, claim.counted)}
            self._report(tenant, Drift("capacity_claim", claim.owner, difference), repaired=True)

    async def _repair(
        self, tenant: Tenant, order_id: OrderId, sub_order_ids: Sequence[SubOrderId]
    ) -> list[Drift]:
        async with self._store.unit_of_work(tenant) as uow:
            orders = await uow.orders.lock([order_id])
            if not orders or orders[0].status.deleted_or_expired:
                return []
            (order,) = orders
            before = _record(order)
            sub_orders, drifts = await _count(uow, sub_order_ids)
            cause = Cause(Reason.RECOUNTED, SERVICE, self._clock.now())
            await self._settlement.settle_recounted(uow, order, sub_orders, cause)
            drifts += _difference("orders", order.id, before, _record(order))
            if order.counters.pending and order.status in (
                OrderStatus.DONE,
                OrderStatus.DONE_WITH_WARNING,
            ):
                raise _Irreparable(drifts)
            await uow.orders.save([order], cause.at)
            for task in await uow.reconciliation.repair_tasks(order_id):
                drifts += _difference(
                    "dataset_task",
                    task.id,
                    {"files": task.files_before, "bytes": task.bytes_before},
                    {"files": task.files, "bytes": task.bytes},
                )
        return drifts

    def _report(
        self, tenant: Tenant, drift: Drift, *, repaired: bool, order: OrderId | None = None
    ) -> None:
        self._count(drift.table)
        log.error(
            "drift-found",
            tenant=tenant,
            order=order,
            table=drift.table,
            id=drift.id,
            difference=drift.difference,
            repaired=repaired,
        )


async def _count(uow: UnitOfWork, ids: Sequence[SubOrderId]) -> tuple[list[SubOrder], list[Drift]]:
    """Return the wrong sub-orders, with their true counters, and the drifts found.

    Raises:
        _Irreparable: a sub-order has ended, but has a pending file.
    """
    counted = await uow.reconciliation.count_files(ids)
    wrong: list[SubOrder] = []
    drifts: list[Drift] = []
    for sub_order in await uow.sub_orders.load(ids):
        counters = counted[sub_order.id]
        difference = _difference(
            "sub_order", sub_order.id, _counters(sub_order.counters), _counters(counters)
        )
        if difference:
            drifts += difference
            sub_order.counters = counters
            wrong.append(sub_order)
    settled = (SubOrderState.WAITING, SubOrderState.ENDED)
    if any(one.counters.pending and one.state in settled for one in wrong):
        raise _Irreparable(drifts)
    return wrong, drifts


def _record(order: Order) -> dict[str, int | str]:
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
    """Return the drift between two records of a row; nothing if they are equal."""
    differing = {
        name: (before[name], after[name]) for name in before if before[name] != after[name]
    }
    return [Drift(table, id_, differing)] if differing else []
