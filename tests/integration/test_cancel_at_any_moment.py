"""A cancel meets an order in any state, at any moment of its creation: it goes, and nothing of it starts."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import pytest

from rs_order.application.act import RetryOrderStep, retry_order
from rs_order.application.ask_storage import AskAgainStep
from rs_order.application.conflicts import without_conflict
from rs_order.application.steps import CompleteOrderStep, ExpireOrderStep, ScheduleStep
from rs_order.domain.ids import DataFileId, OrderId
from rs_order.domain.states import OrderStatus
from rs_order.ports.downloads import FetchResult, FileOutcome
from rs_order.ports.errors import RemoteError, RemoteRefusal, RemoteTrouble
from rs_order.store.pool import Pool
from tests.integration.workshop import JANE, TENANT, Workshop, one_file

FILES = ("a", "b", "c")
"""A page each; "c" is external."""
STEPS_OF_A_COMPLETION = len(FILES) + 2
"""A page per file, the empty one that ends the selection, and the end."""
COMMITS_THE_END = 2
"""Number of the unit of work, of those of the last step."""


@pytest.fixture
async def shop(pool: Pool) -> Workshop:
    """Pages of one product, and a storage that is given up after two days."""
    return Workshop(pool, batch_size=1)


async def cancel(shop: Workshop, order: OrderId) -> None:
    """As the consumer does: begun again when another was faster."""
    await without_conflict(lambda: shop.application.cancel.handle(TENANT, [order]))


async def new_order(shop: Workshop) -> OrderId:
    external = one_file("c", external=True)
    order = await shop.order(products=[one_file("a"), one_file("b"), external])
    assert await shop.status(order) == "PENDING"
    return order


class Sent:
    """What had been sent when an order went, and every step there was: they all come again afterwards."""

    def __init__(self, shop: Workshop, order: OrderId) -> None:
        self._shop = shop
        self._order = order
        self._steps: list[dict[str, Any]] = []
        self._asked: list[list[str]] = []
        self._told: list[tuple[str, int | None]] = []
        self._files: set[DataFileId] = set()

    async def note(self) -> None:
        self._steps += await self._shop.steps()
        self._files |= {row["id"] for row in await self._shop.rows("select id from data_file")}
        self._asked = await self._shop.asked()
        self._told = await self._shop.told(self._order)

    async def nothing_comes_of_it(self) -> None:
        """Whatever is left is done, twice, at its time; storage speaks, and a late download ends."""
        shop, order = self._shop, self._order
        await self._late_downloads()
        for step in self._steps:
            await shop.do(step)
        await shop.run()
        await shop.storage_says("a", b="tape is broken")
        await self._late_downloads()
        shop.clock.move(days=10)
        for step in self._steps:
            await shop.do(step)
        await shop.run()

        assert await shop.status(order) == "DELETED"
        assert await shop.asked() == self._asked
        assert await shop.told(order) == self._told
        assert await shop.files(order) == {}
        assert await shop.sub_orders(order) == []
        assert await shop.rows(_LEFT) == []
        assert await shop.miscounted() == []

    async def _late_downloads(self) -> None:
        outcomes = [FileOutcome(id_, FetchResult.DOWNLOADED) for id_ in sorted(self._files)]
        await self._shop.application.settle_downloads.handle(TENANT, self._order, outcomes)


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
async def gone_for_good(shop: Workshop, order: OrderId) -> AsyncIterator[Sent]:
    """The block cancels the order; afterwards nothing comes of it."""
    sent = Sent(shop, order)
    await sent.note()
    yield sent
    await sent.nothing_comes_of_it()


# --- in any state


async def pending_in_trouble(shop: Workshop) -> OrderId:
    order = await new_order(shop)
    shop.shelf.trouble = RemoteTrouble("rs-catalog", "is down")
    await shop.run()
    shop.shelf.trouble = None
    return order


async def read(shop: Workshop) -> OrderId:
    """Read to its end; none of it was asked of storage."""
    order = await new_order(shop)
    await shop.run(CompleteOrderStep)
    return order


async def asked(shop: Workshop) -> OrderId:
    order = await new_order(shop)
    await shop.run()
    return order


async def asked_again(shop: Workshop) -> OrderId:
    order = await asked(shop)
    shop.clock.move(hours=1)
    await shop.run()
    return order


async def half_answered(shop: Workshop) -> OrderId:
    order = await asked(shop)
    await shop.storage_says("a")
    return order


async def paused_in_its_completion(shop: Workshop) -> OrderId:
    order = await new_order(shop)
    await shop.run_one()
    await shop.actions.pause(JANE, order)
    return order


async def paused(shop: Workshop) -> OrderId:
    order = await asked(shop)
    await shop.actions.pause(JANE, order)
    return order


async def done(shop: Workshop) -> OrderId:
    order = await asked(shop)
    await shop.storage_says("a", "b")
    return order


async def downloaded(shop: Workshop) -> OrderId:
    order = await done(shop)
    await shop.downloaded(order, "a", "b", "c")
    return order


async def with_warning(shop: Workshop) -> OrderId:
    order = await asked(shop)
    await shop.storage_says("a", b="tape is broken")
    return order


async def storage_silent(shop: Workshop) -> OrderId:
    order = await asked(shop)
    shop.clock.move(hours=49)
    await shop.run(AskAgainStep)
    return order


async def failed(shop: Workshop) -> OrderId:
    order = await shop.order("a", "b")
    await shop.run()
    await shop.storage_says(a="tape is broken", b="tape is broken")
    return order


async def failed_in_its_completion(shop: Workshop) -> OrderId:
    """Its files are still there."""
    order = await new_order(shop)
    await shop.run_one()
    shop.shelf.trouble = RemoteRefusal("rs-catalog", 400, "no")
    await shop.run_one()
    return order


async def retried(shop: Workshop) -> OrderId:
    """In the middle of it: a slice has moved, the other not."""
    order = await failed(shop)
    await shop.actions.retry(JANE, order)
    await shop.run_one(RetryOrderStep)
    return order


async def paused_in_its_retry(shop: Workshop) -> OrderId:
    order = await retried(shop)
    await shop.actions.pause(JANE, order)
    return order


async def expired(shop: Workshop) -> OrderId:
    """Its files are still there."""
    order = await asked(shop)
    shop.clock.move(days=10)
    await shop.run_one(ExpireOrderStep)
    return order


async def in_error(shop: Workshop) -> OrderId:
    """Nothing leads there but the hand of an operator."""
    order = await asked(shop)
    await shop.rows("update orders set status = 'ERROR' where id = $1", order)
    return order


STATES: dict[Callable[[Workshop], Awaitable[OrderId]], OrderStatus] = {
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
    state: Callable[[Workshop], Awaitable[OrderId]],
    shop: Workshop,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The history says what it was and who wanted it; whatever was under way comes to nothing."""
    monkeypatch.setattr(retry_order, "SLICE", 1)
    order = await state(shop)
    before = STATES[state]

    assert await shop.status(order) == before

    async with gone_for_good(shop, order):
        await cancel(shop, order)

    at_work = before in (OrderStatus.PENDING, OrderStatus.RUNNING)
    deleted = ("PAUSED" if at_work else before, "DELETED", "cancel-request", "amqp")
    paused_first = (before, "PAUSED", "cancel-request", "amqp")
    lines = await shop.history(order)
    assert lines[-1] == deleted
    assert (lines[-2] == paused_first) == at_work


async def test_a_cancel_of_a_deleted_order_changes_nothing(shop: Workshop) -> None:
    """Nor does one that comes twice."""
    order = await done(shop)
    await shop.actions.delete(JANE, order)
    lines = await shop.history(order)
    await cancel(shop, order)
    await cancel(shop, order)

    assert await shop.history(order) == lines


async def test_a_cancel_of_an_order_that_is_not_there_yet_meets_nobody(shop: Workshop) -> None:
    """Its number is told with GRANTED, when it is there: nobody can mean the order that takes it later."""
    other = await new_order(shop)
    await cancel(shop, OrderId(other + 1))
    order = await new_order(shop)
    await shop.run()

    assert order == other + 1
    assert await shop.status(order) == "RUNNING"


# --- at any moment of its creation


async def test_a_cancel_comes_between_two_steps_of_a_completion(shop: Workshop) -> None:
    """From right after the grant to right before the first schedule; the next step finds it gone."""
    for done_before in range(STEPS_OF_A_COMPLETION + 1):
        order = await new_order(shop)
        for _ in range(done_before):
            assert await shop.run_one(CompleteOrderStep)
        async with gone_for_good(shop, order) as sent:
            await cancel(shop, order)
            await sent.note()

        completed = done_before == STEPS_OF_A_COMPLETION
        assert [status for status, _ in await shop.told(order)] == ["SUBORDER_DONE"] * completed


@pytest.mark.parametrize(
    "answer",
    [None, RemoteTrouble("rs-catalog", "is down"), RemoteRefusal("rs-catalog", 400, "no")],
    ids=["a page", "trouble", "a refusal"],
)
async def test_a_cancel_comes_while_the_catalog_is_asked_for_a_page(
    answer: RemoteError | None, shop: Workshop
) -> None:
    """The first, those in the middle, and the empty one: whatever the answer, it is thrown away."""
    for page in range(len(FILES) + 1):
        order = await new_order(shop)
        for _ in range(page):
            await shop.run_one(CompleteOrderStep)
        async with gone_for_good(shop, order):
            may_answer = shop.shelf.hold()
            shop.shelf.reached.clear()
            step = asyncio.create_task(shop.run_one(CompleteOrderStep))
            await shop.shelf.reached.wait()
            await cancel(shop, order)
            shop.shelf.trouble = answer
            may_answer.set()
            await step
            shop.shelf.trouble = None


async def test_a_cancel_comes_while_a_completion_is_about_to_end(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the question whether everything is read and the commit that says so."""
    order = await new_order(shop)
    for _ in range(STEPS_OF_A_COMPLETION - 1):
        await shop.run_one()
    store, reached, may_go = type(shop.store), asyncio.Event(), asyncio.Event()
    opened, calls = store.unit_of_work, count(1)

    @asynccontextmanager
    async def second_held(*arguments: Any) -> AsyncIterator[Any]:
        if next(calls) == COMMITS_THE_END:
            reached.set()
            await may_go.wait()
        async with opened(*arguments) as uow:
            yield uow

    monkeypatch.setattr(store, "unit_of_work", second_held)
    async with gone_for_good(shop, order):
        step = asyncio.create_task(shop.run_one())
        await reached.wait()
        await cancel(shop, order)
        may_go.set()
        await step

    assert await shop.told(order) == []


# --- at once with something else

OTHERS: dict[str, Callable[[Workshop, OrderId], Awaitable[Any]]] = {
    "a schedule": lambda shop, _: shop.run_one(ScheduleStep),
    "the end of its completion": lambda shop, _: shop.run_one(CompleteOrderStep),
    "an answer of storage": lambda shop, _: shop.storage_says("a", "b"),
    "a download": lambda shop, order: shop.downloaded(order, "c"),
    "another cancel": cancel,
}


@pytest.mark.parametrize("other", OTHERS)
async def test_a_cancel_comes_at_once_with_something_else(other: str, shop: Workshop) -> None:
    """Whoever is faster: the order goes, and only what the other had done before stays told."""
    ending = other == "the end of its completion"
    for cancel_first in (True, False):
        order = await new_order(shop)
        for _ in range(STEPS_OF_A_COMPLETION - ending):
            await shop.run_one(CompleteOrderStep)
        if other in ("an answer of storage", "a download"):
            await shop.run_one(ScheduleStep)
        sent = Sent(shop, order)
        await sent.note()
        await asyncio.gather(*_both(shop, order, other, cancel_first=cancel_first))
        await sent.note()
        await sent.nothing_comes_of_it()

        assert [line[1] for line in await shop.history(order)].count("DELETED") == 1


def _both(
    shop: Workshop, order: OrderId, other: str, *, cancel_first: bool
) -> Sequence[Awaitable[Any]]:
    both = [cancel(shop, order), without_conflict(lambda: OTHERS[other](shop, order))]
    return both if cancel_first else both[::-1]
