"""Retries an order: its files in error are requested again, and only these (domain.md 12.6, W18).

A chain of steps moves them to new sub-orders, a slice each, and then announces the external ones in slices.
Until the last slice the order can't end and none of its sub-orders starts, so that peers receive the true
number of sub-orders.
"""

from dataclasses import dataclass

from rs_order.actions.regroup import RegroupFiles
from rs_order.actions.rights import Actor, Rights, locked, reject_unless
from rs_order.core.links import Links
from rs_order.core.policies import SLICE_SIZES, SliceSizes
from rs_order.core.settlement import announce, renew_expiration
from rs_order.core.shared_steps import ScheduleStep
from rs_order.core.steps import Step
from rs_order.domain.ids import DataFileId, DatasetTaskId, OrderId, Tenant
from rs_order.domain.moves import Reason
from rs_order.domain.order import Order
from rs_order.domain.states import OrderStatus
from rs_order.ports import Clock
from rs_order.store.audit import AuditAction
from rs_order.store.cursors import RetryCursor
from rs_order.store.unit_of_work import Store, UnitOfWork

MUST_BE_RETRIABLE = "ORDER_MUST_BE_DONE_WITH_WARNING_OR_FAILED"
HAS_PROCESSING = "ORDER_HAS_PROCESSING"


@dataclass(frozen=True)
class RetryOrderStep(Step, name="retry-order"):
    """Move the slice of an order's files in error that follows a file, or announce new sub-orders."""

    order_id: OrderId
    dataset_task_id: DatasetTaskId
    data_file_id: DataFileId
    announced_slices: int = 0

    @classmethod
    def at(cls, order_id: OrderId, cursor: RetryCursor) -> "RetryOrderStep":
        """Return the step that continues at a cursor."""
        return cls(order_id, cursor.dataset_task, cursor.file, cursor.announced_slices)


class RetryOrder:
    """Begins a retry. Steps do the work."""

    def __init__(self, store: Store, rights: Rights, clock: Clock) -> None:
        self._store = store
        self._rights = rights
        self._clock = clock

    async def handle(self, actor: Actor, order_id: OrderId) -> None:
        """Run an order again that ended with errors, with a new expiry date.

        Raises:
            NotFound: there is no such order.
            ActionRejected: the status of the order, a process in it, or the actor doesn't allow it.
            RemoteUnavailable: rs-admin doesn't answer whether the actor is an administrator.
        """
        await self._rights.require(actor, order_id)
        async with self._store.unit_of_work(actor.caller.tenant) as uow:
            order = await locked(uow, order_id)
            reject_unless(order.status.can_be_retried, MUST_BE_RETRIABLE)
            reject_unless(not await uow.orders.has_process(order_id), HAS_PROCESSING)
            cursor = await uow.retries.begin(order_id, order.status)
            order.move(OrderStatus.RUNNING, reason=Reason.RETRIED, actor=actor.email)
            await actor.audit(uow, AuditAction.ORDER_RETRIED, order)
            # The old expiry date may be past. This one counts if the order is paused before the last slice.
            await renew_expiration(uow, order, storage_sub_orders=0, now=self._clock.now())
            await uow.orders.save([order], self._clock.now())
            await uow.messages.send([RetryOrderStep.at(order_id, cursor).to(uow.tenant)])


class MoveFilesInError:
    """Handles the steps of retries.

    A step does nothing if it doesn't match the cursor, or if the order isn't running.
    """

    def __init__(
        self,
        store: Store,
        regroup: RegroupFiles,
        links: Links,
        clock: Clock,
        sizes: SliceSizes = SLICE_SIZES,
    ) -> None:
        self._sizes = sizes
        self._store = store
        self._regroup = regroup
        self._links = links
        self._clock = clock

    async def handle(self, tenant: Tenant, step: RetryOrderStep) -> None:
        """Move the slice of the step. After the last file, announce a slice of the new sub-orders."""
        async with self._store.unit_of_work(tenant) as uow:
            found = await self._lock(uow, step)
            if found is None:
                return
            order, cursor = found
            if cursor.announced_slices:
                await self._announce(uow, order, cursor)
            else:
                await self._move(uow, order, cursor)

    @staticmethod
    async def _lock(uow: UnitOfWork, step: RetryOrderStep) -> tuple[Order, RetryCursor] | None:
        """Lock the order. Return it with its cursor, or None if the step has nothing left to do."""
        orders = await uow.orders.lock([step.order_id])
        cursor = await uow.retries.cursor(step.order_id)
        if not orders or cursor is None or orders[0].status is not OrderStatus.RUNNING:
            return None
        if RetryOrderStep.at(step.order_id, cursor) != step:
            return None
        return orders[0], cursor

    async def _move(self, uow: UnitOfWork, order: Order, cursor: RetryCursor) -> None:
        """Move a slice of files. After the last one, the same commit announces the first sub-orders."""
        limit = self._sizes.retried_files
        files = (
            await uow.retries.files_in_error(order.id, cursor, limit)
            if order.counters.to_retry
            else []
        )
        last = len(files) < limit
        following = await self._regroup.move(uow, order, cursor, files, last=last)
        if not last:
            await self._continue(uow, order, following)
            return
        if following.first_sub_order is not None:
            created = await uow.sub_orders.count_extending({order.id: following.first_sub_order})
            await renew_expiration(
                uow, order, storage_sub_orders=created[order.id], now=self._clock.now()
            )
        await self._announce(uow, order, following)

    async def _continue(self, uow: UnitOfWork, order: Order, cursor: RetryCursor) -> None:
        await uow.retries.advance(order.id, cursor)
        await uow.orders.save([order], self._clock.now())
        await uow.messages.send([RetryOrderStep.at(order.id, cursor).to(uow.tenant)])

    async def _announce(self, uow: UnitOfWork, order: Order, cursor: RetryCursor) -> None:
        """Announce a slice of the new external sub-orders, which are complete at once.

        After the last slice, the order may end and the other sub-orders start.
        """
        limit = self._sizes.announced_sub_orders
        complete = (
            await uow.sub_orders.complete_at_once(order.id, cursor.first_sub_order, limit)
            if cursor.first_sub_order is not None
            else []
        )
        if len(complete) == limit:
            await announce(uow, self._links, [(order, complete)])
            await self._continue(uow, order, cursor.announced(complete[-1].id))
            return
        await uow.retries.finish([order.id])
        order.end_retry(cursor.status_before)
        await announce(uow, self._links, [(order, complete)])
        order.apply_download_errors()
        await uow.orders.save([order], self._clock.now())
        await uow.messages.send([ScheduleStep(order.owner).to(uow.tenant)])
