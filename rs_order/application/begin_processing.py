"""Hands sub-orders over from storage to their processes, once no input is waited for any more."""

from collections.abc import Sequence
from datetime import datetime

from rs_order.application.settlement import Settlement
from rs_order.application.steps import ScheduleStep, StartProcessingStep
from rs_order.domain.ids import SubOrderId
from rs_order.domain.moves import Reason
from rs_order.store.unit_of_work import UnitOfWork


class BeginProcessing:
    """A running sub-order whose inputs are settled gives its slot back and asks for its executions."""

    def __init__(self, settlement: Settlement) -> None:
        self._settlement = settlement

    async def begin(
        self, uow: UnitOfWork, ids: Sequence[SubOrderId], *, reason: Reason, at: datetime
    ) -> None:
        """Begin these; the caller holds their orders."""
        if not ids:
            return
        sub_orders = await uow.sub_orders.load(ids)
        for sub_order in sub_orders:
            sub_order.begin_processing(at, reason=reason)
        await uow.sub_orders.save(sub_orders, at)
        owners = sorted({sub_order.owner for sub_order in sub_orders})
        await uow.messages.send(
            [
                *(
                    StartProcessingStep(sub_order.order_id, sub_order.id).to(uow.tenant)
                    for sub_order in sub_orders
                ),
                *(ScheduleStep(owner).to(uow.tenant) for owner in owners),
            ]
        )
        await self._settlement.release_capacity(uow, ids)
