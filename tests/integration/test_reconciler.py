"""The reconciler: what was counted wrongly is mended and told, what stands still is moved on."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from rs_order.core.shared_steps import (
    CompleteOrderStep,
    DeleteFilesStep,
    ExpireOrderStep,
    GrantRequestsStep,
)
from rs_order.domain.ids import OrderId
from rs_order.mails.plan import RemindStep
from rs_order.mails.send import SendMailStep
from rs_order.ports import RemoteRejection
from rs_order.reconcile import recount
from rs_order.reconcile.rebuild_steps import RebuildPageStep
from rs_order.reconcile.recount import RecountStep
from rs_order.reconcile.runs import ReconcileStep
from rs_order.requests.retention import PurgeInboxStep
from rs_order.scheduling.restoration import AskAgainStep
from rs_order.store.pool import Pool
from tests.integration.app_harness import ALAN, JANE, TENANT, AppHarness, one_file
from tests.support.rows import OWNER

ROUND = 15
"""Minutes of a round."""
_OURS = (ReconcileStep, RebuildPageStep, RecountStep)


@pytest.fixture
async def orders(app: AppHarness) -> list[OrderId]:
    """Two orders: one waits for storage, one for its user."""
    done = await app.order("a", products=[one_file("x", external=True)])
    await app.run()
    await app.storage_answers("a")
    waiting = await app.order("b", "c")
    await app.run()
    return [done, waiting]


async def reconcile(app: AppHarness) -> None:
    """A process starts, a round after all that happened; its reconciler does a round, and ends its walk."""
    app.clock.move(minutes=ROUND + 1)
    await app.application.reconcile.resume(TENANT)
    for _ in range(20):
        for kind in _OURS:
            await app.run(kind)
        app.clock.move(seconds=recount.PAUSE.total_seconds())


async def walk(app: AppHarness) -> None:
    """The reconciler ends the walk it has begun, and does another."""
    await reconcile(app)
    await reconcile(app)


async def lose_steps(app: AppHarness) -> None:
    """The broker loses what is due, that is all it has."""
    await app.rows(
        "delete from rs_order.outbox where kind = 'STEP' and (due_at is null or due_at <= $1)",
        app.clock.now(),
    )


def drifts(table: str) -> float:
    return REGISTRY.get_sample_value("rs_order_drift_total", {"table": table}) or 0.0


async def state_of(app: AppHarness) -> list[Sequence[Any]]:
    """Everything a reconciler could change."""
    return [
        [tuple(row.items()) for row in await app.rows(f"select * from {table} order by 1")]  # noqa: S608
        for table in ("orders", "sub_order", "dataset_task", "data_file", "history")
    ]


@pytest.mark.usefixtures("orders")
async def test_nothing_is_changed_told_or_written_again_while_all_is_well(
    app: AppHarness,
) -> None:
    """A round over orders at work and at rest leaves every row as it was."""
    before = await state_of(app)
    with capture_logs() as lines:
        await walk(app)

    assert await state_of(app) == before
    assert lines == []
    assert {step["step"] for step in await app.steps()} == {
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
    app: AppHarness, table: str, corruption: str
) -> None:
    """Whatever it was, all is as it had been, and somebody hears that it wasn't."""
    places = "select sub_order_id from rs_order.running_sub_order order by 1"
    before, held, counted = (
        await state_of(app),
        await app.rows(places),
        drifts(table),
    )
    await app.rows(corruption)
    with capture_logs() as lines:
        await walk(app)

    assert [found[:3] for found in await state_of(app)] == [found[:3] for found in before]
    assert await app.rows(places) == held
    told = [line for line in lines if line["event"] == "drift-found" and line["table"] == table]
    assert drifts(table) - counted == len(told) > 0
    assert all(line["repaired"] and line["log_level"] == "error" for line in told)


async def test_whoever_waits_for_a_place_that_is_free_gets_it(pool: Pool) -> None:
    """Somebody left the service and died before he could give others their turn."""
    app = AppHarness(pool, jobs_pool_size=1)
    await app.rows("insert into rs_order.running_sub_order values ('project2', 1, 'joe')")
    order = await app.order("a")
    await app.run()

    assert await app.sub_orders(order) == [("STORAGE", "READY")]

    await app.rows("delete from rs_order.running_sub_order")
    await walk(app)
    await app.run()

    assert await app.sub_orders(order) == [("STORAGE", "RUNNING")]


async def test_a_drift_says_what_stood_and_what_is_true(
    app: AppHarness, orders: list[OrderId]
) -> None:
    await app.rows("update orders set pending_files = 3 where id = $1", orders[1])
    with capture_logs() as lines:
        await walk(app)

    (told,) = [line for line in lines if line["event"] == "drift-found"]
    assert (told["order"], told["id"], told["difference"]) == (
        orders[1],
        orders[1],
        {"pending_files": (3, 2)},
    )


async def test_what_a_drift_held_up_goes_on(app: AppHarness, orders: list[OrderId]) -> None:
    """A file that was settled but still counted as pending kept its order from ending; its peers hear it."""
    await app.rows("update data_file set state = 'AVAILABLE' where order_id = $1", orders[1])
    await walk(app)

    assert await app.status(orders[1]) == "DONE"
    assert await app.sub_orders(orders[1]) == [("STORAGE", "WAITING")]
    assert await app.responses_about(orders[1]) == [("SUBORDER_DONE", 1), ("DONE", 1)]
    assert (await app.history(orders[1]))[-1] == ("RUNNING", "DONE", "recounted", "rs-order")


async def test_a_drift_that_no_move_mends_is_told_and_left(
    app: AppHarness, orders: list[OrderId]
) -> None:
    """The order has ended, its peers were told so; an operator has to look."""
    await app.rows("update data_file set state = 'PENDING' where name = 'a'")
    before = await state_of(app)
    with capture_logs() as lines:
        await walk(app)

    told = [line for line in lines if line["event"] == "drift-found"]
    assert {(line["order"], line["table"], line["repaired"]) for line in told} == {
        (orders[0], "sub_order", False)
    }
    assert await state_of(app) == before
    await app.rows("update data_file set state = 'AVAILABLE' where name = 'a'")


async def test_a_walk_takes_slices(app: AppHarness) -> None:
    """However small, it comes past every order and sub-order, and ends."""
    app.use_slices(recounted_orders=2, recounted_sub_orders=3, recounted_files=2, checked_orders=2)
    for order in "abcde":
        await app.order(order, products=[one_file(f"{order}x", external=True)])
        await app.run()
    await app.rows("update sub_order set error_files = 1")
    await app.rows("update orders set error_files = 1")
    before = drifts("sub_order"), drifts("orders")
    await walk(app)

    assert await app.miscounted() == []
    assert (drifts("sub_order") - before[0], drifts("orders") - before[1]) == (10, 5)


async def test_a_slice_that_comes_again_does_nothing(app: AppHarness) -> None:
    """The number of a slice is done once; so is that of a round, by three instances at once."""
    await app.application.reconcile.resume(TENANT)
    await asyncio.gather(*(app.do({"step": ReconcileStep.name, "round": 2}) for _ in range(3)))
    slice_ = {"step": RecountStep.name, "round": 2, "part": "orders", "after": 0}
    await asyncio.gather(*(app.do(slice_) for _ in range(3)))

    written = [(step["step"], step.get("round")) for step in await app.steps()]
    assert (
        written.count((ReconcileStep.name, 3)) == 2
    )  # the second is for the case that one is lost
    assert written.count((RecountStep.name, 3)) == 1


async def test_rounds_that_were_missed_are_made_up_for_once(app: AppHarness) -> None:
    """A day without any process costs one round, not a hundred."""
    await app.application.reconcile.resume(TENANT)
    await app.run()
    app.clock.move(days=1)
    await asyncio.gather(*(app.application.reconcile.resume(TENANT) for _ in range(3)))
    await app.run()

    (row,) = await app.rows("select run from periodic_run where name = 'reconcile'")
    assert row["run"] == 3


async def test_the_rounds_outlive_a_purge_of_their_queue(app: AppHarness) -> None:
    """The step of the next round is lost, its second one is still a row; no process has to start."""
    await app.application.reconcile.resume(TENANT)
    await app.run()
    app.clock.move(minutes=ROUND)
    await lose_steps(app)
    app.clock.move(minutes=ROUND)
    await app.run()

    (row,) = await app.rows("select run from periodic_run where name = 'reconcile'")
    assert row["run"] == 3
    (row,) = await app.rows("select run from periodic_run where name = 'recount'")
    assert row["run"] == 3


@pytest.mark.parametrize("name", ["tidy-inbox", "remind", "recount"])
async def test_other_rounds_that_were_lost_begin_again(app: AppHarness, name: str) -> None:
    """They are of those who tidy, remind and count."""
    await app.order("a")
    await app.run()
    await app.do({"step": PurgeInboxStep.name, "round": 1})
    app.clock.move(days=7)
    await lose_steps(app)
    (before,) = await app.rows("select run from periodic_run where name = $1", name)
    app.clock.move(minutes=ROUND + 1)
    await app.application.reconcile.resume(TENANT)
    await app.run()

    (after,) = await app.rows("select run from periodic_run where name = $1", name)
    assert after["run"] > before["run"]


async def _pending(app: AppHarness) -> OrderId:
    return await app.order("a", "b")


async def _ready(app: AppHarness) -> OrderId:
    order = await app.order("a", "b")
    await app.run(CompleteOrderStep)
    return order


async def _running(app: AppHarness) -> OrderId:
    order = await app.order("a", "b")
    await app.run()
    app.clock.move(minutes=31)
    return order


async def _retried(app: AppHarness) -> OrderId:
    order = await app.order("a", "b")
    await app.run()
    await app.storage_answers(a="lost", b="lost")
    await app.actions.retry(JANE, order)
    return order


async def _resumed(app: AppHarness) -> OrderId:
    order = await app.order("a", "b")
    await app.run()
    await app.actions.pause(JANE, order)
    await app.actions.resume(JANE, order)
    return order


@pytest.mark.parametrize(
    "under_way",
    [_pending, _ready, _running, _retried, _resumed],
    ids=["pending", "ready", "running", "retried", "resumed"],
)
async def test_an_order_whose_step_was_lost_goes_on(app: AppHarness, under_way: Any) -> None:
    """To its end, whatever it was about to do when somebody purged the queue of steps."""
    order = await under_way(app)
    asked = len(await app.restore_requests())
    await lose_steps(app)
    await app.run()
    assert (await app.status(order), len(await app.restore_requests())) in (
        ("PENDING", asked),
        ("RUNNING", asked),
    )
    await reconcile(app)
    await app.run()

    assert len(await app.restore_requests()) == asked + 1
    await app.storage_answers("a", "b")
    assert await app.status(order) == "DONE"


async def test_a_step_that_was_not_lost_is_done_once(app: AppHarness) -> None:
    """The broker only took its time: what was written again finds nothing to do."""
    order = await app.order("a", "b")
    found = await app.steps()
    await reconcile(app)
    assert len(await app.steps(CompleteOrderStep)) == 2
    await app.run()
    for body in found:
        await app.do(body)

    assert len(await app.files(order)) == 2
    assert len(await app.restore_requests()) == 1


async def test_an_order_whose_time_is_over_expires_after_all(app: AppHarness) -> None:
    """Its files and sub-orders go, though the steps that delete them are lost as well."""
    order = await app.order("a", products=[one_file("x", external=True)])
    await app.run()
    app.clock.move(days=30)
    await lose_steps(app)
    await reconcile(app)
    await app.run(ExpireOrderStep)
    assert await app.status(order) == "EXPIRED"
    assert await app.files(order)

    await lose_steps(app)
    await reconcile(app)
    await app.run()
    assert (await app.files(order), await app.sub_orders(order)) == ({}, [])


async def test_what_a_removed_order_left_is_deleted(app: AppHarness, orders: list[OrderId]) -> None:
    await app.actions.delete(JANE, orders[0])
    await app.actions.remove(ALAN, orders[0])
    await lose_steps(app)
    assert await app.files(orders[0])
    await reconcile(app)
    await app.run(DeleteFilesStep)

    assert (await app.files(orders[0]), await app.sub_orders(orders[0])) == ({}, [])
    assert await app.files(orders[1])


async def test_a_request_without_an_answer_is_judged_again(app: AppHarness) -> None:
    await app.rows(
        "insert into order_request (correlation_id, fingerprint, body, received_at)"
        " values ('c-1', '\\x00', '{}', $1)",
        app.clock.now(),
    )
    await reconcile(app)

    (step,) = await app.steps(GrantRequestsStep)
    assert step["requests"] == [1]


async def test_a_mail_that_nobody_sends_is_sent(app: AppHarness) -> None:
    await app.rows(
        "insert into mail (kind, owner, order_id) values ('ORDER_CREATED', $1, 1)", OWNER
    )
    await reconcile(app)

    (step,) = await app.steps(SendMailStep)
    assert step["mail"] == 1


async def test_files_that_come_after_the_time_of_an_order_get_new_time(pool: Pool) -> None:
    """Storage was silent, so nothing was left to expire: what it brings at last expires, too."""
    app = AppHarness(pool, storage_silence_hours=4)
    order = await app.order("a")
    await app.run()
    for hours, status in ((4.1, "FAILED"), (240, "FAILED")):
        app.clock.move(hours=hours)
        await app.run()
        assert await app.status(order) == status
    await app.storage_answers("a")
    await app.run()
    assert await app.status(order) == "DONE"
    app.clock.move(days=10)
    await app.run()

    assert await app.status(order) == "EXPIRED"


async def test_a_file_that_a_failed_completion_takes_back_is_not_counted(
    pool: Pool,
) -> None:
    """Its download ends between the failure and the deletion of what was read."""
    app = AppHarness(pool, batch_size=1)
    order = await app.order("a", products=[one_file("x", external=True)])
    await app.run_one(CompleteOrderStep)
    app.catalog.error = RemoteRejection("catalog", 400, "no")
    await app.run_one(CompleteOrderStep)
    assert await app.status(order) == "FAILED"
    assert set(await app.files(order)) == {"x"}
    await app.downloaded(order, "x")

    (row,) = await app.rows("select downloaded_files from orders where id = $1", order)
    assert row["downloaded_files"] == 0
    await app.run(DeleteFilesStep)
    assert await app.miscounted() == []
