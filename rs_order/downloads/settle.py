"""Records the outcomes of downloaded files, so that the next sub-orders may start."""

from collections.abc import Callable, Coroutine, Mapping, Sequence

from rs_order.contracts.processing_messages import DownloadedOutputs
from rs_order.core.settlement import Cause, Settlement
from rs_order.core.shared_steps import ScheduleStep
from rs_order.domain.ids import DataFileId, OrderId, Tenant
from rs_order.domain.moves import Reason
from rs_order.domain.order import Order
from rs_order.ports import Clock, FetchResult, FileOutcome, MessageKind
from rs_order.store.outbox import OutgoingMessage
from rs_order.store.unit_of_work import Store, UnitOfWork, retry_on_conflict

Settle = Callable[[Tenant, OrderId, Sequence[FileOutcome]], Coroutine[None, None, None]]
"""``SettleDownloads.handle``, for the outcomes of at most 5000 files."""


class SettleDownloads:
    """Changes the states of downloaded files, and settles their order (domain.md 11.1)."""

    def __init__(self, store: Store, settlement: Settlement, clock: Clock) -> None:
        self._store = store
        self._settlement = settlement
        self._clock = clock

    async def handle(
        self, tenant: Tenant, order_id: OrderId, outcomes: Sequence[FileOutcome]
    ) -> None:
        """Record the outcomes of one order's files; ignore files that no longer exist.

        Raises:
            StoreUnavailable, StoreConflict: nothing is recorded, the files keep their states.
        """

        async def record() -> None:
            await self._record(tenant, order_id, outcomes)

        await retry_on_conflict(record)

    async def _record(
        self, tenant: Tenant, order_id: OrderId, outcomes: Sequence[FileOutcome]
    ) -> None:
        ended = [o for o in outcomes if o.result is not FetchResult.QUOTA_EXCEEDED]
        quota = {o.id: o.reason or "" for o in outcomes if o.result is FetchResult.QUOTA_EXCEEDED}
        async with self._store.unit_of_work(tenant) as uow:
            orders = [order for order in await uow.orders.lock([order_id]) if _has_files(order)]
            if not orders:
                return
            cause = Cause(Reason.DOWNLOADED, orders[0].owner, self._clock.now())
            moves = await uow.files.record_downloads(
                order_id, ended, actor=cause.actor, at=cause.at
            )
            await self._settlement.apply(uow, orders, moves, cause)
            delivered = [o.id for o in outcomes if o.result is FetchResult.DOWNLOADED]
            await self._release_outputs(uow, order_id, delivered)
            if quota:
                await self._free_slots_over_quota(uow, orders[0], quota)

    @staticmethod
    async def _release_outputs(
        uow: UnitOfWork, order_id: OrderId, downloaded: Sequence[DataFileId]
    ) -> None:
        """Allow rs-processing to delete the outputs that were delivered (decisions.md, 6.14)."""
        urls = await uow.executions.downloaded_urls(order_id, downloaded)
        if urls:
            await uow.messages.send(
                [
                    OutgoingMessage(
                        kind=MessageKind.DOWNLOADED_OUTPUTS,
                        tenant=uow.tenant,
                        body=DownloadedOutputs(output_file_urls=urls).to_wire(),
                    )
                ]
            )

    async def _free_slots_over_quota(
        self, uow: UnitOfWork, order: Order, reasons: Mapping[DataFileId, str]
    ) -> None:
        """Free the slots of sub-orders that can't be downloaded for the owner's quota (decisions.md, Quota).

        Until the quota allows the download, the owner's next sub-orders don't wait for it.
        """
        stuck = await uow.sub_orders.load(await uow.files.note_quota(order.id, reasons))
        for sub_order in stuck:
            sub_order.quota_exceeded = True
        await uow.sub_orders.save(stuck, self._clock.now())
        await uow.messages.send([ScheduleStep(order.owner).to(uow.tenant)])


def _has_files(order: Order) -> bool:
    """True unless the files are being deleted: the order is deleted or expired, or its completion failed."""
    return not order.status.deleted_or_expired and order.counters.total_files > 0
