"""Applies storage's answers: files that are available, and files that never will be."""

from collections.abc import Mapping, Sequence

from rs_order.application.begin_processing import BeginProcessing
from rs_order.application.settlement import Cause, Settlement
from rs_order.domain.ids import Checksum, Tenant
from rs_order.domain.moves import Reason
from rs_order.ports.clock import Clock
from rs_order.store.unit_of_work import Store


class ApplyAvailability:
    """Settles files requested from storage; a batch without any of them costs one query.

    Inputs of a process are settled in the same way. The process starts once none of them is pending.

    A late answer is applied unless the order is expired or deleted (decisions.md).
    """

    def __init__(self, store: Store, settlement: Settlement, clock: Clock) -> None:
        self._store = store
        self._settlement = settlement
        self._processing = BeginProcessing(settlement)
        self._clock = clock

    async def handle(
        self,
        tenant: Tenant,
        available: Sequence[Checksum],
        unavailable: Mapping[Checksum, str],
    ) -> None:
        """Apply a batch of answers. A checksum in both arguments counts as unavailable."""
        checksums = sorted({*available, *unavailable})
        async with self._store.unit_of_work(tenant) as uow:
            locked = await uow.orders.lock_awaiting(checksums)
            orders = [order for order in locked if not order.status.deleted_or_expired]
            if not orders:
                return
            ids = [order.id for order in orders]
            cause = Cause(Reason.STORAGE_ANSWERED, "storage", self._clock.now())
            moves = await uow.files.settle_by_checksum(ids, available, unavailable)
            await self._settlement.carry(uow, orders, moves, cause)
            complete = await uow.inputs.settle_by_checksum(ids, available, unavailable)
            await self._processing.begin(uow, complete, reason=cause.reason, at=cause.at)
