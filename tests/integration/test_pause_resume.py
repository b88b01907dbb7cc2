"""A paused order holds nothing and loses nothing; a resumed one goes on where it stood (O6, O7)."""

import asyncio
from datetime import timedelta

import pytest

from rs_order.application.ask_storage import AskAgainStep
from rs_order.application.steps import CompleteOrderStep, ScheduleStep
from rs_order.domain.ids import OrderId
from rs_order.domain.states import FileState, OrderStatus, SubOrderKind, SubOrderState
from rs_order.ports.errors import RemoteTrouble
from rs_order.store.pool import Pool
from tests.integration.workshop import ALAN, JANE, TENANT, Workshop, one_file
from tests.support.polling import eventually
from tests.support.rows import NOW, OWNER, TenantRows

P, A, D, E = FileState.PENDING, FileState.AVAILABLE, FileState.DOWNLOADED, FileState.ERROR


async def running_order(workshop: Workshop, *files: str) -> OrderId:
    """An order with one sub-order that storage was asked for."""
    order = await workshop.order(*files)
    await workshop.run()

    assert await workshop.status(order) == "RUNNING"
    assert await workshop.sub_orders(order) == [("STORAGE", "RUNNING")]
    return order


async def test_a_pause_sends_running_sub_orders_back_to_their_places(workshop: Workshop) -> None:
    """With their ranks, and by name of who paused; nothing is asked while the order is paused."""
    order = await running_order(workshop, "a", "b")
    (before,) = await workshop.rows("select rank, asks from sub_order")
    await workshop.actions.pause(ALAN, order)
    await workshop.run()
    (after,) = await workshop.rows("select state, rank, asks from sub_order")
    reasons = await workshop.rows(
        "select before, after, reason from history where sub_order_id is not null order by id desc limit 1"
    )

    assert after == {"state": "READY", **before}
    assert (await workshop.history(order))[-1] == ("RUNNING", "PAUSED", "paused", ALAN.email)
    assert reasons == [{"before": "RUNNING", "after": "READY", "reason": "order-paused"}]
    assert await workshop.asked() == [["a", "b"]]


async def test_a_pause_frees_the_slot_of_its_owner_for_his_other_orders(pool: Pool) -> None:
    """And the place of the service, which the limit counts."""
    workshop = Workshop(pool, max_storage_files_jobs_per_user=1, jobs_pool_size=1)
    first = await running_order(workshop, "a")
    second = await workshop.order("b")
    await workshop.run()

    assert await workshop.sub_orders(second) == [("STORAGE", "READY")]

    await workshop.actions.pause(JANE, first)
    await workshop.run()

    assert await workshop.sub_orders(second) == [("STORAGE", "RUNNING")]
    assert await workshop.rows("select count(*) from rs_order.running_sub_order") == [{"count": 1}]
    assert await workshop.miscounted() == []


async def test_reminders_of_a_paused_sub_order_do_nothing(workshop: Workshop) -> None:
    """Nobody is impatient, and nothing is given up, however long the pause."""
    order = await running_order(workshop, "a")
    await workshop.actions.pause(JANE, order)
    workshop.clock.move(hours=5)
    reminders = await workshop.steps(AskAgainStep)
    await workshop.run(AskAgainStep)

    assert len(reminders) == 1
    assert await workshop.steps(AskAgainStep) == []
    assert await workshop.asked() == [["a"]]
    assert await workshop.files(order) == {"a": "PENDING"}


@pytest.mark.parametrize(
    ("unavailable", "file", "sub_order", "status", "told"),
    [
        (False, "AVAILABLE", "WAITING", "DONE", ["SUBORDER_DONE", "DONE"]),
        (True, "ERROR", "ENDED", "FAILED", ["FAILED"]),
    ],
)
async def test_k4_what_storage_answers_in_a_pause_counts(
    workshop: Workshop,
    *,
    unavailable: bool,
    file: str,
    sub_order: str,
    status: str,
    told: list[str],
) -> None:
    """A request can't be recalled: the last answer ends a paused order."""
    order = await running_order(workshop, "a")
    await workshop.actions.pause(JANE, order)
    if unavailable:
        await workshop.storage_says(a="tape is broken")
    else:
        await workshop.storage_says("a")

    assert await workshop.files(order) == {"a": file}
    assert await workshop.sub_orders(order) == [("STORAGE", sub_order)]
    assert await workshop.status(order) == status
    assert [status for status, _ in await workshop.told(order)] == told


async def test_w19_a_resumed_order_asks_for_what_is_not_settled_and_nothing_else(
    workshop: Workshop,
) -> None:
    """A file that was downloaded stays so; one that failed isn't asked for again."""
    order = await running_order(workshop, "a", "b", "c", "d")
    await workshop.storage_says("a", "b", d="tape is broken")
    await workshop.downloaded(order, "a")
    await workshop.actions.pause(JANE, order)
    await workshop.actions.resume(JANE, order)
    await workshop.run()

    assert await workshop.files(order) == {
        "a": "DOWNLOADED",
        "b": "AVAILABLE",
        "c": "PENDING",
        "d": "ERROR",
    }
    assert await workshop.asked() == [["a", "b", "c", "d"], ["c"]]
    assert (await workshop.history(order))[-2:] == [
        ("RUNNING", "PAUSED", "paused", JANE.email),
        ("PAUSED", "RUNNING", "resumed", JANE.email),
    ]

    await workshop.storage_says("c")

    assert await workshop.status(order) == "DONE_WITH_WARNING"


async def test_patience_with_storage_begins_anew_after_a_pause(workshop: Workshop) -> None:
    """Two days of pause are no silence; the reminder of the time before finds another number."""
    order = await running_order(workshop, "a")
    await workshop.actions.pause(JANE, order)
    workshop.clock.move(hours=60)
    await workshop.actions.resume(JANE, order)
    await workshop.run(ScheduleStep)
    (sub_order,) = await workshop.rows("select asks, asked_at from sub_order")

    assert sub_order == {"asks": 2, "asked_at": NOW + timedelta(hours=60)}

    await workshop.run_one(AskAgainStep)

    assert await workshop.asked() == [["a"], ["a"]]
    assert await workshop.files(order) == {"a": "PENDING"}


async def test_a_pause_comes_between_two_schedules(workshop: Workshop, pool: Pool) -> None:
    """A sub-order of a paused order is passed over, and started once it is resumed."""
    order = await workshop.order("a")
    await workshop.run(CompleteOrderStep)
    await workshop.actions.pause(JANE, order)
    await workshop.run()

    assert await workshop.asked() == []

    await workshop.actions.resume(JANE, order)
    await workshop.run()

    assert await workshop.asked() == [["a"]]


async def test_w9_a_completion_stops_at_a_pause_and_goes_on_where_it_stood(pool: Pool) -> None:
    """No page is read in the pause, none twice, none left out; percent stays 0 as for a pending order."""
    workshop = Workshop(pool, batch_size=1)
    order = await workshop.order("a", "b", "c")
    await workshop.run_one()
    await workshop.actions.pause(JANE, order)
    await workshop.run()
    paused = await workshop.view(order)

    assert workshop.shelf.read == [0]
    assert (await workshop.status(order), paused.percent) == ("PAUSED", 0)
    assert paused.expires_at is None

    await workshop.actions.resume(JANE, order)

    assert await workshop.status(order) == "PENDING"

    await workshop.run()

    assert workshop.shelf.read == [0, 1, 2, 3]
    assert await workshop.status(order) == "RUNNING"
    assert await workshop.files(order) == dict.fromkeys("abc", "PENDING")
    assert await workshop.miscounted() == []


async def test_w9_the_answer_to_a_page_that_comes_in_a_pause_is_thrown_away(
    workshop: Workshop,
) -> None:
    """Whoever pauses decides later than who asked; the page is read again after the pause."""
    order = await workshop.order("a")
    reading = workshop.shelf.hold()
    step = asyncio.create_task(workshop.run_one())
    await workshop.shelf.reached.wait()
    await workshop.actions.pause(JANE, order)
    reading.set()
    await step

    assert await workshop.files(order) == {}
    assert await workshop.status(order) == "PAUSED"

    await workshop.actions.resume(JANE, order)
    await workshop.run()

    assert await workshop.files(order) == {"a": "PENDING"}
    assert await workshop.status(order) == "RUNNING"


async def test_w9_a_half_read_order_does_not_end_in_its_pause(pool: Pool) -> None:
    """Its only files so far are external and downloaded; more are to come."""
    workshop = Workshop(pool, batch_size=1001)
    external = [one_file(f"e{number}", external=True) for number in range(1001)]
    order = await workshop.order("z", products=external)
    await workshop.run_one()
    await workshop.actions.pause(JANE, order)
    await workshop.downloaded(order, *(f"e{number}" for number in range(1001)))

    assert await workshop.sub_orders(order) == [("EXTERNAL", "ENDED")]
    assert await workshop.status(order) == "PAUSED"

    await workshop.actions.resume(JANE, order)
    await workshop.run()

    assert await workshop.status(order) == "RUNNING"
    assert (await workshop.files(order))["z"] == "PENDING"
    assert await workshop.miscounted() == []


async def test_trouble_from_before_a_pause_is_forgotten(workshop: Workshop) -> None:
    """An hour of pause is no hour in which the catalog was asked in vain."""
    order = await workshop.order("a")
    workshop.shelf.trouble = RemoteTrouble("rs-catalog", "is down")
    await workshop.run_one()
    await workshop.actions.pause(JANE, order)
    workshop.clock.move(hours=1)
    await workshop.actions.resume(JANE, order)
    await workshop.run_one()
    (completion,) = await workshop.rows("select attempts from completion")

    assert await workshop.status(order) == "PENDING"
    assert completion == {"attempts": 1}


async def test_w8_a_pause_and_an_answer_at_the_same_time_both_count(
    workshop: Workshop, rows: TenantRows
) -> None:
    """Whoever comes second sees what the first wrote: no status and no counter is overwritten."""
    orders = [await rows.order() for _ in range(10)]
    for order in orders:
        await rows.sub_order(order, {f"a{order}": P, f"b{order}": P})
    await asyncio.gather(
        *(workshop.actions.pause(JANE, order) for order in orders),
        *(workshop.storage_says(f"a{order}") for order in orders),
    )

    assert {await workshop.status(order) for order in orders} == {"PAUSED"}
    for order in orders:
        assert await workshop.files(order) == {f"a{order}": "AVAILABLE", f"b{order}": "PENDING"}
        assert await workshop.sub_orders(order) == [("STORAGE", "READY")]


async def test_a_late_answer_overtakes_the_start_of_a_resumed_sub_order(pool: Pool) -> None:
    """The round that had found it ready looks again behind the lock, and calls for another round."""
    workshop = Workshop(pool, files_bucket_size_mb=10 / 1024 / 1024)
    order = await workshop.order("a", "b")
    await workshop.run()
    await workshop.actions.pause(JANE, order)
    await workshop.actions.resume(JANE, order)
    await workshop.rows("delete from rs_order.outbox")
    async with workshop.store.unit_of_work(TENANT) as uow:
        await uow.orders.lock([order])
        answer = asyncio.create_task(workshop.storage_says("a"))
        await _waiting(pool, 1)
        round_ = asyncio.create_task(workshop.do({"step": "schedule", "owner": OWNER}))
        await _waiting(pool, 2)
    await asyncio.gather(answer, round_)

    assert await workshop.sub_orders(order) == [("STORAGE", "WAITING"), ("STORAGE", "RUNNING")]
    assert await workshop.asked() == [["b"]]
    assert len(await workshop.steps(ScheduleStep)) == 1
    assert await workshop.miscounted() == []


async def _waiting(pool: Pool, count: int) -> None:
    """Until so many transactions wait for a lock."""
    query = f"select count(*) >= {count} from pg_locks where not granted"  # noqa: S608 - a number
    await eventually(lambda: pool.fetchval(query), f"{count} transactions that wait for a lock")


async def test_a_resumed_order_without_a_pending_file_ends_at_once(
    workshop: Workshop, rows: TenantRows
) -> None:
    """Nothing would ever end it otherwise; its peers are told."""
    order = await rows.order(OrderStatus.PAUSED)
    await rows.sub_order(order, {"a": D, "b": E}, state=SubOrderState.ENDED)
    await workshop.actions.resume(JANE, order)

    assert await workshop.status(order) == "DONE_WITH_WARNING"
    assert await workshop.told(order) == [("FAILED", 1)]
    assert [line[:3] for line in await workshop.history(order)] == [
        ("PAUSED", "RUNNING", "resumed"),
        ("RUNNING", "DONE_WITH_WARNING", "resumed"),
    ]


async def test_external_files_of_a_paused_order_can_be_downloaded(
    workshop: Workshop, rows: TenantRows
) -> None:
    """They wait for nobody; the order goes on waiting for its stored ones."""
    order = await rows.order(OrderStatus.PAUSED)
    await rows.sub_order(order, {"a": P}, state=SubOrderState.READY)
    await rows.sub_order(order, {"x": A}, state=SubOrderState.WAITING, kind=SubOrderKind.EXTERNAL)
    await workshop.downloaded(order, "x")

    assert await workshop.status(order) == "PAUSED"
    assert await workshop.sub_orders(order) == [("STORAGE", "READY"), ("EXTERNAL", "ENDED")]


async def test_a_paused_order_expires_at_its_time(workshop: Workshop) -> None:
    """O11: a pause stops no clock."""
    order = await running_order(workshop, "a")
    await workshop.actions.pause(JANE, order)
    workshop.clock.move(hours=6.1)
    await workshop.run()

    assert await workshop.status(order) == "EXPIRED"
    assert await workshop.files(order) == {}


async def test_an_order_is_paused_and_resumed_again_and_again(workshop: Workshop) -> None:
    """Each time it asks for what is left; in the end it is done, and told so once."""
    order = await running_order(workshop, "a", "b")
    for _ in range(3):
        await workshop.actions.pause(JANE, order)
        await workshop.actions.resume(JANE, order)
        await workshop.run()
    await workshop.storage_says("a", "b")

    assert await workshop.asked() == [["a", "b"]] * 4
    assert await workshop.told(order) == [("SUBORDER_DONE", 1), ("DONE", 1)]
