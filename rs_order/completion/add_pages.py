"""Adds pages of files to orders, those of several orders in one commit (domain.md 4.5 to 4.8)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

import structlog

from rs_order.completion.fill_processed import FillProcessed
from rs_order.completion.fill_sub_orders import FillSubOrders
from rs_order.completion.passes import explain_change, has_changed, is_read_again
from rs_order.completion.processed_sub_orders import split_message
from rs_order.completion.read_page import CompletionFailed, OrderPage, Page
from rs_order.core import responses
from rs_order.core.links import Links
from rs_order.core.policies import SLICE_SIZES, SliceSizes
from rs_order.core.settlement import announce
from rs_order.core.shared_steps import CompleteOrderStep, ExpireOrderStep, ScheduleStep
from rs_order.domain.events import EventType
from rs_order.domain.identity import SERVICE
from rs_order.domain.ids import SubOrderId
from rs_order.domain.input_batches import SplitForbidden
from rs_order.domain.moves import Reason
from rs_order.domain.order import Order, expiration
from rs_order.domain.selection import DatasetSelection
from rs_order.domain.settings import TenantSettings
from rs_order.domain.states import OrderStatus
from rs_order.domain.sub_order import SubOrder
from rs_order.mails.plan import PlanMails
from rs_order.ports import Clock
from rs_order.store.cursors import CompletionCursor
from rs_order.store.unit_of_work import UnitOfWork

NO_FEATURE = "It seems that the queried features do not exist anymore."
NO_FILE = "No file match filters."

_FIRST: Final = SubOrderId(0)
_Position = tuple[Order, CompletionCursor]
"""A locked order under completion, with how far it has come."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ReadPage:
    """A page of a step that was read, and isn't added yet."""

    step: CompleteOrderStep
    selection: DatasetSelection
    page: Page
    follows: bool
    """True if the order has another selection after this one."""


@dataclass(frozen=True, slots=True)
class _Completed:
    """An order all of whose pages are added."""

    order: Order
    cursor: CompletionCursor
    ready: Sequence[SubOrder]
    """The next slice of its sub-orders that are complete at once."""
    last: bool
    """True if no further slice follows."""


class AddPages:
    """Adds pages to orders and finishes completions, in the caller's unit of work."""

    def __init__(
        self,
        fill: FillSubOrders,
        fill_processed: FillProcessed,
        *,
        mails: PlanMails,
        links: Links,
        clock: Clock,
        sizes: SliceSizes = SLICE_SIZES,
    ) -> None:
        self._slice = sizes.announced_sub_orders
        self._fill_sub_orders = fill
        self._fill_processed = fill_processed
        self._mails = mails
        self._links = links
        self._clock = clock

    async def add(self, uow: UnitOfWork, pages: Sequence[ReadPage]) -> None:
        """Add pages of different orders. Completions whose last page is a small one are finished, too.

        A page that goes into a process is added by itself.

        Raises:
            CompletionFailed: the process forbids a second sub-order, but the inputs need one.
        """
        locked = await locked_orders(uow, (one.step for one in pages))
        adding: list[tuple[ReadPage, OrderPage]] = []
        for one in pages:
            if one.step not in locked:
                continue
            order, cursor = locked[one.step]
            reading = cursor.reading.after(len(one.page.products), one.page.total, one.page.size)
            if is_read_again(reading, one.page, one.step.page):
                await self._read_again(uow, one.step, cursor)
            else:
                at = replace(cursor, reading=reading)
                adding.append((one, OrderPage(order, at, one.selection, one.page)))
        filled = await self._fill(uow, [page for _, page in adding])
        ended: list[_Position] = []
        going_on: list[_Position] = []
        for (one, page), (following, oversized) in zip(adding, filled, strict=True):
            order = page.order
            if page.page.last and has_changed(page.cursor.reading, page.page):
                order.message = explain_change(
                    order, page.selection, page.cursor.reading, page.page
                )
            await uow.messages.send(
                [responses.oversized_file(uow.tenant, name) for name in oversized]
            )
            ends = page.page.last and not one.follows and len(page.page.products) <= self._slice
            (ended if ends else going_on).append((order, following))
        await self._end(uow, ended)
        await self._go_on(uow, going_on)

    @staticmethod
    async def _read_again(
        uow: UnitOfWork, step: CompleteOrderStep, cursor: CompletionCursor
    ) -> None:
        """Begin another pass over the selection. Files that the order has already are not added again."""
        log.warning(
            "catalog-changed", tenant=uow.tenant, order=step.order_id, passes=cursor.reading.number
        )
        again = replace(cursor.without_attempts(), page=0, reading=cursor.reading.next())
        await uow.completions.advance({step.order_id: again})
        await uow.messages.send(
            [CompleteOrderStep(step.order_id, step.selection, 0).to(uow.tenant)]
        )

    async def _fill(
        self, uow: UnitOfWork, pages: Sequence[OrderPage]
    ) -> list[tuple[CompletionCursor, list[str]]]:
        """Return for each page the cursor of the next one, and the names of files larger than a sub-order."""
        if not pages:
            return []
        one = pages[0]
        if one.page.process is None:
            return await self._fill_sub_orders.add_pages(uow, pages)
        try:
            return [
                await self._fill_processed.add_page(
                    uow, one.order, one.cursor, one.selection, one.page
                )
            ]
        except SplitForbidden as error:
            raise CompletionFailed(split_message(one.order, one.page.process, error)) from error

    async def finish(self, uow: UnitOfWork, step: CompleteOrderStep) -> None:
        """Finish a completion whose pages are all added, or announce a further slice of sub-orders."""
        locked = await locked_orders(uow, [step])
        await self._end(uow, list(locked.values()))

    async def _end(self, uow: UnitOfWork, ended: Sequence[_Position]) -> None:
        """Give orders their status after the last page, and announce a slice of their external sub-orders.

        Those are complete at once. Until the last slice an order can't end, so that its end comes last.
        """
        if not ended:
            return
        completed = [await self._completed(uow, order, cursor) for order, cursor in ended]
        await self._begin(uow, [one for one in completed if one.cursor.page == 0])
        last = [one.order for one in completed if one.last]
        await uow.completions.finish([order.id for order in last])
        for order in last:
            order.completing = False
            order.settle(reason=Reason.FILES_READ, actor=SERVICE)
        await announce(uow, self._links, [(one.order, one.ready) for one in completed])
        for order in last:
            order.apply_download_errors()
        await uow.orders.save(last, self._clock.now())
        await self._go_on(
            uow,
            [
                (one.order, one.cursor.announced(one.ready[-1].id))
                for one in completed
                if not one.last
            ],
        )

    async def _completed(
        self, uow: UnitOfWork, order: Order, cursor: CompletionCursor
    ) -> _Completed:
        """Return an order with the next slice of sub-orders to announce."""
        ready = (
            await uow.sub_orders.complete_at_once(order.id, cursor.first_to_announce, self._slice)
            if order.counters.once_available
            else []
        )
        return _Completed(order, cursor, ready, last=len(ready) < self._slice)

    async def _begin(self, uow: UnitOfWork, completed: Sequence[_Completed]) -> None:
        """Give orders their expiry dates and their status, and let their sub-orders start."""
        if not completed:
            return
        now, settings = self._clock.now(), await uow.settings()
        extending = await uow.sub_orders.count_extending(
            {one.order.id: _FIRST for one in completed}
        )
        for one in completed:
            order = one.order
            order.expires_at = expires_at(order, now, settings, extending[order.id])
            order.note(
                EventType.ORDER_LISTED, bytes=order.counters.total_bytes, subOrders=order.sub_orders
            )
            _take_status(order, one.cursor.products, ends=one.last)
        orders = [one.order for one in completed]
        await self._mails.orders_completed(uow, orders, now)
        owners = {order.owner for order in orders if order.status is OrderStatus.RUNNING}
        await uow.messages.send(
            [
                *(ExpireOrderStep(one.id).to(uow.tenant, one.expires_at) for one in orders),
                *(ScheduleStep(owner).to(uow.tenant) for owner in sorted(owners)),
            ]
        )

    async def _go_on(self, uow: UnitOfWork, going_on: Sequence[_Position]) -> None:
        """Save orders and cursors, and write the steps that continue there."""
        await uow.completions.advance({order.id: cursor for order, cursor in going_on})
        await uow.orders.save([order for order, _ in going_on], self._clock.now())
        await uow.messages.send(
            [
                CompleteOrderStep(order.id, cursor.selection, cursor.page).to(uow.tenant)
                for order, cursor in going_on
            ]
        )


async def locked_orders(
    uow: UnitOfWork, steps: Iterable[CompleteOrderStep]
) -> dict[CompleteOrderStep, _Position]:
    """Lock the orders of steps. Return them with their cursors, without steps that have nothing to do."""
    wanted = list(steps)
    locked = await uow.completions.lock([step.order_id for step in wanted])
    found = ((step, locked.get(step.order_id)) for step in wanted)
    return {step: at for step, at in found if at is not None and is_next(*at, step)}


def is_next(order: Order, cursor: CompletionCursor, step: CompleteOrderStep) -> bool:
    """True if the step is the next one of its order, and the order waits for it."""
    # A running order has sub-orders that are still to be announced.
    waits = order.status in (OrderStatus.PENDING, OrderStatus.RUNNING)
    return waits and (cursor.selection, cursor.page) == (step.selection, step.page)


def expires_at(
    order: Order, now: datetime, settings: TenantSettings, storage_sub_orders: int
) -> datetime:
    """Return the expiry date for the hours that a sub-order had when the order was created."""
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
