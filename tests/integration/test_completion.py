"""A completion adds whole pages, delays no other order, and ends with a message (domain.md 4)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import asyncpg
import pytest

from rs_order.completion import fill_sub_orders
from rs_order.core.shared_steps import CompleteOrderStep, ScheduleStep
from rs_order.domain.ids import OrderId
from rs_order.ports import BadResponse, RemoteRejection
from rs_order.store.pool import Pool
from tests.integration.app_harness import TENANT, AppHarness, one_file
from tests.support.polling import WAIT_SECONDS
from tests.support.rows import OWNER

LONG = "An explanation that takes its time. " * 10_000


@asynccontextmanager
async def failing(app: AppHarness, table: str) -> AsyncIterator[None]:
    """Make every insert into a table fail with an unexpected error."""
    await app.rows(
        "create function fail() returns trigger language plpgsql as"
        " $$ begin raise division_by_zero; end $$"
    )
    await app.rows(
        f"create trigger failing before insert on {table} for each row execute function fail()"
    )
    try:
        yield
    finally:
        await app.rows("drop function fail() cascade")


@pytest.mark.parametrize(
    "table",
    ["order_project1.sub_order", "order_project1.data_file", "rs_order.outbox"],
    ids=["sub-orders", "files", "the next step"],
)
async def test_w6_a_page_that_fails_leaves_nothing(table: str, pool: Pool) -> None:
    """Whichever write fails, no file, sub-order or counter changes; the next attempt adds the whole page."""
    app = AppHarness(pool, batch_size=1)
    order = await app.order("a", "b")
    await app.run_one()
    (step,) = await app.steps(CompleteOrderStep)
    async with failing(app, table):
        if table.endswith("sub_order"):
            # A stored file would join the sub-order of the first page; an external one needs a new sub-order.
            app.catalog.products[1] = one_file("b", external=True)
        with pytest.raises(asyncpg.DivisionByZeroError):
            await app.do(step)

    assert await app.files(order) == {"a": "PENDING"}
    assert await app.sub_orders(order) == [("STORAGE", "BUILDING")]
    assert await app.rows("select page from completion") == [{"page": 1}]
    assert await app.miscounted() == []

    await app.run()

    assert set(await app.files(order)) == {"a", "b"}
    assert await app.status(order) == "RUNNING"
    assert await app.miscounted() == []


async def test_w5_a_file_that_comes_again_is_added_once(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second one may be in the same page or in another, written at the same time or later."""
    monkeypatch.setattr(fill_sub_orders, "PRODUCTS_AT_A_TIME", 1)
    monkeypatch.setattr(fill_sub_orders, "FILES_AT_A_TIME", 2)
    app = AppHarness(pool, batch_size=3)
    first, second, third = (one_file(name) for name in "abc")
    order = await app.order(products=[first, first, second, second, first, third])
    await app.run()

    assert await app.files(order) == dict.fromkeys("abc", "PENDING")
    assert await app.rows("select count(*) as files from data_file") == [{"files": 3}]
    assert await app.rows("select files_count from dataset_task") == [{"files_count": 3}]
    assert await app.miscounted() == []


async def test_w5_a_file_that_comes_again_is_found_while_thousands_are_written(pool: Pool) -> None:
    """The database rejects it before all rows are sent; the files after it are added nevertheless."""
    app = AppHarness(pool, batch_size=3000)
    products = [one_file(f"{number}{'.' * 200}") for number in range(5999)]
    await app.order(products=[*products[:3000], products[0], *products[3000:]])
    await app.run()

    assert await app.rows("select count(*) as files from data_file") == [{"files": 5999}]
    assert await app.rows("select files_count from dataset_task") == [{"files_count": 5999}]
    assert await app.miscounted() == []


async def test_w6_nothing_starts_before_the_last_page(pool: Pool) -> None:
    """A schedule that runs meanwhile skips the order, though its first sub-orders are full."""
    app = AppHarness(pool, batch_size=1, files_bucket_size_mb=1e-6)
    order = await app.order("a", "b", "c", "d")
    for _ in range(3):
        await app.run_one(CompleteOrderStep)
        await app.do(ScheduleStep(OWNER).to(TENANT).body)

    assert await app.sub_orders(order) == [("STORAGE", "READY")] * 3
    assert await app.restore_requests() == []

    await app.run()

    assert await app.restore_requests() == [["a"], ["b"]]


async def test_w31_a_completion_whose_process_dies_delays_no_other_order_of_its_owner(
    app: AppHarness,
) -> None:
    """The next order is read at once; the step of the first one comes again and continues it."""
    first = await app.order("a")
    (step,) = await app.steps(CompleteOrderStep)
    app.catalog.hold()
    dying = asyncio.create_task(app.run_one())
    await app.catalog.reached.wait()
    try:
        second = await _read_meanwhile(app)
    finally:
        dying.cancel()
        await asyncio.wait({dying})

    assert await app.status(second) == "RUNNING"
    assert await app.status(first) == "PENDING"

    app.catalog.products = [one_file("a")]
    await app.do(step)
    await app.run()

    assert await app.status(first) == "RUNNING"


async def _read_meanwhile(app: AppHarness) -> OrderId:
    app.catalog.may_answer = None
    order = await app.order("b")
    async with asyncio.timeout(WAIT_SECONDS):
        await app.run()
    return order


async def test_a_failed_completion_counts_nothing(pool: Pool) -> None:
    """The files read before the failure are deleted. The order counts no products and no files."""
    app = AppHarness(pool, batch_size=1)
    order = await app.order("a", "b")
    await app.run_one()
    before = await app.rows(
        "select products_count, files_count, files_bytes > 0 as sized from dataset_task"
    )
    app.catalog.error = RemoteRejection("rs-dam", 400, "broken")
    await app.run()

    assert before == [{"products_count": 1, "files_count": 1, "sized": True}]
    assert await app.status(order) == "FAILED"
    assert await app.rows("select products_count, files_count, files_bytes from dataset_task") == [
        {"products_count": 0, "files_count": 0, "files_bytes": 0}
    ]
    assert await app.miscounted() == []


async def test_w4_the_reason_of_a_failure_is_kept_whole(app: AppHarness) -> None:
    """The order fails, and its message has the whole text of the remote service."""
    order = await app.order("a")
    app.catalog.error = RemoteRejection("rs-dam", 400, LONG)
    await app.run()

    assert await app.status(order) == "FAILED"
    assert await app.rows("select message from orders") == [{"message": f"rs-dam: {LONG}"}]
    assert [status for status, _ in await app.responses_about(order)] == ["FAILED"]


async def test_w4_the_reason_of_a_file_is_kept_whole(app: AppHarness) -> None:
    """So is the whole text of storage."""
    await app.order("a")
    await app.run()
    await app.storage_answers(a=LONG)

    assert await app.rows("select reason from data_file") == [{"reason": LONG}]


async def test_f9e_a_file_that_the_catalog_describes_wrongly_is_in_error_and_the_order_continues(
    app: AppHarness,
) -> None:
    """It has its reason. Storage is asked for the other file of its product only."""
    product = one_file("good")
    bad = product.files[0]._replace(name="bad").without_source("Its size is wrong.")
    order = await app.order(products=[replace(product, files=(*product.files, bad))])
    await app.run()
    await app.storage_answers("good")

    assert await app.files(order) == {"good": "AVAILABLE", "bad": "ERROR"}
    assert await app.rows("select reason from data_file where name = 'bad'") == [
        {"reason": "Its size is wrong."}
    ]
    assert await app.restore_requests() == [["good"]]
    assert await app.status(order) == "DONE_WITH_WARNING"


async def test_f9e_the_message_of_an_order_says_what_is_wrong_with_the_response(
    app: AppHarness,
) -> None:
    """A page without usable products fails the order after the deadline."""
    order = await app.order("a")
    app.catalog.error = BadResponse("rs-catalog", "/complex/search: a feature has no id")
    await app.run()
    app.clock.move(days=1)
    await app.run()

    assert await app.status(order) == "FAILED"
    (row,) = await app.rows("select message from orders")
    assert row["message"].endswith("rs-catalog: /complex/search: a feature has no id")
