"""A completion adds whole pages or nothing, holds up nobody, and ends with a word (domain.md 4)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest

from rs_order.application.steps import CompleteOrderStep, ScheduleStep
from rs_order.domain.ids import OrderId
from rs_order.ports.errors import RemoteRefusal
from rs_order.store.pool import Pool
from tests.integration.workshop import TENANT, Workshop, one_file
from tests.support.rows import OWNER

PATIENCE_SECONDS = 10
LONG = "An explanation that takes its time. " * 10_000


@asynccontextmanager
async def failing(workshop: Workshop, table: str) -> AsyncIterator[None]:
    """Whatever is inserted in a table is refused, for a reason that nobody foresaw."""
    await workshop.rows(
        "create function fail() returns trigger language plpgsql as"
        " $$ begin raise division_by_zero; end $$"
    )
    await workshop.rows(
        f"create trigger failing before insert on {table} for each row execute function fail()"
    )
    try:
        yield
    finally:
        await workshop.rows("drop function fail() cascade")


@pytest.mark.parametrize(
    "table",
    ["order_project1.sub_order", "order_project1.data_file", "rs_order.outbox"],
    ids=["sub-orders", "files", "the next step"],
)
async def test_w6_a_page_that_fails_leaves_nothing(table: str, pool: Pool) -> None:
    """Whichever of its writes: neither files nor sub-orders nor counters; done again, it is whole."""
    workshop = Workshop(pool, batch_size=1)
    order = await workshop.order("a", "b")
    await workshop.run_one()
    (step,) = await workshop.steps(CompleteOrderStep)
    async with failing(workshop, table):
        if table.endswith("sub_order"):
            # The second page fills the bucket of the first, unless that is external.
            workshop.shelf.products[1] = one_file("b", external=True)
        with pytest.raises(asyncpg.DivisionByZeroError):
            await workshop.do(step)

    assert await workshop.files(order) == {"a": "PENDING"}
    assert await workshop.sub_orders(order) == [("STORAGE", "BUILDING")]
    assert await workshop.rows("select page from completion") == [{"page": 1}]
    assert await workshop.miscounted() == []

    await workshop.run()

    assert set(await workshop.files(order)) == {"a", "b"}
    assert await workshop.status(order) == "RUNNING"
    assert await workshop.miscounted() == []


async def test_w6_nothing_starts_before_the_last_page(pool: Pool) -> None:
    """Whoever schedules meanwhile passes the order over, though its first sub-orders are full."""
    workshop = Workshop(pool, batch_size=1, files_bucket_size_mb=1e-6)
    order = await workshop.order("a", "b", "c")
    for _ in range(3):
        await workshop.run_one(CompleteOrderStep)
        await workshop.do(ScheduleStep(OWNER).to(TENANT).body)

    assert await workshop.sub_orders(order) == [("STORAGE", "READY")] * 3
    assert await workshop.asked() == []

    await workshop.run()

    assert await workshop.asked() == [["a"], ["b"]]


async def test_w31_a_completion_that_dies_holds_up_no_other_of_its_owner(
    workshop: Workshop,
) -> None:
    """His next order is read at once; the one whose process died goes on with its step."""
    first = await workshop.order("a")
    (step,) = await workshop.steps(CompleteOrderStep)
    workshop.shelf.hold()
    dying = asyncio.create_task(workshop.run_one())
    await workshop.shelf.reached.wait()
    try:
        second = await _read_meanwhile(workshop)
    finally:
        dying.cancel()
        await asyncio.wait({dying})

    assert await workshop.status(second) == "RUNNING"
    assert await workshop.status(first) == "PENDING"

    workshop.shelf.products = [one_file("a")]
    await workshop.do(step)
    await workshop.run()

    assert await workshop.status(first) == "RUNNING"


async def _read_meanwhile(workshop: Workshop) -> OrderId:
    workshop.shelf.may_answer = None
    order = await workshop.order("b")
    async with asyncio.timeout(PATIENCE_SECONDS):
        await workshop.run()
    return order


async def test_w4_the_reason_of_a_failure_is_kept_whole(workshop: Workshop) -> None:
    """Whatever a remote service had to say: the order ends, and its message says all of it."""
    order = await workshop.order("a")
    workshop.shelf.trouble = RemoteRefusal("rs-dam", 400, LONG)
    await workshop.run()

    assert await workshop.status(order) == "FAILED"
    assert await workshop.rows("select message from orders") == [{"message": f"rs-dam: {LONG}"}]
    assert [status for status, _ in await workshop.told(order)] == ["FAILED"]


async def test_w4_the_reason_of_a_file_is_kept_whole(workshop: Workshop) -> None:
    """Storage's words are, too."""
    await workshop.order("a")
    await workshop.run()
    await workshop.storage_says(a=LONG)

    assert await workshop.rows("select reason from data_file") == [{"reason": LONG}]
