"""Small pages of several orders are added in one commit, and each order gets what is its own."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from rs_order.completion import complete_order
from rs_order.core.shared_steps import CompleteOrderStep, ScheduleStep
from rs_order.domain.files import Product
from rs_order.domain.ids import OrderId
from rs_order.ports import FoundPage, RemoteRejection, RemoteUnavailable
from rs_order.store.pool import Pool
from tests.integration.app_harness import TENANT, AppHarness, one_file
from tests.support.counting import counted
from tests.support.polling import eventually
from tests.support.rows import OWNER
from tests.support.stores import MigratedDatabases

Answer = Callable[[], Awaitable[FoundPage]]


async def test_the_number_of_statements_is_that_of_one_order(
    migrated_databases: MigratedDatabases,
) -> None:
    """All orders of a group are locked, filled, finished and saved by the same statements."""
    async with migrated_databases.pool(TENANT, size=1) as (pool, _):
        app = AppHarness(pool)
        for _ in range(2):  # the driver reads the types, and reminders begin
            await complete(app, await new_orders(app, 1))
        one, many = await new_orders(app, 1), await new_orders(app, 20)
        async with counted(pool) as of_one:
            await complete(app, one)
        async with counted(pool) as of_many:
            await complete(app, many)
        running = [await app.status(order) for order in many]

    assert running == ["RUNNING"] * 20
    assert of_many == of_one


async def test_each_order_has_its_own_outcome(app: AppHarness) -> None:
    """Orders that the catalog rejects or doesn't answer, an empty and a deleted one fail no other."""
    orders = await new_orders(app, 6)
    deleted, stored, external, rejected, unanswered, empty = orders
    await app.application.orders.cancel.handle(TENANT, [deleted])
    answer(
        app,
        page(one_file("a"), one_file("b", size=None)),
        page(one_file("c", external=True)),
        error(RemoteRejection("rs-catalog", 400, "no")),
        error(RemoteUnavailable("rs-catalog", "is down")),
        page(),
    )
    await complete(app, orders)

    assert {order: await app.status(order) for order in orders} == {
        deleted: "DELETED",
        stored: "RUNNING",
        external: "DONE",
        rejected: "FAILED",
        unanswered: "PENDING",
        empty: "DONE_WITH_WARNING",
    }
    assert set(await app.files(stored)) == {"a", "b"}
    assert await app.files(external) == {"c": "AVAILABLE"}
    assert await app.responses_about(external) == [("SUBORDER_DONE", 1), ("DONE", 1)]
    assert await app.responses_about(empty) == [("FAILED", 0)]
    assert await app.responses_about(stored) == await app.responses_about(unanswered) == []
    assert await app.steps(ScheduleStep) == [ScheduleStep(OWNER).to(TENANT).body]
    assert await app.rows("select order_id from completion") == [{"order_id": unanswered}]
    assert await app.miscounted() == []


async def test_a_group_that_comes_again_changes_nothing(app: AppHarness) -> None:
    orders = await new_orders(app, 3)
    await complete(app, orders)
    before = await app.rows("select * from orders order by id")
    await complete(app, orders)

    assert await app.rows("select * from orders order by id") == before
    assert await app.rows("select count(*) as files from data_file") == [{"files": 3}]
    assert await app.miscounted() == []


async def test_a_page_that_is_slow_to_read_delays_no_other(
    app: AppHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(complete_order, "COMMIT_EVERY_SECONDS", 0.01)
    slow, fast = await new_orders(app, 2)
    may_answer = asyncio.Event()

    async def slowly() -> FoundPage:
        await may_answer.wait()
        return FoundPage((one_file("a"),), 1)

    answer(app, slowly, page(one_file("b")))
    completing = asyncio.create_task(complete(app, [slow, fast]))
    await eventually(lambda: has_status(app, fast, "RUNNING"), "the other order is complete")

    assert await app.status(slow) == "PENDING"

    may_answer.set()
    await completing

    assert await app.status(slow) == "RUNNING"


async def test_large_pages_are_added_by_themselves(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two pages of one product each are together, one of three isn't, and goes on after its first page."""
    monkeypatch.setattr(complete_order, "PRODUCTS_TOGETHER", 2)
    app = AppHarness(pool, batch_size=3)
    orders = await new_orders(app, 3)
    small, large = [one_file("a")], [one_file(name) for name in "bcd"]
    answer(app, page(*small), page(*large, total=4), page(*small))
    await complete(app, orders)

    assert [await app.status(order) for order in orders] == ["RUNNING", "PENDING", "RUNNING"]
    assert await app.steps(CompleteOrderStep) == [
        CompleteOrderStep(orders[1], selection=0, page=1).to(TENANT).body
    ]
    assert await app.miscounted() == []


def page(*products: Product, total: int | None = None) -> Answer:
    async def found() -> FoundPage:
        return FoundPage(products, len(products) if total is None else total)

    return found


def error(error: Exception) -> Answer:
    async def raised() -> FoundPage:
        raise error

    return raised


def answer(app: AppHarness, *answers: Answer) -> None:
    """Let the catalog give these answers, one after the other."""
    left = iter(answers)

    async def search(*_: Any, **__: Any) -> FoundPage:
        return await next(left)()

    app.catalog.search = search  # type: ignore[method-assign]  # of this test only


async def new_orders(app: AppHarness, number: int) -> list[OrderId]:
    return [await app.order("a") for _ in range(number)]


async def complete(app: AppHarness, orders: Sequence[OrderId]) -> None:
    """Do the first steps of orders together, and take them from the outbox."""
    await app.rows(
        "delete from rs_order.outbox where body::json ->> 'step' = $1", CompleteOrderStep.name
    )
    steps = [CompleteOrderStep(order, selection=0, page=0) for order in orders]
    await app.application.shared.steps.handle(TENANT, *steps)


async def has_status(app: AppHarness, order: OrderId, status: str) -> bool:
    return await app.status(order) == status
