"""Events that come with time: each run of the reconciler finds the orders that are due (faces.md E-1)."""

from datetime import timedelta
from typing import Any

import pytest

from rs_order.core.shared_steps import ReconcileStep, TimedEventsStep
from rs_order.domain.events import EventType
from rs_order.domain.ids import OrderId
from rs_order.events import timed
from rs_order.store.events import EventFilter
from rs_order.store.pool import Pool
from tests.integration.app_harness import JANE, TENANT, AppHarness, one_file
from tests.integration.test_events import events
from tests.support.counting import counted
from tests.support.stores import MigratedDatabases

MOST_STATEMENTS = 6
TIMED = EventFilter(
    types=[EventType.ORDER_WAITING, EventType.FILES_FAILED, EventType.ORDER_EXPIRING]
)


async def later(app: AppHarness, **time: float) -> list[dict[str, Any]]:
    """Let time go by, and a run of the reconciler. Return the data of the timed events so far."""
    app.clock.move(**time)
    await app.do(TimedEventsStep().to(TENANT).body)
    await app.run(TimedEventsStep)
    return [event["data"] for event in await events(app, TIMED)]


def reasons(found: list[dict[str, Any]]) -> list[str]:
    return [one["reason"]["code"] for one in found]


async def test_a_reason_that_stands_is_told_once(app: AppHarness) -> None:
    """After 15 minutes, and again only when it is another one."""
    order = await app.order("a")
    await app.run()

    assert await later(app, minutes=14) == []
    (waits,) = await later(app, minutes=1)
    assert reasons(await later(app, hours=1)) == ["storage-restoring"]
    await app.actions.pause(JANE, order)
    found = await later(app, hours=2)

    assert (waits["orderId"], waits["event"], waits["status"]) == (
        order,
        "order.waiting",
        "RUNNING",
    )
    assert waits["reason"] == {
        "code": "storage-restoring",
        "text": "Files that storage is bringing back: 1. Storage also works for others.",
        "since": "2026-01-01T00:00:00Z",
        "subOrders": 1,
        "actor": "storage",
        "yourTurn": False,
        "nextCheck": "2026-01-01T00:20:00Z",
    }
    assert reasons(found) == ["storage-restoring", "paused-by-you"]
    assert found[1]["reason"]["yourTurn"] is True


async def test_a_reason_without_a_known_beginning_stands_since_it_was_seen(
    pool: Pool,
) -> None:
    """A sub-order that waits for a slot has no time of its own. It isn't told before the second check."""
    app = AppHarness(pool, max_storage_files_jobs_per_user=1)
    await app.order("a")
    second = await app.order("b")
    await app.run()

    first = [
        one["reason"]["code"] for one in await later(app, minutes=15) if one["orderId"] == second
    ]
    then = [
        one["reason"]["code"] for one in await later(app, minutes=15) if one["orderId"] == second
    ]
    assert (first, then) == ([], ["your-limit"])


async def test_a_change_elsewhere_is_told(app: AppHarness) -> None:
    """Maintenance changes no order: the check finds it within an hour and a quarter."""
    await app.order("a")
    await app.run()
    await later(app, minutes=15)
    await app.rows(
        "update rs_order.tenant set maintenance = true, maintenance_at = $1", app.clock.now()
    )

    assert reasons(await later(app, hours=1, minutes=15)) == ["storage-restoring", "maintenance"]


async def test_failed_files_are_told_at_most_every_ten_minutes(app: AppHarness) -> None:
    """The event counts what is new, and names the files in error."""
    await app.order("a", "b", "c", "d")
    await app.run()
    await app.storage_answers(a="broken", b="broken")
    (first,) = await later(app, seconds=1)
    await app.storage_answers(c="broken")
    assert len(await later(app, minutes=9)) == 1
    _, second = await later(app, minutes=1)

    assert (first["count"], [one["name"] for one in first["failedFiles"]]) == (2, ["a", "b"])
    assert {one["code"] for one in first["failedFiles"]} == {"storage-refused"}
    assert (second["count"], [one["name"] for one in second["failedFiles"]]) == (1, ["a", "b", "c"])
    assert all(set(one) == {"fileId", "name", "code"} for one in second["failedFiles"])


async def test_files_that_fail_again_are_told_again(app: AppHarness) -> None:
    """After a retry. The order had ended, and had nothing more to tell."""
    order = await app.order("a")
    await app.run()
    await app.storage_answers(a="broken")
    await later(app, minutes=1)
    await app.actions.retry(JANE, order)
    await app.run()
    await app.storage_answers(a="broken")
    found = await later(app, minutes=10)

    assert [one["count"] for one in found] == [1, 1]
    assert await due(app, order) is None


async def test_an_event_of_many_failed_files_is_bounded(app: AppHarness) -> None:
    """100 files, or fewer if their names are long: an event has 20 KiB at most (E-2)."""
    names = [f"{number:03}" for number in range(120)]
    long = ["n" * 245 + name for name in names]
    for files in (names, long):
        await app.order(*files)
        await app.run()
        await app.storage_answers(**dict.fromkeys(files, "broken"))
    few, many = sorted(await later(app, minutes=1), key=lambda one: len(one["failedFiles"]))

    assert (many["count"], len(many["failedFiles"])) == (120, 100)
    assert few["count"] == 120
    assert 40 < len(few["failedFiles"]) < 60


async def test_the_expiry_is_told_twice(app: AppHarness) -> None:
    """72 and 24 hours before, as long as there are files."""
    order = await external(app)
    (row,) = await app.rows("select expires_at from orders where id = $1", order)
    left = row["expires_at"] - app.clock.now()

    assert await later(app, seconds=(left - timedelta(hours=72)).total_seconds() - 1) == []
    (first,) = await later(app, seconds=1)
    assert len(await later(app, hours=47)) == 1
    _, second = await later(app, hours=1)
    assert len(await later(app, hours=23)) == 2

    assert (first["orderId"], first["expires"], first["bytes"]) == (order, second["expires"], 10)
    assert first["files"]["available"] == 1
    assert await due(app, order) is None


async def test_the_expiry_of_a_downloaded_order_is_not_told(app: AppHarness) -> None:
    """It has nothing to lose, and isn't checked any more."""
    order = await external(app)
    await later(app, minutes=15)
    assert await due(app, order) is not None
    await app.downloaded(order, "x")

    assert await due(app, order) is None


async def external(app: AppHarness) -> OrderId:
    """Return an order of a long time with a file that is available."""
    order = await app.order(products=[one_file("x", external=True)])
    await app.rows("update orders set sub_order_hours = 100 where id = $1", order)
    await app.run()
    return order


async def due(app: AppHarness, order: OrderId) -> Any:
    (row,) = await app.rows("select events_due_at from orders where id = $1", order)
    return row["events_due_at"]


async def test_an_order_that_ended_soon_is_never_checked(app: AppHarness) -> None:
    """Most orders are downloaded within a quarter of an hour."""
    order = await app.order("a")
    created = await due(app, order)
    await app.run()
    await app.storage_answers("a")
    await app.downloaded(order, "a")

    assert created == app.clock.now() + timedelta(minutes=15)
    assert await due(app, order) is None


async def test_a_check_that_is_repeated_changes_nothing(app: AppHarness) -> None:
    """A step may be delivered twice, also at the same time in two processes."""
    order = await app.order("a")
    await app.run()
    app.clock.move(minutes=15)
    step = TimedEventsStep().to(TENANT).body
    async with app.store.unit_of_work(TENANT) as uow:
        stale = await uow.timed_events.due(app.clock.now(), 10)
    await app.do(step)
    await app.do(step)
    async with app.store.unit_of_work(TENANT) as uow:
        left = await uow.timed_events.last_checks(stale, app.clock.now())

    assert (stale, left) == ([order], {})
    assert len(await events(app, TIMED)) == 1


async def test_many_orders_are_checked_in_slices(
    migrated_databases: MigratedDatabases, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Promise 8: a slice is a few statements, whatever its size. With no order due it is one."""
    counts = []
    async with migrated_databases.pool(TENANT, size=1) as (pool, _):
        app = AppHarness(pool, max_storage_files_jobs_per_user=0)
        for size, orders in ((1, 1), (2, 4), (6, 6)):  # the first one only warms the connection
            monkeypatch.setattr(timed, "SLICE", size)
            for number in range(orders):
                await app.order(f"{size}-{number}")
            await app.run()
            app.clock.move(minutes=15)
            counts.append(await statements_of_a_check(app, pool))
            await app.run(TimedEventsStep)
            await app.rows("update orders set events_due_at = null")
        idle = await statements_of_a_check(app, pool)
        found = await events(app, TIMED)

    assert len(found) == 11
    assert counts[1] == counts[2] <= MOST_STATEMENTS
    assert idle == 1


async def statements_of_a_check(app: AppHarness, pool: Pool) -> int:
    async with counted(pool) as queries:
        await app.do(TimedEventsStep().to(TENANT).body)
    return len([query for query in queries if "orders" in query])


async def test_each_run_of_the_reconciler_checks(app: AppHarness) -> None:
    """So the checks outlive processes and queues."""
    await app.order("a")
    await app.run()
    app.clock.move(minutes=16)
    await app.application.reconcile.resume(TENANT)
    await app.run(ReconcileStep)

    assert len(await app.steps(TimedEventsStep)) == 1
