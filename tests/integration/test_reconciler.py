"""The reconciler: what was counted wrongly is mended and told, what stands still is moved on."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from rs_order.application.ask_storage import AskAgainStep
from rs_order.application.mails.plan import RemindStep
from rs_order.application.mails.send import SendMailStep
from rs_order.application.reconcile import RebuildPageStep, ReconcileStep, RecountStep, recount
from rs_order.application.steps import (
    CompleteOrderStep,
    DeleteFilesStep,
    ExpireOrderStep,
    GrantRequestsStep,
)
from rs_order.application.tidy_inbox import PurgeInboxStep
from rs_order.domain.ids import OrderId
from rs_order.ports.errors import RemoteRefusal
from rs_order.store.pool import Pool
from tests.integration.workshop import ALAN, JANE, TENANT, Workshop, one_file
from tests.support.rows import OWNER

ROUND = 15
"""Minutes of a round."""
_OURS = (ReconcileStep, RebuildPageStep, RecountStep)


@pytest.fixture
async def orders(workshop: Workshop) -> list[OrderId]:
    """Two orders: one waits for storage, one for its user."""
    done = await workshop.order("a", products=[one_file("x", external=True)])
    await workshop.run()
    await workshop.storage_says("a")
    waiting = await workshop.order("b", "c")
    await workshop.run()
    return [done, waiting]


async def reconcile(workshop: Workshop) -> None:
    """A process starts, a round after all that happened; its reconciler does a round, and ends its walk."""
    workshop.clock.move(minutes=ROUND + 1)
    await workshop.application.reconcile.wake(TENANT)
    for _ in range(20):
        for kind in _OURS:
            await workshop.run(kind)
        workshop.clock.move(seconds=recount.PAUSE.total_seconds())


async def walk(workshop: Workshop) -> None:
    """The reconciler ends the walk it has begun, and does another."""
    await reconcile(workshop)
    await reconcile(workshop)


async def lose_steps(workshop: Workshop) -> None:
    """The broker loses what is due, that is all it has."""
    await workshop.rows(
        "delete from rs_order.outbox where kind = 'STEP' and (due_at is null or due_at <= $1)",
        workshop.clock.now(),
    )


def drifts(table: str) -> float:
    return REGISTRY.get_sample_value("rs_order_drift_total", {"table": table}) or 0.0


async def state_of(workshop: Workshop) -> list[Sequence[Any]]:
    """Everything a reconciler could change."""
    return [
        [tuple(row.items()) for row in await workshop.rows(f"select * from {table} order by 1")]  # noqa: S608
        for table in ("orders", "sub_order", "dataset_task", "data_file", "history")
    ]


@pytest.mark.usefixtures("orders")
async def test_nothing_is_changed_told_or_written_again_while_all_is_well(
    workshop: Workshop,
) -> None:
    """A round over orders at work and at rest leaves every row as it was."""
    before = await state_of(workshop)
    with capture_logs() as lines:
        await walk(workshop)

    assert await state_of(workshop) == before
    assert lines == []
    assert {step["step"] for step in await workshop.steps()} == {
        AskAgainStep.name,
        ExpireOrderStep.name,
        ReconcileStep.name,
        RecountStep.name,
        RemindStep.name,
    }


@pytest.mark.usefixtures("orders")
@pytest.mark.parametrize(
    ("table", "corruption"),
    [
        ("orders", "update orders set downloaded_files = 7, pending_bytes = 9"),
        ("orders", "update orders set waiting_sub_orders = 5, sub_orders = 9"),
        ("sub_order", "update sub_order set error_files = 3, error_bytes = 5"),
        ("dataset_task", "update dataset_task set files_count = 100, files_bytes = 1"),
        (
            "running_sub_order",
            "insert into rs_order.running_sub_order values ('project1', 999, 'jane@example.org')",
        ),
    ],
    ids=["counters", "sub-orders", "sub-order", "dataset task", "place of the service"],
)
async def test_a_drift_is_mended_counted_and_logged(
    workshop: Workshop, table: str, corruption: str
) -> None:
    """Whatever it was, all is as it had been, and somebody hears that it wasn't."""
    places = "select sub_order_id from rs_order.running_sub_order order by 1"
    before, held, counted = (
        await state_of(workshop),
        await workshop.rows(places),
        drifts(table),
    )
    await workshop.rows(corruption)
    with capture_logs() as lines:
        await walk(workshop)

    assert [found[:3] for found in await state_of(workshop)] == [found[:3] for found in before]
    assert await workshop.rows(places) == held
    told = [line for line in lines if line["event"] == "drift-found" and line["table"] == table]
    assert drifts(table) - counted == len(told) > 0
    assert all(line["mended"] and line["log_level"] == "error" for line in told)


async def test_whoever_waits_for_a_place_that_is_free_gets_it(pool: Pool) -> None:
    """Somebody left the service and died before he could give others their turn."""
    workshop = Workshop(pool, jobs_pool_size=1)
    await workshop.rows("insert into rs_order.running_sub_order values ('project2', 1, 'joe')")
    order = await workshop.order("a")
    await workshop.run()

    assert await workshop.sub_orders(order) == [("STORAGE", "READY")]

    await workshop.rows("delete from rs_order.running_sub_order")
    await walk(workshop)
    await workshop.run()

    assert await workshop.sub_orders(order) == [("STORAGE", "RUNNING")]


async def test_a_drift_says_what_stood_and_what_is_true(
    workshop: Workshop, orders: list[OrderId]
) -> None:
    await workshop.rows("update orders set pending_files = 3 where id = $1", orders[1])
    with capture_logs() as lines:
        await walk(workshop)

    (told,) = [line for line in lines if line["event"] == "drift-found"]
    assert (told["order"], told["id"], told["difference"]) == (
        orders[1],
        orders[1],
        {"pending_files": (3, 2)},
    )


async def test_what_a_drift_held_up_goes_on(workshop: Workshop, orders: list[OrderId]) -> None:
    """A file that was settled but still counted as pending kept its order from ending; its peers hear it."""
    await workshop.rows("update data_file set state = 'AVAILABLE' where order_id = $1", orders[1])
    await walk(workshop)

    assert await workshop.status(orders[1]) == "DONE"
    assert await workshop.sub_orders(orders[1]) == [("STORAGE", "WAITING")]
    assert await workshop.told(orders[1]) == [("SUBORDER_DONE", 1), ("DONE", 1)]
    assert (await workshop.history(orders[1]))[-1] == ("RUNNING", "DONE", "recounted", "rs-order")


async def test_a_drift_that_no_move_mends_is_told_and_left(
    workshop: Workshop, orders: list[OrderId]
) -> None:
    """The order has ended, its peers were told so; an operator has to look."""
    await workshop.rows("update data_file set state = 'PENDING' where name = 'a'")
    before = await state_of(workshop)
    with capture_logs() as lines:
        await walk(workshop)

    told = [line for line in lines if line["event"] == "drift-found"]
    assert {(line["order"], line["table"], line["mended"]) for line in told} == {
        (orders[0], "sub_order", False)
    }
    assert await state_of(workshop) == before
    await workshop.rows("update data_file set state = 'AVAILABLE' where name = 'a'")


async def test_a_walk_takes_slices(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """However small, it comes past every order and sub-order, and ends."""
    for name, size in (("ORDERS", 2), ("SUB_ORDERS", 3), ("FILES", 2), ("HOLDERS", 2)):
        monkeypatch.setattr(recount, name, size)
    for order in "abcde":
        await workshop.order(order, products=[one_file(f"{order}x", external=True)])
        await workshop.run()
    await workshop.rows("update sub_order set error_files = 1")
    await workshop.rows("update orders set error_files = 1")
    before = drifts("sub_order"), drifts("orders")
    await walk(workshop)

    assert await workshop.miscounted() == []
    assert (drifts("sub_order") - before[0], drifts("orders") - before[1]) == (10, 5)


async def test_a_slice_that_comes_again_does_nothing(workshop: Workshop) -> None:
    """The number of a slice is done once; so is that of a round, by three instances at once."""
    await workshop.application.reconcile.wake(TENANT)
    await asyncio.gather(*(workshop.do({"step": ReconcileStep.name, "round": 2}) for _ in range(3)))
    slice_ = {"step": RecountStep.name, "round": 2, "part": "orders", "after": 0}
    await asyncio.gather(*(workshop.do(slice_) for _ in range(3)))

    written = [(step["step"], step.get("round")) for step in await workshop.steps()]
    assert (
        written.count((ReconcileStep.name, 3)) == 2
    )  # the second is for the case that one is lost
    assert written.count((RecountStep.name, 3)) == 1


async def test_rounds_that_were_missed_are_made_up_for_once(workshop: Workshop) -> None:
    """A day without any process costs one round, not a hundred."""
    await workshop.application.reconcile.wake(TENANT)
    await workshop.run()
    workshop.clock.move(days=1)
    await asyncio.gather(*(workshop.application.reconcile.wake(TENANT) for _ in range(3)))
    await workshop.run()

    (row,) = await workshop.rows("select round from periodic_round where name = 'reconcile'")
    assert row["round"] == 3


async def test_the_rounds_outlive_a_purge_of_their_queue(workshop: Workshop) -> None:
    """The step of the next round is lost, its second one is still a row; no process has to start."""
    await workshop.application.reconcile.wake(TENANT)
    await workshop.run()
    workshop.clock.move(minutes=ROUND)
    await lose_steps(workshop)
    workshop.clock.move(minutes=ROUND)
    await workshop.run()

    (row,) = await workshop.rows("select round from periodic_round where name = 'reconcile'")
    assert row["round"] == 3
    (row,) = await workshop.rows("select round from periodic_round where name = 'recount'")
    assert row["round"] == 3


@pytest.mark.parametrize("name", ["tidy-inbox", "remind", "recount"])
async def test_other_rounds_that_were_lost_begin_again(workshop: Workshop, name: str) -> None:
    """They are of those who tidy, remind and count."""
    await workshop.order("a")
    await workshop.run()
    await workshop.do({"step": PurgeInboxStep.name, "round": 1})
    workshop.clock.move(days=7)
    await lose_steps(workshop)
    (before,) = await workshop.rows("select round from periodic_round where name = $1", name)
    workshop.clock.move(minutes=ROUND + 1)
    await workshop.application.reconcile.wake(TENANT)
    await workshop.run()

    (after,) = await workshop.rows("select round from periodic_round where name = $1", name)
    assert after["round"] > before["round"]


async def _pending(workshop: Workshop) -> OrderId:
    return await workshop.order("a", "b")


async def _ready(workshop: Workshop) -> OrderId:
    order = await workshop.order("a", "b")
    await workshop.run(CompleteOrderStep)
    return order


async def _running(workshop: Workshop) -> OrderId:
    order = await workshop.order("a", "b")
    await workshop.run()
    workshop.clock.move(minutes=31)
    return order


async def _retried(workshop: Workshop) -> OrderId:
    order = await workshop.order("a", "b")
    await workshop.run()
    await workshop.storage_says(a="lost", b="lost")
    await workshop.actions.retry(JANE, order)
    return order


async def _resumed(workshop: Workshop) -> OrderId:
    order = await workshop.order("a", "b")
    await workshop.run()
    await workshop.actions.pause(JANE, order)
    await workshop.actions.resume(JANE, order)
    return order


@pytest.mark.parametrize(
    "under_way",
    [_pending, _ready, _running, _retried, _resumed],
    ids=["pending", "ready", "running", "retried", "resumed"],
)
async def test_an_order_whose_step_was_lost_goes_on(workshop: Workshop, under_way: Any) -> None:
    """To its end, whatever it was about to do when somebody purged the queue of steps."""
    order = await under_way(workshop)
    asked = len(await workshop.asked())
    await lose_steps(workshop)
    await workshop.run()
    assert (await workshop.status(order), len(await workshop.asked())) in (
        ("PENDING", asked),
        ("RUNNING", asked),
    )
    await reconcile(workshop)
    await workshop.run()

    assert len(await workshop.asked()) == asked + 1
    await workshop.storage_says("a", "b")
    assert await workshop.status(order) == "DONE"


async def test_a_step_that_was_not_lost_is_done_once(workshop: Workshop) -> None:
    """The broker only took its time: what was written again finds nothing to do."""
    order = await workshop.order("a", "b")
    found = await workshop.steps()
    await reconcile(workshop)
    assert len(await workshop.steps(CompleteOrderStep)) == 2
    await workshop.run()
    for body in found:
        await workshop.do(body)

    assert len(await workshop.files(order)) == 2
    assert len(await workshop.asked()) == 1


async def test_an_order_whose_time_is_over_expires_after_all(workshop: Workshop) -> None:
    """Its files and sub-orders go, though the steps that delete them are lost as well."""
    order = await workshop.order("a", products=[one_file("x", external=True)])
    await workshop.run()
    workshop.clock.move(days=30)
    await lose_steps(workshop)
    await reconcile(workshop)
    await workshop.run(ExpireOrderStep)
    assert await workshop.status(order) == "EXPIRED"
    assert await workshop.files(order)

    await lose_steps(workshop)
    await reconcile(workshop)
    await workshop.run()
    assert (await workshop.files(order), await workshop.sub_orders(order)) == ({}, [])


async def test_what_a_removed_order_left_is_deleted(
    workshop: Workshop, orders: list[OrderId]
) -> None:
    await workshop.actions.delete(JANE, orders[0])
    await workshop.actions.remove(ALAN, orders[0])
    await lose_steps(workshop)
    assert await workshop.files(orders[0])
    await reconcile(workshop)
    await workshop.run(DeleteFilesStep)

    assert (await workshop.files(orders[0]), await workshop.sub_orders(orders[0])) == ({}, [])
    assert await workshop.files(orders[1])


async def test_a_request_without_an_answer_is_judged_again(workshop: Workshop) -> None:
    await workshop.rows(
        "insert into order_request (correlation_id, fingerprint, body, received_at)"
        " values ('c-1', '\\x00', '{}', $1)",
        workshop.clock.now(),
    )
    await reconcile(workshop)

    (step,) = await workshop.steps(GrantRequestsStep)
    assert step["requests"] == [1]


async def test_a_mail_that_nobody_sends_is_sent(workshop: Workshop) -> None:
    await workshop.rows(
        "insert into mail (kind, owner, order_id) values ('ORDER_CREATED', $1, 1)", OWNER
    )
    await reconcile(workshop)

    (step,) = await workshop.steps(SendMailStep)
    assert step["mail"] == 1


async def test_files_that_come_after_the_time_of_an_order_get_new_time(pool: Pool) -> None:
    """Storage was silent, so nothing was left to expire: what it brings at last expires, too."""
    workshop = Workshop(pool, storage_silence_hours=4)
    order = await workshop.order("a")
    await workshop.run()
    for hours, status in ((4.1, "FAILED"), (240, "FAILED")):
        workshop.clock.move(hours=hours)
        await workshop.run()
        assert await workshop.status(order) == status
    await workshop.storage_says("a")
    await workshop.run()
    assert await workshop.status(order) == "DONE"
    workshop.clock.move(days=10)
    await workshop.run()

    assert await workshop.status(order) == "EXPIRED"


async def test_a_file_that_a_failed_completion_takes_back_is_not_counted(
    pool: Pool,
) -> None:
    """Its download ends between the failure and the deletion of what was read."""
    workshop = Workshop(pool, batch_size=1)
    order = await workshop.order("a", products=[one_file("x", external=True)])
    await workshop.run_one(CompleteOrderStep)
    workshop.shelf.trouble = RemoteRefusal("catalog", 400, "no")
    await workshop.run_one(CompleteOrderStep)
    assert await workshop.status(order) == "FAILED"
    assert set(await workshop.files(order)) == {"x"}
    await workshop.downloaded(order, "x")

    (row,) = await workshop.rows("select downloaded_files from orders where id = $1", order)
    assert row["downloaded_files"] == 0
    await workshop.run(DeleteFilesStep)
    assert await workshop.miscounted() == []
