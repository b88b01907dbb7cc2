"""Reads the files of orders from the catalog, one page per step (domain.md 4.3 to 4.8).

Each step asks the catalog for one page. Then it puts the files into sub-orders, moves the cursor and
writes the next step, in one commit. Small pages of different orders of a tenant are added in one commit. A
step that doesn't match the cursor was done before and does nothing. A step whose order is paused, deleted
or expired does nothing either (W9).
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from rs_order.completion.add_pages import AddPages, ReadPage, expires_at, is_next, locked_orders
from rs_order.completion.read_page import CompletionFailed, PageReader
from rs_order.concurrency import as_they_end, together
from rs_order.core import responses
from rs_order.core.links import Links
from rs_order.core.shared_steps import CompleteOrderStep, DeleteFilesStep
from rs_order.domain.ids import Tenant
from rs_order.domain.moves import Reason
from rs_order.domain.retry import RetryPolicy
from rs_order.domain.selection import DatasetSelection
from rs_order.domain.states import FileCounters, OrderStatus
from rs_order.ports import Clock, RemoteRejection, RemoteUnavailable
from rs_order.store.completions import CompletionPosition
from rs_order.store.unit_of_work import Store

PRODUCTS_TOGETHER: Final = 1000
"""The most products of small pages that are read and added together. A larger page is added by itself."""
READINGS: Final = 16
"""Large pages, or groups of small ones, that are held at the same time by this process, of all tenants."""
SMALL_COMMITS: Final = 3
"""Commits with small pages at the same time. What waits gathers in larger groups, and new requests are
answered before orders are filled: their senders wait for the answer."""
PAGES_AT_ONCE: Final = 8
"""Pages of a group that the catalog is asked for at the same time."""
COMMIT_EVERY_SECONDS: Final = 0.2
"""The longest time that a page which is slow to read delays the others of its group."""

_S = TypeVar("_S")


@dataclass(frozen=True, slots=True)
class _ToRead:
    """A step whose page is read next."""

    step: CompleteOrderStep
    at: CompletionPosition
    selection: DatasetSelection


class CompleteOrders:
    """Handles the steps of completions."""

    def __init__(
        self,
        store: Store,
        reader: PageReader,
        adding: AddPages,
        *,
        links: Links,
        clock: Clock,
        retries: RetryPolicy,
    ) -> None:
        self._store = store
        self._reader = reader
        self._adding = adding
        self._links = links
        self._clock = clock
        self._retries = retries
        self._readings = asyncio.Semaphore(READINGS)
        self._small_commits = asyncio.Semaphore(SMALL_COMMITS)

    async def handle(self, tenant: Tenant, steps: Sequence[CompleteOrderStep]) -> None:
        """Add the pages of steps to their orders, and finish the completions after their last pages."""
        found = await self._store.completion_positions(
            tenant, [(step.order_id, step.selection) for step in steps]
        )
        positions = ((step, found.get((step.order_id, step.selection))) for step in steps)
        due = [
            (step, at)
            for step, at in positions
            if at is not None and is_next(at.order, at.cursor, step)
        ]
        to_read = [_ToRead(step, at, at.selection) for step, at in due if at.selection is not None]
        await together(
            [
                *(self._finish(tenant, step) for step, at in due if at.selection is None),
                *(
                    self._read_and_add(tenant, some)
                    for some in _groups(to_read, _expected_products)
                ),
            ]
        )

    async def _read_and_add(self, tenant: Tenant, to_read: Sequence[_ToRead]) -> None:
        """Read pages, and add them to their orders as they come."""
        at_once = asyncio.Semaphore(PAGES_AT_ONCE)
        async with self._readings:
            reading = [asyncio.create_task(self._read(tenant, one, at_once)) for one in to_read]
            try:
                async for done in as_they_end(reading, every=COMMIT_EVERY_SECONDS):
                    pages = [page for task in done if (page := task.result()) is not None]
                    for some in _groups(pages, _products):
                        await self._add(tenant, some)
            finally:
                for task in reading:
                    task.cancel()

    async def _read(
        self, tenant: Tenant, to_read: _ToRead, at_once: asyncio.Semaphore
    ) -> ReadPage | None:
        """Read the page of a step. If that fails, decide what becomes of the order, and return None."""
        step, at, selection = to_read.step, to_read.at, to_read.selection
        try:
            async with at_once:
                page = await self._reader.read(
                    tenant,
                    at.order,
                    selection,
                    step.page,
                    reading=at.cursor.reading,
                    process=at.cursor.processed.process if at.cursor.processed else None,
                )
        except CompletionFailed as failure:
            await self._fail(tenant, step, str(failure))
        except RemoteRejection as error:
            await self._fail(tenant, step, self._reader.explain(error, selection))
        except RemoteUnavailable as error:
            await self._wait(tenant, step, error, selection)
        else:
            return ReadPage(step, selection, page, at.follows)
        return None

    async def _add(self, tenant: Tenant, pages: Sequence[ReadPage]) -> None:
        """Add pages to their orders in one commit."""
        is_large = sum(map(_products, pages)) >= PRODUCTS_TOGETHER
        try:
            async with (
                nullcontext() if is_large else self._small_commits,
                self._store.unit_of_work(tenant) as uow,
            ):
                await self._adding.add(uow, pages)
        except CompletionFailed as failure:  # of a process, whose page is alone
            await self._fail(tenant, pages[0].step, str(failure))

    async def _finish(self, tenant: Tenant, step: CompleteOrderStep) -> None:
        """Finish the completion in a commit of its own."""
        async with self._store.unit_of_work(tenant) as uow:
            await self._adding.finish(uow, step)

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
            locked = await locked_orders(uow, [step])
            if not locked:
                return
            _, cursor = locked[step]
            since = cursor.unavailable_since or now
            exhausted = self._retries.exhausted(since, now)
            if not exhausted:
                due = now + self._retries.pause(cursor.attempts + 1)
                waiting = replace(cursor, attempts=cursor.attempts + 1, unavailable_since=since)
                await uow.completions.advance({step.order_id: waiting})
                await uow.messages.send([step.to(tenant, due)])
        if exhausted:
            await self._fail(tenant, step, self._reader.explain(error, selection))

    async def _fail(self, tenant: Tenant, step: CompleteOrderStep, message: str) -> None:
        """Fail the order, and delete the files and sub-orders that were added so far (4.10, W6)."""
        now = self._clock.now()
        async with self._store.unit_of_work(tenant) as uow:
            locked = await locked_orders(uow, [step])
            if not locked:
                return
            order, _ = locked[step]
            order.expires_at = expires_at(order, now, await uow.settings(), 0)
            order.message = message
            order.counters, order.sub_orders, order.waiting_sub_orders = FileCounters(), 0, 0
            order.move(OrderStatus.FAILED, reason=Reason.COMPLETION_FAILED)
            await uow.completions.forget_counts(step.order_id)
            await uow.completions.finish([step.order_id])
            await uow.orders.save([order], now)
            link = (await self._links.within(uow)).of(order.id)
            await uow.messages.respond([responses.order_ended(tenant, order, link)])
            await uow.messages.send([DeleteFilesStep(step.order_id).to(tenant)])


def _groups(some: Iterable[_S], products: Callable[[_S], int]) -> list[list[_S]]:
    """Divide steps or pages into groups that are small enough to be done together."""
    groups: list[list[_S]] = []
    left = 0
    for one in sorted(some, key=products):
        size = max(products(one), 1)
        if size > left:
            groups.append([])
            left = PRODUCTS_TOGETHER
        groups[-1].append(one)
        left -= size
    return groups


def _expected_products(to_read: _ToRead) -> int:
    """Return the most products that the page should have. One of a process is added by itself."""
    selection = to_read.selection
    return PRODUCTS_TOGETHER if selection.process else selection.products


def _products(page: ReadPage) -> int:
    """Return the products of a page. One of a process is added by itself."""
    return PRODUCTS_TOGETHER if page.page.process else len(page.page.products)
