"""An order can be cancelled in any state and at any moment of its creation. Then nothing of it starts."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import count
from typing import Any

import pytest

from rs_order.actions.retry_order import RetryOrderStep
from rs_order.app import features
from rs_order.app.mails import mails
from rs_order.core.shared_steps import (
    AskAgainStep,
    CompleteOrderStep,
    ExpireOrderStep,
    ScheduleStep,
)
from rs_order.core.steps import StepRegistry, read_step
from rs_order.domain.ids import DataFileId, OrderId, Tenant
from rs_order.domain.states import OrderStatus
from rs_order.ports import FetchResult, FileOutcome, RemoteError, RemoteRejection, RemoteUnavailable
from rs_order.store.pool import Pool
from rs_order.store.unit_of_work import Store, UnitOfWork, retry_on_conflict
from tests.integration.app_harness import JANE, TENANT, AppHarness, one_file

FILES = ("a", "b", "c")
"""One page each; "c" is external."""
STEPS_OF_A_COMPLETION = len(FILES)
"""A page per file. The step of the last one ends the completion."""


@pytest.fixture
async def app(pool: Pool) -> AppHarness:
    """Pages have one product; storage times out after two days."""
    return AppHarness(pool, batch_size=1)


async def cancel(app: AppHarness, order: OrderId) -> None:
    """Cancel as the consumer does: start again after a conflict."""
    await retry_on_conflict(lambda: app.application.orders.cancel.handle(TENANT, [order]))


async def new_order(app: AppHarness) -> OrderId:
    external = one_file("c", external=True)
    order = await app.order(products=[one_file("a"), one_file("b"), external])
    assert await app.status(order) == "PENDING"
    return order


class Replay:
    """Records the messages and steps of an order, and runs all steps again after the order was cancelled."""

    def __init__(self, app: AppHarness, order: OrderId) -> None:
        self._app = app
        self._order = order
        self._steps: list[dict[str, Any]] = []
        self._restore_requests: list[list[str]] = []
        self._responses: list[tuple[str, int | None]] = []
        self._files: set[DataFileId] = set()

    async def record(self) -> None:
        self._steps += await self._app.steps()
        self._files |= {row["id"] for row in await self._app.rows("select id from data_file")}
        self._restore_requests = await self._app.restore_requests()
        self._responses = await self._app.responses_about(self._order)

    async def changes_nothing(self) -> None:
        """Run each step twice, also when delayed ones are due; storage answers, and late downloads end."""
        app, order = self._app, self._order
        await self._late_downloads()
        for step in self._steps:
            await app.do(step)
        await app.run()
        await app.storage_answers("a", b="tape is broken")
        await self._late_downloads()
        app.clock.move(days=10)
        for step in self._steps:
            await app.do(step)
        await app.run()

        assert await app.status(order) == "DELETED"
        assert await app.restore_requests() == self._restore_requests
        assert await app.responses_about(order) == self._responses
        assert await app.files(order) == {}
        assert await app.sub_orders(order) == []
        assert await app.rows(_LEFT) == []
        assert await app.miscounted() == []

    async def _late_downloads(self) -> None:
        outcomes = [FileOutcome(id_, FetchResult.DOWNLOADED) for id_ in sorted(self._files)]
        await self._app.application.settle_downloads.handle(TENANT, self._order, outcomes)


_LEFT = """
select 'completion' from completion
union all select 'retry' from retry
union all select 'capacity' from rs_order.running_sub_order
union all select 'mail' from mail
union all select 'file' from data_file
union all select 'waiting' from orders where waiting_sub_orders > 0
union all
select body from rs_order.outbox where kind = 'STEP' and body::jsonb ?| '{orderId,owner}'
"""
"""Rows that a cancelled order must not leave behind."""


@asynccontextmanager
async def stays_cancelled(app: AppHarness, order: OrderId) -> AsyncIterator[Replay]:
    """Assert that the order, which the block cancels, stays deleted when all its steps run again."""
    replay = Replay(app, order)
    await replay.record()
    yield replay
    await replay.changes_nothing()


# --- in any state


async def pending_while_the_catalog_is_down(app: AppHarness) -> OrderId:
    order = await new_order(app)
    app.catalog.error = RemoteUnavailable("rs-catalog", "is down")
    await app.run()
    app.catalog.error = None
    return order


async def read(app: AppHarness) -> OrderId:
    """All pages are read; storage has no request yet."""
    order = await new_order(app)
    await app.run(CompleteOrderStep)
    return order


async def requested(app: AppHarness) -> OrderId:
    order = await new_order(app)
    await app.run()
    return order


async def requested_again(app: AppHarness) -> OrderId:
    order = await requested(app)
    app.clock.move(hours=1)
    await app.run()
    return order


async def half_answered(app: AppHarness) -> OrderId:
    order = await requested(app)
    await app.storage_answers("a")
    return order


async def paused_in_its_completion(app: AppHarness) -> OrderId:
    order = await new_order(app)
    await app.run_one()
    await app.actions.pause(JANE, order)
    return order


async def paused(app: AppHarness) -> OrderId:
    order = await requested(app)
    await app.actions.pause(JANE, order)
    return order


async def done(app: AppHarness) -> OrderId:
    order = await requested(app)
    await app.storage_answers("a", "b")
    return order


async def downloaded(app: AppHarness) -> OrderId:
    order = await done(app)
    await app.downloaded(order, "a", "b", "c")
    return order


async def with_warning(app: AppHarness) -> OrderId:
    order = await requested(app)
    await app.storage_answers("a", b="tape is broken")
    return order


async def storage_timed_out(app: AppHarness) -> OrderId:
    order = await requested(app)
    app.clock.move(hours=49)
    await app.run(AskAgainStep)
    return order


async def failed(app: AppHarness) -> OrderId:
    order = await app.order("a", "b")
    await app.run()
    await app.storage_answers(a="tape is broken", b="tape is broken")
    return order


async def failed_in_its_completion(app: AppHarness) -> OrderId:
    """Its files are not deleted yet."""
    order = await new_order(app)
    await app.run_one(CompleteOrderStep)
    app.catalog.error = RemoteRejection("rs-catalog", 400, "no")
    await app.run_one(CompleteOrderStep)
    return order


async def retried(app: AppHarness) -> OrderId:
    """One slice of its files is retried, the other not yet."""
    order = await failed(app)
    await app.actions.retry(JANE, order)
    await app.run_one(RetryOrderStep)
    return order


async def paused_in_its_retry(app: AppHarness) -> OrderId:
    order = await retried(app)
    await app.actions.pause(JANE, order)
    return order


async def expired(app: AppHarness) -> OrderId:
    """Its files are not deleted yet."""
    order = await requested(app)
    app.clock.move(days=10)
    await app.run_one(ExpireOrderStep)
    return order


async def in_error(app: AppHarness) -> OrderId:
    """Only an operator can set this status, in the database."""
    order = await requested(app)
    await app.rows("update orders set status = 'ERROR' where id = $1", order)
    return order


STATES: dict[Callable[[AppHarness], Awaitable[OrderId]], OrderStatus] = {
    new_order: OrderStatus.PENDING,
    pending_while_the_catalog_is_down: OrderStatus.PENDING,
    read: OrderStatus.RUNNING,
    requested: OrderStatus.RUNNING,
    requested_again: OrderStatus.RUNNING,
    half_answered: OrderStatus.RUNNING,
    retried: OrderStatus.RUNNING,
    paused_in_its_completion: OrderStatus.PAUSED,
    paused: OrderStatus.PAUSED,
    paused_in_its_retry: OrderStatus.PAUSED,
    done: OrderStatus.DONE,
    downloaded: OrderStatus.DONE,
    with_warning: OrderStatus.DONE_WITH_WARNING,
    storage_timed_out: OrderStatus.DONE_WITH_WARNING,
    failed: OrderStatus.FAILED,
    failed_in_its_completion: OrderStatus.FAILED,
    expired: OrderStatus.EXPIRED,
    in_error: OrderStatus.ERROR,
}


def test_the_table_has_every_state_that_can_be_cancelled() -> None:
    """All but DELETED, which is the result of a cancel."""
    assert set(STATES.values()) == set(OrderStatus) - {OrderStatus.DELETED}


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
async def test_a_cancelled_order_is_deleted_whatever_its_state(
    state: Callable[[AppHarness], Awaitable[OrderId]],
    app: AppHarness,
) -> None:
    """The history has its last status and the reason; work in progress has no effect any more."""
    app.use_slices(retried_files=1)
    order = await state(app)
    before = STATES[state]

    assert await app.status(order) == before

    async with stays_cancelled(app, order):
        await cancel(app, order)

    active = before in (OrderStatus.PENDING, OrderStatus.RUNNING)
    deleted = ("PAUSED" if active else before, "DELETED", "cancel-request", "amqp")
    paused_first = (before, "PAUSED", "cancel-request", "amqp")
    lines = await app.history(order)
    assert lines[-1] == deleted
    assert (lines[-2] == paused_first) == active


async def test_a_cancel_of_a_deleted_order_changes_nothing(app: AppHarness) -> None:
    """Nor does a second one."""
    order = await done(app)
    await app.actions.delete(JANE, order)
    lines = await app.history(order)
    await cancel(app, order)
    await cancel(app, order)

    assert await app.history(order) == lines


async def test_a_cancel_of_an_order_that_does_not_exist_yet_is_ignored(app: AppHarness) -> None:
    """A peer learns the id with GRANTED, so such a cancel can't mean the order that gets the id later."""
    other = await new_order(app)
    await cancel(app, OrderId(other + 1))
    order = await new_order(app)
    await app.run()

    assert order == other + 1
    assert await app.status(order) == "RUNNING"


# --- at any moment of its creation


async def test_a_cancel_comes_between_two_steps_of_a_completion(app: AppHarness) -> None:
    """From right after the grant to right before the first schedule; the next step finds no active order."""
    for done_before in range(STEPS_OF_A_COMPLETION + 1):
        order = await new_order(app)
        for _ in range(done_before):
            assert await app.run_one(CompleteOrderStep)
        async with stays_cancelled(app, order) as replay:
            await cancel(app, order)
            await replay.record()

        completed = done_before == STEPS_OF_A_COMPLETION
        assert [status for status, _ in await app.responses_about(order)] == [
            "SUBORDER_DONE"
        ] * completed


@pytest.mark.parametrize(
    "answer",
    [None, RemoteUnavailable("rs-catalog", "is down"), RemoteRejection("rs-catalog", 400, "no")],
    ids=["a page", "unavailable", "rejected"],
)
async def test_a_cancel_comes_while_the_catalog_is_asked_for_a_page(
    answer: RemoteError | None, app: AppHarness
) -> None:
    """The answer is ignored, for the first page, those in the middle, and the last one."""
    for page in range(len(FILES)):
        order = await new_order(app)
        for _ in range(page):
            await app.run_one(CompleteOrderStep)
        async with stays_cancelled(app, order):
            may_answer = app.catalog.hold()
            app.catalog.reached.clear()
            step = asyncio.create_task(app.run_one(CompleteOrderStep))
            await app.catalog.reached.wait()
            await cancel(app, order)
            app.catalog.error = answer
            may_answer.set()
            await step
            app.catalog.error = None


class StoreThatWaits(Store):
    """A store whose first unit of work waits before it begins."""

    def __init__(self, pool: Pool) -> None:
        super().__init__(pool, lambda _: None)
        self._units = count(1)
        self.reached = asyncio.Event()
        """Set when the first unit of work waits."""
        self.may_continue = asyncio.Event()

    @asynccontextmanager
    async def unit_of_work(
        self, tenant: Tenant, *, schedules: str | None = None
    ) -> AsyncIterator[UnitOfWork]:
        if next(self._units) == 1:
            self.reached.set()
            await self.may_continue.wait()
        async with super().unit_of_work(tenant, schedules=schedules) as unit:
            yield unit


async def test_a_cancel_comes_while_a_completion_is_about_to_end(
    app: AppHarness, pool: Pool
) -> None:
    """The last step has read its position, and ends the completion in its unit of work."""
    order = await new_order(app)
    for _ in range(STEPS_OF_A_COMPLETION - 1):
        await app.run_one()
    store = StoreThatWaits(pool)
    shared = replace(app.application.shared, store=store, steps=StepRegistry())
    features.completion(shared, mails(shared))
    (last,) = await app.steps(CompleteOrderStep)
    async with stays_cancelled(app, order):
        step = asyncio.create_task(shared.steps.handle(TENANT, read_step(CompleteOrderStep, last)))
        await store.reached.wait()
        await cancel(app, order)
        store.may_continue.set()
        await step

    assert await app.responses_about(order) == []


# --- at the same time as something else

OTHERS: dict[str, Callable[[AppHarness, OrderId], Awaitable[Any]]] = {
    "a schedule": lambda app, _: app.run_one(ScheduleStep),
    "the end of its completion": lambda app, _: app.run_one(CompleteOrderStep),
    "an answer of storage": lambda app, _: app.storage_answers("a", "b"),
    "a download": lambda app, order: app.downloaded(order, "c"),
    "another cancel": cancel,
}


@pytest.mark.parametrize("other", OTHERS)
async def test_a_cancel_comes_at_the_same_time_as_something_else(
    other: str, app: AppHarness
) -> None:
    """The order is deleted whichever is faster; only responses sent before the cancel remain."""
    ending = other == "the end of its completion"
    for cancel_first in (True, False):
        order = await new_order(app)
        for _ in range(STEPS_OF_A_COMPLETION - ending):
            await app.run_one(CompleteOrderStep)
        if other in ("an answer of storage", "a download"):
            await app.run_one(ScheduleStep)
        replay = Replay(app, order)
        await replay.record()
        await asyncio.gather(*_both(app, order, other, cancel_first=cancel_first))
        await replay.record()
        await replay.changes_nothing()

        assert [line[1] for line in await app.history(order)].count("DELETED") == 1


def _both(
    app: AppHarness, order: OrderId, other: str, *, cancel_first: bool
) -> Sequence[Awaitable[Any]]:
    both = [cancel(app, order), retry_on_conflict(lambda: OTHERS[other](app, order))]
    return both if cancel_first else both[::-1]
