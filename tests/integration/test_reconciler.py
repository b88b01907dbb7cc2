"""The reconciler repairs and announces wrong counters, and continues stalled work."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from rs_order.core.shared_steps import (
    AskAgainStep,
    CompleteOrderStep,
    DeleteFilesStep,
    ExpireOrderStep,
    GrantRequestsStep,
    ReconcileStep,
    TimedEventsStep,
)
from rs_order.domain.holds import HeldThing
from rs_order.domain.ids import OrderId
from rs_order.mails.plan import RemindStep
from rs_order.mails.send import SendMailStep
from rs_order.ports import RemoteRejection
from rs_order.reconcile import recount
from rs_order.reconcile.rebuild_steps import HANDLING, RebuildPageStep, RebuildRemotePageStep
from rs_order.reconcile.recount import RecountStep
from rs_order.requests.retention import PurgeInboxStep
from rs_order.store.audit import AuditActor, Door
from rs_order.store.pool import Pool
from tests.integration.app_harness import ALAN, JANE, TENANT, AppHarness, one_file
from tests.support.rows import OWNER

PERIOD = 15
"""Minutes between two runs."""
_STEPS = (ReconcileStep, RebuildPageStep, RebuildRemotePageStep, RecountStep)


@pytest.fixture
async def orders(app: AppHarness) -> list[OrderId]:
    """Create two orders: one waits for its user, one for storage."""
    done = await app.order("a", products=[one_file("x", external=True)])
    await app.run()
    await app.storage_answers("a")
    waiting = await app.order("b", "c")
    await app.run()
    return [done, waiting]


async def reconcile(app: AppHarness) -> None:
    """Start a process one period later, and let its reconciler end a run and a recount of all orders."""
    app.clock.move(minutes=PERIOD + 1)
    await app.application.reconcile.resume(TENANT)
    for _ in range(20):
        for kind in _STEPS:
            await app.run(kind)
        app.clock.move(seconds=recount.PAUSE.total_seconds())
    app.clock.move(seconds=HANDLING.total_seconds())
    for kind in _STEPS:
        await app.run(kind)


async def recount_all(app: AppHarness) -> None:
    """Let the reconciler end the recount that has begun, and do a complete one."""
    await reconcile(app)
    await reconcile(app)


async def lose_steps(app: AppHarness) -> None:
    """Lose all due steps, which are those that the broker would have."""
    await app.rows(
        "delete from rs_order.outbox where kind = 'STEP' and (due_at is null or due_at <= $1)",
        app.clock.now(),
    )


def drifts(table: str) -> float:
    return REGISTRY.get_sample_value("rs_order_drift_total", {"table": table}) or 0.0


async def state_of(app: AppHarness) -> list[Sequence[Any]]:
    """Return all rows that the reconciler could change."""
    return [
        [tuple(row.items()) for row in await app.rows(f"select * from {table} order by 1")]  # noqa: S608
        for table in ("orders", "sub_order", "dataset_task", "data_file", "history")
    ]


@pytest.mark.usefixtures("orders")
async def test_a_run_without_drift_changes_nothing(app: AppHarness) -> None:
    """It leaves every row of running and final orders, logs nothing, and writes no step again."""
    before = await state_of(app)
    with capture_logs() as lines:
        await recount_all(app)

    assert await state_of(app) == before
    assert lines == []
    assert {step["step"] for step in await app.steps()} == {
        AskAgainStep.name,
        ExpireOrderStep.name,
        PurgeInboxStep.name,
        ReconcileStep.name,
        RecountStep.name,
        RemindStep.name,
        TimedEventsStep.name,
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
    ids=["counters", "sub-orders", "sub-order", "dataset task", "capacity"],
)
async def test_a_drift_is_repaired_counted_and_logged(
    app: AppHarness, table: str, corruption: str
) -> None:
    """All rows are as they were before the drift; a metric and a log line report it."""
    capacity = "select sub_order_id from rs_order.running_sub_order order by 1"
    before, used, counted = (
        await state_of(app),
        await app.rows(capacity),
        drifts(table),
    )
    await app.rows(corruption)
    with capture_logs() as lines:
        await recount_all(app)

    assert [found[:3] for found in await state_of(app)] == [found[:3] for found in before]
    assert await app.rows(capacity) == used
    found = [line for line in lines if line["event"] == "drift-found" and line["table"] == table]
    assert drifts(table) - counted == len(found) > 0
    assert all(line["repaired"] and line["log_level"] == "error" for line in found)


@pytest.mark.parametrize(
    "corruption",
    [
        "update rs_order.capacity_claim set sub_orders = 5 where tenant = ''",
        "update rs_order.capacity_claim set promised = 1, waiting = 3 where tenant <> ''",
        "update rs_order.capacity_claim set rank = now() where tenant <> '' and owner = ''",
        "delete from rs_order.capacity_claim where owner <> ''",
    ],
    ids=["service", "promises", "rank", "owner"],
)
async def test_wrong_claims_on_the_capacity_are_counted_again(pool: Pool, corruption: str) -> None:
    """One drift is found, and none afterwards."""
    app = AppHarness(pool, jobs_pool_size=1)
    for _ in range(2):
        await app.order("a")
    await app.run()
    claims = "select * from rs_order.capacity_claim order by tenant, owner"
    before = await app.rows(claims)
    await app.rows(corruption)
    with capture_logs() as lines:
        await recount_all(app)
    found = [line for line in lines if line["event"] == "drift-found"]
    counted = drifts("capacity_claim")
    await recount_all(app)

    assert len(before) == 3
    assert await app.rows(claims) == before
    assert {line["table"] for line in found} == {"capacity_claim"}
    assert drifts("capacity_claim") == counted


async def test_a_user_who_waits_for_free_capacity_gets_it(pool: Pool) -> None:
    """Capacity was released, but the process died before it woke the next waiter."""
    app = AppHarness(pool, jobs_pool_size=1)
    await app.rows("insert into rs_order.running_sub_order values ('project2', 1, 'joe')")
    order = await app.order("a")
    await app.run()

    assert await app.sub_orders(order) == [("STORAGE", "READY")]

    await app.rows("delete from rs_order.running_sub_order")
    await recount_all(app)
    await app.run()

    assert await app.sub_orders(order) == [("STORAGE", "RUNNING")]


async def test_a_drift_is_logged_with_the_stored_and_the_counted_value(
    app: AppHarness, orders: list[OrderId]
) -> None:
    await app.rows("update orders set pending_files = 3 where id = $1", orders[1])
    with capture_logs() as lines:
        await recount_all(app)

    (found,) = [line for line in lines if line["event"] == "drift-found"]
    assert (found["order"], found["id"], found["difference"]) == (
        orders[1],
        orders[1],
        {"pending_files": (3, 2)},
    )


async def test_an_order_that_a_drift_had_stalled_ends(
    app: AppHarness, orders: list[OrderId]
) -> None:
    """Its last file was settled but still counted as pending. The peers get the responses."""
    await app.rows("update data_file set state = 'AVAILABLE' where order_id = $1", orders[1])
    await recount_all(app)

    assert await app.status(orders[1]) == "DONE"
    assert await app.sub_orders(orders[1]) == [("STORAGE", "WAITING")]
    assert await app.responses_about(orders[1]) == [("SUBORDER_DONE", 1), ("DONE", 1)]
    assert (await app.history(orders[1]))[-1] == ("RUNNING", "DONE", "recounted", "rs-order")


async def test_a_drift_that_no_move_can_repair_is_only_logged(
    app: AppHarness, orders: list[OrderId]
) -> None:
    """The order is final and its end was announced, so an operator has to decide."""
    await app.rows("update data_file set state = 'PENDING' where name = 'a'")
    before = await state_of(app)
    with capture_logs() as lines:
        await recount_all(app)

    found = [line for line in lines if line["event"] == "drift-found"]
    assert {(line["order"], line["table"], line["repaired"]) for line in found} == {
        (orders[0], "sub_order", False)
    }
    assert await state_of(app) == before
    await app.rows("update data_file set state = 'AVAILABLE' where name = 'a'")


async def test_a_recount_takes_slices(app: AppHarness) -> None:
    """With slices of any size it reaches every order and sub-order, and ends."""
    app.use_slices(recounted_orders=2, recounted_sub_orders=3, recounted_files=2, checked_orders=2)
    for order in "abcde":
        await app.order(order, products=[one_file(f"{order}x", external=True)])
        await app.run()
    await app.rows("update sub_order set error_files = 1")
    await app.rows("update orders set error_files = 1")
    before = drifts("sub_order"), drifts("orders")
    await recount_all(app)

    assert await app.miscounted() == []
    assert (drifts("sub_order") - before[0], drifts("orders") - before[1]) == (10, 5)


async def test_a_slice_that_is_delivered_again_does_nothing(app: AppHarness) -> None:
    """Each numbered slice and each numbered run is done once, even by three instances at the same time."""
    await app.application.reconcile.resume(TENANT)
    await asyncio.gather(*(app.do({"step": ReconcileStep.name, "round": 2}) for _ in range(3)))
    slice_ = {"step": RecountStep.name, "round": 2, "part": "orders", "after": 0}
    await asyncio.gather(*(app.do(slice_) for _ in range(3)))

    written = [(step["step"], step.get("round")) for step in await app.steps()]
    # The second step is for the case that the first is lost.
    assert written.count((ReconcileStep.name, 3)) == 2
    assert written.count((RecountStep.name, 3)) == 1


async def test_missed_runs_are_done_once(app: AppHarness) -> None:
    """After a day without any process there is one run, not a hundred."""
    await app.application.reconcile.resume(TENANT)
    await app.run()
    app.clock.move(days=1)
    await asyncio.gather(*(app.application.reconcile.resume(TENANT) for _ in range(3)))
    await app.run()

    (row,) = await app.rows("select run from periodic_run where name = 'reconcile'")
    assert row["run"] == 3


async def test_the_runs_continue_after_a_purge_of_their_queue(app: AppHarness) -> None:
    """The step of the next run is lost, but the second one is still a row. No process has to start."""
    await app.application.reconcile.resume(TENANT)
    await app.run()
    app.clock.move(minutes=PERIOD)
    await lose_steps(app)
    app.clock.move(minutes=PERIOD)
    await app.run()

    (row,) = await app.rows("select run from periodic_run where name = 'reconcile'")
    assert row["run"] == 3
    (row,) = await app.rows("select run from periodic_run where name = 'recount'")
    assert row["run"] == 3


@pytest.mark.parametrize("name", ["tidy-inbox", "remind", "recount"])
async def test_other_periodic_work_whose_step_was_lost_starts_again(
    app: AppHarness, name: str
) -> None:
    """It is the purge of the inbox, the reminders and the recount."""
    await app.order("a")
    await app.run()
    await app.do({"step": PurgeInboxStep.name, "round": 1})
    app.clock.move(days=7)
    await lose_steps(app)
    (before,) = await app.rows("select run from periodic_run where name = $1", name)
    app.clock.move(minutes=PERIOD + 1)
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


async def _held(app: AppHarness) -> OrderId:
    order = await app.order("a", "b")
    until = app.clock.now() + timedelta(minutes=1)
    by = AuditActor(ALAN.caller.email, Door.REST)
    held = HeldThing(TENANT, order_id=order)
    await app.application.holds.begin(held, reason="repair", until=until, by=by)
    await app.run()
    app.clock.move(minutes=2)
    return order


@pytest.mark.parametrize(
    "active_order",
    [_pending, _ready, _running, _retried, _resumed, _held],
    ids=["pending", "ready", "running", "retried", "resumed", "held"],
)
async def test_an_order_whose_step_was_lost_continues(app: AppHarness, active_order: Any) -> None:
    """It gets to its end from any state in which the queue of steps is purged."""
    order = await active_order(app)
    requests = len(await app.restore_requests())
    await lose_steps(app)
    await app.run()
    assert (await app.status(order), len(await app.restore_requests())) in (
        ("PENDING", requests),
        ("RUNNING", requests),
    )
    await reconcile(app)
    await app.run()

    assert len(await app.restore_requests()) == requests + 1
    await app.storage_answers("a", "b")
    assert await app.status(order) == "DONE"


async def test_a_step_that_was_not_lost_is_done_once(app: AppHarness) -> None:
    """The broker was only slow: the step that was written again finds nothing to do."""
    order = await app.order("a", "b")
    found = await app.steps()
    await lose_steps(app)
    await reconcile(app)
    assert len(await app.steps(CompleteOrderStep)) == 1
    await app.run()
    for body in found:
        await app.do(body)

    assert len(await app.files(order)) == 2
    assert len(await app.restore_requests()) == 1


async def test_an_order_whose_expiry_step_was_lost_expires(app: AppHarness) -> None:
    """Its files and sub-orders are deleted, though the steps that delete them are lost as well."""
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


async def test_files_that_a_removed_order_left_are_deleted(
    app: AppHarness, orders: list[OrderId]
) -> None:
    await app.actions.delete(JANE, orders[0])
    await app.actions.remove(ALAN, orders[0])
    await lose_steps(app)
    assert await app.files(orders[0])
    await reconcile(app)
    await app.run(DeleteFilesStep)

    assert (await app.files(orders[0]), await app.sub_orders(orders[0])) == ({}, [])
    assert await app.files(orders[1])


async def test_a_request_without_an_answer_is_decided_again(app: AppHarness) -> None:
    await app.rows(
        "insert into order_request (correlation_id, fingerprint, body, received_at)"
        " values ('c-1', '\\x00', '{}', $1)",
        app.clock.now(),
    )
    await reconcile(app)

    (step,) = await app.steps(GrantRequestsStep)
    assert step["requests"] == [1]


async def test_a_mail_whose_step_was_lost_is_sent(app: AppHarness) -> None:
    await app.rows(
        "insert into mail (kind, owner, order_id) values ('ORDER_CREATED', $1, 1)", OWNER
    )
    await reconcile(app)

    (step,) = await app.steps(SendMailStep)
    assert step["mail"] == 1


async def test_a_file_that_arrives_after_the_expiry_date_sets_a_new_one(pool: Pool) -> None:
    """The order had failed, with nothing left to expire. With the late file it expires later."""
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


async def test_a_downloaded_file_of_a_failed_completion_is_not_counted(
    pool: Pool,
) -> None:
    """Its download ends between the failure and the deletion of the file."""
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
