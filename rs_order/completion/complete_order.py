"""Reads the files of an order from the catalog, one page per step (domain.md 4.3 to 4.8).

Each step asks the catalog for one page. Then it puts the files into sub-orders, moves the cursor and
writes the next step, in one commit. A step that doesn't match the cursor was done before and does nothing.
A step whose order is paused, deleted or expired does nothing either (W9).
"""

from dataclasses import replace
from datetime import datetime

import structlog

from rs_order.completion.fill_processed import FillProcessed
from rs_order.completion.fill_sub_orders import FillSubOrders
from rs_order.completion.passes import explain_change, has_changed, is_read_again
from rs_order.completion.processed_sub_orders import split_message
from rs_order.completion.read_page import CompletionFailed, Page, PageReader
from rs_order.core import responses
from rs_order.core.links import Links
from rs_order.core.policies import SLICE_SIZES, SliceSizes
from rs_order.core.settlement import announce
from rs_order.core.shared_steps import (
    CompleteOrderStep,
    DeleteFilesStep,
    ExpireOrderStep,
    ScheduleStep,
)
from rs_order.domain.events import EventType
from rs_order.domain.identity import SERVICE
from rs_order.domain.ids import Tenant
from rs_order.domain.input_batches import SplitForbidden
from rs_order.domain.moves import Reason
from rs_order.domain.order import Order, expiration
from rs_order.domain.retry import RetryPolicy
from rs_order.domain.selection import DatasetSelection
from rs_order.domain.states import FileCounters, OrderStatus
from rs_order.mails.plan import PlanMails
from rs_order.ports import Clock, RemoteRejection, RemoteUnavailable
from rs_order.store.completions import CompletionPosition
from rs_order.store.cursors import CompletionCursor
from rs_order.store.unit_of_work import Store, UnitOfWork

NO_FEATURE = "It seems that the queried features do not exist anymore."
NO_FILE = "No file match filters."

log = structlog.get_logger(__name__)


class CompleteOrder:
    """Handles the steps of completions."""

    def __init__(
        self,
        store: Store,
        reader: PageReader,
        fill: FillSubOrders,
        fill_processed: FillProcessed,
        *,
        mails: PlanMails,
        links: Links,
        clock: Clock,
        retries: RetryPolicy,
        sizes: SliceSizes = SLICE_SIZES,
    ) -> None:
        self._slice = sizes.announced_sub_orders
        self._store = store
        self._reader = reader
        self._fill_sub_orders = fill
        self._fill_processed = fill_processed
        self._mails = mails
        self._links = links
        self._clock = clock
        self._retries = retries

    async def handle(self, tenant: Tenant, step: CompleteOrderStep) -> None:
        """Add the page of the step to its order, or finish the completion after the last page."""
        async with self._store.unit_of_work(tenant) as uow:
            at = await uow.completions.position(step.order_id, step.selection)
        if at is None or not _may_go_on(at.order, at.cursor, step):
            return
        if at.selection is None:
            await self._finish(tenant, step)
            return
        await self._read(tenant, step, at, at.selection)

    async def _read(
        self,
        tenant: Tenant,
        step: CompleteOrderStep,
        at: CompletionPosition,
        selection: DatasetSelection,
    ) -> None:
        """Read the page of the step and add it to the order."""
        try:
            page = await self._reader.read(
                tenant,
                at.order,
                selection,
                step.page,
                reading=at.cursor.reading,
                process=at.cursor.processed.process if at.cursor.processed else None,
            )
            await self._add_page(tenant, step, selection, page, follows=at.follows)
        except CompletionFailed as failure:
            await self._fail(tenant, step, str(failure))
        except RemoteRejection as error:
            await self._fail(tenant, step, self._reader.explain(error, selection))
        except RemoteUnavailable as error:
            await self._wait(tenant, step, error, selection)

    @staticmethod
    async def _lock(
        uow: UnitOfWork, step: CompleteOrderStep
    ) -> tuple[Order, CompletionCursor] | None:
        """Lock the order. Return it with its cursor, or None if the step has nothing left to do."""
        locked = await uow.completions.lock(step.order_id)
        return locked if locked and _may_go_on(*locked, step) else None

    async def _add_page(
        self,
        tenant: Tenant,
        step: CompleteOrderStep,
        selection: DatasetSelection,
        page: Page,
        *,
        follows: bool,
    ) -> None:
        """Add a page to its order. After a small last page, the same commit finishes the completion."""
        async with self._store.unit_of_work(tenant) as uow:
            locked = await self._lock(uow, step)
            if locked is None:
                return
            order, cursor = locked
            reading = cursor.reading.after(len(page.products), page.total, page.size)
            if is_read_again(reading, page, step.page):
                await self._read_again(uow, step, cursor)
                return
            following, oversized = await self._fill(
                uow, order, replace(cursor, reading=reading), selection, page
            )
            if page.last and has_changed(reading, page):
                order.message = explain_change(order, selection, reading, page)
            await uow.messages.send([responses.oversized_file(tenant, name) for name in oversized])
            if page.last and not follows and len(page.products) <= self._slice:
                await self._end(uow, order, following)
            else:
                await self._go_on(uow, order, following)

    @staticmethod
    async def _read_again(
        uow: UnitOfWork, step: CompleteOrderStep, cursor: CompletionCursor
    ) -> None:
        """Begin another pass over the selection. Files that the order has already are not added again."""
        log.warning(
            "catalog-changed", tenant=uow.tenant, order=step.order_id, passes=cursor.reading.number
        )
        again = replace(cursor.without_attempts(), page=0, reading=cursor.reading.next())
        await uow.completions.advance(step.order_id, again)
        await uow.messages.send(
            [CompleteOrderStep(step.order_id, step.selection, 0).to(uow.tenant)]
        )

    async def _fill(
        self,
        uow: UnitOfWork,
        order: Order,
        cursor: CompletionCursor,
        selection: DatasetSelection,
        page: Page,
    ) -> tuple[CompletionCursor, list[str]]:
        """Return the cursor of the next page, and the names of files larger than a sub-order.

        Raises:
            CompletionFailed: the process forbids a second sub-order, but the inputs need one.
        """
        if page.process is None:
            return await self._fill_sub_orders.add_page(uow, order, cursor, selection, page)
        try:
            return await self._fill_processed.add_page(uow, order, cursor, selection, page)
        except SplitForbidden as error:
            raise CompletionFailed(split_message(order, page.process, error)) from error

    async def _finish(self, tenant: Tenant, step: CompleteOrderStep) -> None:
        """Finish the completion in a commit of its own, or announce a further slice of sub-orders."""
        async with self._store.unit_of_work(tenant) as uow:
            locked = await self._lock(uow, step)
            if locked is None:
                return
            await self._end(uow, *locked)

    async def _end(self, uow: UnitOfWork, order: Order, cursor: CompletionCursor) -> None:
        """Give an order its status after the last page, and announce a slice of its external sub-orders.

        Those are complete at once. Until the last slice the order can't end, so that its end comes last.
        """
        ready = (
            await uow.sub_orders.complete_at_once(order.id, cursor.first_to_announce, self._slice)
            if order.counters.once_available
            else []
        )
        last = len(ready) < self._slice
        if cursor.page == 0:
            await self._begin(uow, order, cursor, ends=last)
        if last:
            await uow.completions.finish([order.id])
            order.completing = False
            order.settle(reason=Reason.FILES_READ, actor=SERVICE)
        await announce(uow, self._links, order, ready)
        if last:
            order.apply_download_errors()
            await uow.orders.save([order], self._clock.now())
        else:
            await self._go_on(uow, order, cursor.announced(ready[-1].id))

    async def _begin(
        self, uow: UnitOfWork, order: Order, cursor: CompletionCursor, *, ends: bool
    ) -> None:
        """Give the order its expiry date and its status, and let its sub-orders start."""
        now = self._clock.now()
        count = await uow.sub_orders.count_of_order(order.id)
        order.expires_at = await _expiration(uow, order, now, storage_sub_orders=count.storage)
        order.note(
            EventType.ORDER_LISTED, bytes=order.counters.total_bytes, subOrders=order.sub_orders
        )
        _take_status(order, cursor.products, ends=ends)
        await self._mails.order_completed(uow, order, now)
        steps = [ExpireOrderStep(order.id).to(uow.tenant, order.expires_at)]
        if order.status is OrderStatus.RUNNING:
            steps.append(ScheduleStep(order.owner).to(uow.tenant))
        await uow.messages.send(steps)

    async def _go_on(self, uow: UnitOfWork, order: Order, cursor: CompletionCursor) -> None:
        """Save the order and the cursor, and write the step that continues there."""
        await uow.completions.advance(order.id, cursor)
        await uow.orders.save([order], self._clock.now())
        following = CompleteOrderStep(order.id, cursor.selection, cursor.page)
        await uow.messages.send([following.to(uow.tenant)])

    async def _wait(
        self,
        tenant: Tenant,
        step: CompleteOrderStep,
        error: RemoteUnavailable,
        selection: DatasetSelection,
    ) -> None:
        """Read the same page again later, or fail the order when the retry policy is exhausted."""
        now = self._clock.now()
        async with self._store.unit_of_work(tenant) as uow:
            locked = await self._lock(uow, step)
            if locked is None:
                return
            _, cursor = locked
            since = cursor.unavailable_since or now
            exhausted = self._retries.exhausted(since, now)
            if not exhausted:
                due = now + self._retries.pause(cursor.attempts + 1)
                waiting = replace(cursor, attempts=cursor.attempts + 1, unavailable_since=since)
                await uow.completions.advance(step.order_id, waiting)
                await uow.messages.send([step.to(tenant, due)])
        if exhausted:
            await self._fail(tenant, step, self._reader.explain(error, selection))

    async def _fail(self, tenant: Tenant, step: CompleteOrderStep, message: str) -> None:
        """Fail the order, and delete the files and sub-orders that were added so far (4.10, W6)."""
        now = self._clock.now()
        async with self._store.unit_of_work(tenant) as uow:
            locked = await self._lock(uow, step)
            if locked is None:
                return
            order, _ = locked
            order.expires_at = await _expiration(uow, order, now, storage_sub_orders=0)
            order.message = message
            order.counters, order.sub_orders, order.waiting_sub_orders = FileCounters(), 0, 0
            order.move(OrderStatus.FAILED, reason=Reason.COMPLETION_FAILED)
            await uow.completions.forget_counts(step.order_id)
            await uow.completions.finish([step.order_id])
            await uow.orders.save([order], now)
            link = (await self._links.within(uow)).of(order.id)
            await uow.messages.respond([responses.order_ended(tenant, order, link)])
            await uow.messages.send([DeleteFilesStep(step.order_id).to(tenant)])


def _may_go_on(order: Order, cursor: CompletionCursor, step: CompleteOrderStep) -> bool:
    """True if the step is the next one of its order, and the order waits for it."""
    # A running order has sub-orders that are still to be announced.
    waits = order.status in (OrderStatus.PENDING, OrderStatus.RUNNING)
    return waits and (cursor.selection, cursor.page) == (step.selection, step.page)


async def _expiration(
    uow: UnitOfWork, order: Order, now: datetime, *, storage_sub_orders: int
) -> datetime:
    """Return the expiry date for the hours that a sub-order had when the order was created."""
    settings = await uow.settings()
    return expiration(
        now,
        storage_sub_orders=storage_sub_orders,
        sub_order_hours=order.sub_order_hours,
        max_hours=settings.expiration_max_hours,
    )


def _take_status(order: Order, products: int, *, ends: bool) -> None:
    """Move the order to the status that its counters give (domain.md 4.8); RUNNING if it can't end yet."""
    if not order.sub_orders:
        order.message = NO_FILE if products else NO_FEATURE
        order.move(OrderStatus.DONE_WITH_WARNING, reason=Reason.NOTHING_TO_ORDER)
    elif order.counters.pending or not ends:
        order.move(OrderStatus.RUNNING, reason=Reason.FILES_READ)
    else:
        order.move(order.outcome(), reason=Reason.FILES_READ)
