"""A cancel meets an order in any state, at any moment of its creation: it goes, and nothing of it starts."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import pytest

from rs_order.actions.retry_order import RetryOrderStep
from rs_order.core.concurrency import retry_on_conflict
from rs_order.core.shared_steps import CompleteOrderStep, ExpireOrderStep, ScheduleStep
from rs_order.domain.ids import DataFileId, OrderId
from rs_order.domain.states import OrderStatus
from rs_order.ports import FetchResult, FileOutcome, RemoteError, RemoteRejection, RemoteUnavailable
from rs_order.scheduling.restoration import AskAgainStep
from rs_order.store.pool import Pool
from tests.integration.app_harness import JANE, TENANT, AppHarness, one_file

FILES = ("a", "b", "c")
"""A page each; "c" is external."""
STEPS_OF_A_COMPLETION = len(FILES) + 2
"""A page per file, the empty one that ends the selection, and the end."""
COMMITS_THE_END = 2
"""Number of the unit of work, of those of the last step."""


@pytest.fixture
async def app(pool: Pool) -> AppHarness:
    """Pages of one product, and a storage that is given up after two days."""
    return AppHarness(pool, batch_size=1)


async def cancel(app: AppHarness, order: OrderId) -> None:
    """As the consumer does: begun again when another was faster."""
    await retry_on_conflict(lambda: app.application.orders.cancel.handle(TENANT, [order]))


async def new_order(app: AppHarness) -> OrderId:
    external = one_file("c", external=True)
    order = await app.order(products=[one_file("a"), one_file("b"), external])
    assert await app.status(order) == "PENDING"
    return order


class Sent:
    """What had been sent when an order went, and every step there was: they all come again afterwards."""

    def __init__(self, app: AppHarness, order: OrderId) -> None:
        self._app = app
        self._order = order
        self._steps: list[dict[str, Any]] = []
        self._asked: list[list[str]] = []
        self._told: list[tuple[str, int | None]] = []
        self._files: set[DataFileId] = set()

    async def note(self) -> None:
        self._steps += await self._app.steps()
        self._files |= {row["id"] for row in await self._app.rows("select id from data_file")}
        self._asked = await self._app.restore_requests()
        self._told = await self._app.responses_about(self._order)

    async def nothing_comes_of_it(self) -> None:
        """Whatever is left is done, twice, at its time; storage speaks, and a late download ends."""
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
        assert await app.restore_requests() == self._asked
        assert await app.responses_about(order) == self._told
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
union all select 'place of the service' from rs_order.running_sub_order
union all select 'mail' from mail
union all select 'file' from data_file
union all select 'waiting' from orders where waiting_sub_orders > 0
union all
select body from rs_order.outbox where kind = 'STEP' and body::jsonb ?| '{orderId,owner}'
"""
"""What an order that goes must not leave behind."""


@asynccontextmanager
async def gone_for_good(app: AppHarness, order: OrderId) -> AsyncIterator[Sent]:
    """The block cancels the order; afterwards nothing comes of it."""
    sent = Sent(app, order)
    await sent.note()
    yield sent
    await sent.nothing_comes_of_it()


# --- in any state


async def pending_in_trouble(app: AppHarness) -> OrderId:
    order = await new_order(app)
    app.catalog.error = RemoteUnavailable("rs-catalog", "is down")
    await app.run()
    app.catalog.error = None
    return order


async def read(app: AppHarness) -> OrderId:
    """Read to its end; none of it was asked of storage."""
    order = await new_order(app)
    await app.run(CompleteOrderStep)
    return order


async def asked(app: AppHarness) -> OrderId:
    order = await new_order(app)
    await app.run()
    return order


async def asked_again(app: AppHarness) -> OrderId:
    order = await asked(app)
    app.clock.move(hours=1)
    await app.run()
    return order


async def half_answered(app: AppHarness) -> OrderId:
    order = await asked(app)
    await app.storage_answers("a")
    return order


async def paused_in_its_completion(app: AppHarness) -> OrderId:
    order = await new_order(app)
    await app.run_one()
    await app.actions.pause(JANE, order)
    return order


async def paused(app: AppHarness) -> OrderId:
    order = await asked(app)
    await app.actions.pause(JANE, order)
    return order


async def done(app: AppHarness) -> OrderId:
    order = await asked(app)
    await app.storage_answers("a", "b")
    return order


async def downloaded(app: AppHarness) -> OrderId:
    order = await done(app)
    await app.downloaded(order, "a", "b", "c")
    return order


async def with_warning(app: AppHarness) -> OrderId:
    order = await asked(app)
    await app.storage_answers("a", b="tape is broken")
    return order


async def storage_silent(app: AppHarness) -> OrderId:
    order = await asked(app)
    app.clock.move(hours=49)
    await app.run(AskAgainStep)
    return order


async def failed(app: AppHarness) -> OrderId:
    order = await app.order("a", "b")
    await app.run()
    await app.storage_answers(a="tape is broken", b="tape is broken")
    return order


async def failed_in_its_completion(app: AppHarness) -> OrderId:
    """Its files are still there."""
    order = await new_order(app)
    await app.run_one()
    app.catalog.error = RemoteRejection("rs-catalog", 400, "no")
    await app.run_one()
    return order


async def retried(app: AppHarness) -> OrderId:
    """In the middle of it: a slice has moved, the other not."""
    order = await failed(app)
    await app.actions.retry(JANE, order)
    await app.run_one(RetryOrderStep)
    return order


async def paused_in_its_retry(app: AppHarness) -> OrderId:
    order = await retried(app)
    await app.actions.pause(JANE, order)
    return order


async def expired(app: AppHarness) -> OrderId:
    """Its files are still there."""
    order = await asked(app)
    app.clock.move(days=10)
    await app.run_one(ExpireOrderStep)
    return order


async def in_error(app: AppHarness) -> OrderId:
    """Nothing leads there but the hand of an operator."""
    order = await asked(app)
    await app.rows("update orders set status = 'ERROR' where id = $1", order)
    return order


STATES: dict[Callable[[AppHarness], Awaitable[OrderId]], OrderStatus] = {
    new_order: OrderStatus.PENDING,
    pending_in_trouble: OrderStatus.PENDING,
    read: OrderStatus.RUNNING,
    asked: OrderStatus.RUNNING,
    asked_again: OrderStatus.RUNNING,
    half_answered: OrderStatus.RUNNING,
    retried: OrderStatus.RUNNING,
    paused_in_its_completion: OrderStatus.PAUSED,
    paused: OrderStatus.PAUSED,
    paused_in_its_retry: OrderStatus.PAUSED,
    done: OrderStatus.DONE,
    downloaded: OrderStatus.DONE,
    with_warning: OrderStatus.DONE_WITH_WARNING,
    storage_silent: OrderStatus.DONE_WITH_WARNING,
    failed: OrderStatus.FAILED,
    failed_in_its_completion: OrderStatus.FAILED,
    expired: OrderStatus.EXPIRED,
    in_error: OrderStatus.ERROR,
}


def test_the_table_has_every_state_that_can_be_cancelled() -> None:
    """All but DELETED, which is what a cancel wants."""
    assert set(STATES.values()) == set(OrderStatus) - {OrderStatus.DELETED}


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
async def test_a_cancelled_order_is_deleted_whatever_its_state(
    state: Callable[[AppHarness], Awaitable[OrderId]],
    app: AppHarness,
) -> None:
    """The history says what it was and who wanted it; whatever was under way comes to nothing."""
    app.use_slices(retried_files=1)
    order = await state(app)
    before = STATES[state]

    assert await app.status(order) == before

    async with gone_for_good(app, order):
        await cancel(app, order)

    at_work = before in (OrderStatus.PENDING, OrderStatus.RUNNING)
    deleted = ("PAUSED" if at_work else before, "DELETED", "cancel-request", "amqp")
    paused_first = (before, "PAUSED", "cancel-request", "amqp")
    lines = await app.history(order)
    assert lines[-1] == deleted
    assert (lines[-2] == paused_first) == at_work


async def test_a_cancel_of_a_deleted_order_changes_nothing(app: AppHarness) -> None:
    """Nor does one that comes twice."""
    order = await done(app)
    await app.actions.delete(JANE, order)
    lines = await app.history(order)
    await cancel(app, order)
    await cancel(app, order)

    assert await app.history(order) == lines


async def test_a_cancel_of_an_order_that_is_not_there_yet_meets_nobody(app: AppHarness) -> None:
    """Its number is told with GRANTED, when it is there: nobody can mean the order that takes it later."""
    other = await new_order(app)
    await cancel(app, OrderId(other + 1))
    order = await new_order(app)
    await app.run()

    assert order == other + 1
    assert await app.status(order) == "RUNNING"


# --- at any moment of its creation


async def test_a_cancel_comes_between_two_steps_of_a_completion(app: AppHarness) -> None:
    """From right after the grant to right before the first schedule; the next step finds it gone."""
    for done_before in range(STEPS_OF_A_COMPLETION + 1):
        order = await new_order(app)
        for _ in range(done_before):
            assert await app.run_one(CompleteOrderStep)
        async with gone_for_good(app, order) as sent:
            await cancel(app, order)
            await sent.note()

        completed = done_before == STEPS_OF_A_COMPLETION
        assert [status for status, _ in await app.responses_about(order)] == [
            "SUBORDER_DONE"
        ] * completed


@pytest.mark.parametrize(
    "answer",
    [None, RemoteUnavailable("rs-catalog", "is down"), RemoteRejection("rs-catalog", 400, "no")],
    ids=["a page", "trouble", "a refusal"],
)
async def test_a_cancel_comes_while_the_catalog_is_asked_for_a_page(
    answer: RemoteError | None, app: AppHarness
) -> None:
    """The first, those in the middle, and the empty one: whatever the answer, it is thrown away."""
    for page in range(len(FILES) + 1):
        order = await new_order(app)
        for _ in range(page):
            await app.run_one(CompleteOrderStep)
        async with gone_for_good(app, order):
            may_answer = app.catalog.hold()
            app.catalog.reached.clear()
            step = asyncio.create_task(app.run_one(CompleteOrderStep))
            await app.catalog.reached.wait()
            await cancel(app, order)
            app.catalog.error = answer
            may_answer.set()
            await step
            app.catalog.error = None


async def test_a_cancel_comes_while_a_completion_is_about_to_end(
    app: AppHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the question whether everything is read and the commit that says so."""
    order = await new_order(app)
    for _ in range(STEPS_OF_A_COMPLETION - 1):
        await app.run_one()
    store, reached, may_go = type(app.store), asyncio.Event(), asyncio.Event()
    opened, calls = store.unit_of_work, count(1)

    @asynccontextmanager
    async def second_held(*arguments: Any) -> AsyncIterator[Any]:
        if next(calls) == COMMITS_THE_END:
            reached.set()
            await may_go.wait()
        async with opened(*arguments) as uow:
            yield uow

    monkeypatch.setattr(store, "unit_of_work", second_held)
    async with gone_for_good(app, order):
        step = asyncio.create_task(app.run_one())
        await reached.wait()
        await cancel(app, order)
        may_go.set()
        await step

    assert await app.responses_about(order) == []


# --- at once with something else

OTHERS: dict[str, Callable[[AppHarness, OrderId], Awaitable[Any]]] = {
    "a schedule": lambda app, _: app.run_one(ScheduleStep),
    "the end of its completion": lambda app, _: app.run_one(CompleteOrderStep),
    "an answer of storage": lambda app, _: app.storage_answers("a", "b"),
    "a download": lambda app, order: app.downloaded(order, "c"),
    "another cancel": cancel,
}


@pytest.mark.parametrize("other", OTHERS)
async def test_a_cancel_comes_at_once_with_something_else(other: str, app: AppHarness) -> None:
    """Whoever is faster: the order goes, and only what the other had done before stays told."""
    ending = other == "the end of its completion"
    for cancel_first in (True, False):
        order = await new_order(app)
        for _ in range(STEPS_OF_A_COMPLETION - ending):
            await app.run_one(CompleteOrderStep)
        if other in ("an answer of storage", "a download"):
            await app.run_one(ScheduleStep)
        sent = Sent(app, order)
        await sent.note()
        await asyncio.gather(*_both(app, order, other, cancel_first=cancel_first))
        await sent.note()
        await sent.nothing_comes_of_it()

        assert [line[1] for line in await app.history(order)].count("DELETED") == 1


def _both(
    app: AppHarness, order: OrderId, other: str, *, cancel_first: bool
) -> Sequence[Awaitable[Any]]:
    both = [cancel(app, order), retry_on_conflict(lambda: OTHERS[other](app, order))]
    return both if cancel_first else both[::-1]
