"""Reads the files of an order from the catalog, one page per step (domain.md 4.3 to 4.8).

Each step asks the catalog for one page, puts its files in batches, moves the cursor and writes the next
step, in one commit. A step that finds the cursor elsewhere was done before and does nothing; a step that
finds the order paused or gone stops (W9).
"""

from dataclasses import replace

from rs_order.completion.fill_processed import FillProcessed
from rs_order.completion.fill_sub_orders import FillSubOrders
from rs_order.completion.processed_sub_orders import split_message
from rs_order.completion.read_page import CompletionRefused, Page, PageReader
from rs_order.core import responses
from rs_order.core.links import Links
from rs_order.core.shared_steps import (
    CompleteOrderStep,
    DeleteFilesStep,
    ExpireOrderStep,
    ScheduleStep,
)
from rs_order.domain.basket import DatasetSelection
from rs_order.domain.counters import FileCounters
from rs_order.domain.ids import Tenant
from rs_order.domain.input_batches import SplitForbidden
from rs_order.domain.moves import Reason
from rs_order.domain.order import Order, expiration
from rs_order.domain.retry import RetryPolicy
from rs_order.domain.states import OrderStatus
from rs_order.mails.plan import PlanMails
from rs_order.ports import Clock, RemoteRefusal, RemoteTrouble
from rs_order.reconcile.runs import begin_reconciling
from rs_order.store.cursors import CompletionCursor
from rs_order.store.unit_of_work import Store, UnitOfWork

NO_FEATURE = "It seems that the queried features do not exist anymore."
NO_FILE = "No file match filters."


class CompleteOrder:
    """One step of a completion."""

    def __init__(
        self,
        store: Store,
        reader: PageReader,
        filling: FillSubOrders,
        filling_processed: FillProcessed,
        *,
        mails: PlanMails,
        links: Links,
        clock: Clock,
        retries: RetryPolicy,
    ) -> None:
        self._store = store
        self._reader = reader
        self._filling = filling
        self._filling_processed = filling_processed
        self._mails = mails
        self._links = links
        self._clock = clock
        self._retries = retries

    async def handle(self, tenant: Tenant, step: CompleteOrderStep) -> None:
        """Read the page of the step into its order."""
        async with self._store.unit_of_work(tenant) as uow:
            held = await self._hold(uow, step)
            wanted = (
                await uow.completions.selection(step.order_id, step.selection) if held else None
            )
        if held is None:
            return
        order, cursor = held
        if wanted is None:
            await self._finish(tenant, step)
            return
        try:
            process = cursor.processed.process if cursor.processed else None
            read = await self._reader.read(tenant, order, wanted, step.page, process=process)
            await self._add_page(tenant, step, wanted, read)
        except CompletionRefused as refusal:
            await self._fail(tenant, step, str(refusal))
        except RemoteRefusal as refusal:
            await self._fail(tenant, step, self._reader.explain(refusal, wanted))
        except RemoteTrouble as trouble:
            await self._wait(tenant, step, trouble, wanted)

    @staticmethod
    async def _hold(
        uow: UnitOfWork, step: CompleteOrderStep
    ) -> tuple[Order, CompletionCursor] | None:
        """The order and its cursor, if this step is still to be done."""
        orders = await uow.orders.lock([step.order_id])
        cursor = await uow.completions.cursor(step.order_id)
        if not orders or cursor is None or orders[0].status is not OrderStatus.PENDING:
            return None
        if (cursor.selection, cursor.page) != (step.selection, step.page):
            return None
        return orders[0], cursor

    async def _add_page(
        self, tenant: Tenant, step: CompleteOrderStep, wanted: DatasetSelection, read: Page
    ) -> None:
        async with self._store.unit_of_work(tenant) as uow:
            held = await self._hold(uow, step)
            if held is None:
                return
            order, cursor = held
            following, oversized = await self._fill(uow, order, cursor, wanted, read)
            await uow.completions.advance(step.order_id, following)
            await uow.orders.save([order], self._clock.now())
            await uow.messages.send(
                [
                    *(responses.oversized_file(tenant, name) for name in oversized),
                    CompleteOrderStep(step.order_id, following.selection, following.page).to(
                        tenant
                    ),
                ]
            )

    async def _fill(
        self,
        uow: UnitOfWork,
        order: Order,
        cursor: CompletionCursor,
        wanted: DatasetSelection,
        read: Page,
    ) -> tuple[CompletionCursor, list[str]]:
        if read.process is None:
            return await self._filling.add_page(uow, order, cursor, wanted, read)
        try:
            return await self._filling_processed.add_page(uow, order, cursor, wanted, read)
        except SplitForbidden as refusal:
            raise CompletionRefused(split_message(order, read.process, refusal)) from refusal

    async def _finish(self, tenant: Tenant, step: CompleteOrderStep) -> None:
        """Every selection is read: the order takes its status and its sub-orders may start."""
        now = self._clock.now()
        async with self._store.unit_of_work(tenant) as uow:
            held = await self._hold(uow, step)
            if held is None:
                return
            order, cursor = held
            count = await uow.sub_orders.count_of_order(step.order_id)
            settings = await uow.settings()
            order.expires_at = expiration(
                now,
                storage_sub_orders=count.storage,
                sub_order_hours=order.sub_order_hours,
                max_hours=settings.expiration_max_hours,
            )
            _take_status(order, cursor.products)
            await uow.completions.finish([step.order_id])
            await uow.orders.save([order], now)
            await self._announce(uow, order)
            await self._mails.order_completed(uow, order, now)
            await begin_reconciling(uow, now)
            await uow.messages.send([ExpireOrderStep(step.order_id).to(tenant, order.expires_at)])
            if order.status is OrderStatus.RUNNING:
                await uow.messages.send([ScheduleStep(order.owner).to(tenant)])

    async def _announce(self, uow: UnitOfWork, order: Order) -> None:
        """External sub-orders are ready from birth; then comes the end, if this is the end."""
        link = (await self._links.within(uow)).of(order.id)
        ready = await uow.sub_orders.waiting_of_order(order.id)
        announcements = [
            responses.sub_order_done(uow.tenant, order, sub_order, link) for sub_order in ready
        ]
        if order.status.final:
            announcements.append(responses.order_ended(uow.tenant, order, link))
        await uow.messages.respond(announcements)

    async def _wait(
        self,
        tenant: Tenant,
        step: CompleteOrderStep,
        trouble: RemoteTrouble,
        wanted: DatasetSelection,
    ) -> None:
        """A remote service gave no answer: ask for the same page later, or fail the order."""
        now = self._clock.now()
        async with self._store.unit_of_work(tenant) as uow:
            held = await self._hold(uow, step)
            if held is None:
                return
            _, cursor = held
            since = cursor.unavailable_since or now
            exhausted = self._retries.exhausted(since, now)
            if not exhausted:
                due = now + self._retries.pause(cursor.attempts + 1)
                waiting = replace(cursor, attempts=cursor.attempts + 1, unavailable_since=since)
                await uow.completions.advance(step.order_id, waiting)
                await uow.messages.send([step.to(tenant, due)])
        if exhausted:
            await self._fail(tenant, step, self._reader.explain(trouble, wanted))

    async def _fail(self, tenant: Tenant, step: CompleteOrderStep, message: str) -> None:
        """The completion can't go on: FAILED, and what was read so far is taken back (4.10, W6)."""
        now = self._clock.now()
        async with self._store.unit_of_work(tenant) as uow:
            held = await self._hold(uow, step)
            if held is None:
                return
            order, _ = held
            settings = await uow.settings()
            order.expires_at = expiration(
                now,
                storage_sub_orders=0,
                sub_order_hours=order.sub_order_hours,
                max_hours=settings.expiration_max_hours,
            )
            order.message = message
            order.counters, order.sub_orders, order.waiting_sub_orders = FileCounters(), 0, 0
            order.move(OrderStatus.FAILED, reason=Reason.COMPLETION_FAILED)
            await uow.completions.finish([step.order_id])
            await uow.orders.save([order], now)
            link = (await self._links.within(uow)).of(order.id)
            await uow.messages.respond([responses.order_ended(tenant, order, link)])
            await uow.messages.send([DeleteFilesStep(step.order_id).to(tenant)])


def _take_status(order: Order, products: int) -> None:
    """Domain.md 4.8, from the counters."""
    if not order.sub_orders:
        order.message = NO_FILE if products else NO_FEATURE
        order.move(OrderStatus.DONE_WITH_WARNING, reason=Reason.NOTHING_TO_ORDER)
    elif order.counters.pending:
        order.move(OrderStatus.RUNNING, reason=Reason.FILES_READ)
    else:
        order.move(order.outcome(), reason=Reason.FILES_READ)
