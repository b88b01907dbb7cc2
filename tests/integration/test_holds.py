"""Holds: nothing new is asked of storage, and what waited starts when a hold ends (waiting.md T3)."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from rs_order.contracts.wire import LONGEST_REASON
from rs_order.core.errors import NothingToHold, OperatorInputRejected, UnknownHold
from rs_order.core.shared_steps import EndHoldStep, ScheduleStep
from rs_order.domain.holds import HeldThing
from rs_order.domain.ids import OrderId, SubOrderId
from rs_order.domain.shares import Amount
from rs_order.domain.states import FileState, OrderStatus, SubOrderState
from rs_order.store.audit import AuditActor, Door
from rs_order.store.pool import Pool
from rs_order.store.unit_of_work import Store
from tests.integration.app_harness import TENANT, AppHarness
from tests.support.clock import NOW
from tests.support.polling import until_waiting_for_locks
from tests.support.rows import OWNER, TenantRows

ROOT = AuditActor("root@example.org", Door.REST, "INSTANCE_ADMIN")
LATER = NOW + timedelta(hours=8)


@pytest.fixture
async def orders(rows: TenantRows) -> tuple[OrderId, OrderId]:
    """Two orders with a ready sub-order each; the first also runs one. The files are named a, b and c."""
    first, second = await rows.order(), await rows.order()
    await rows.sub_order(first, {"a": FileState.PENDING})
    await rows.sub_order(first, {"b": FileState.PENDING}, state=SubOrderState.READY)
    await rows.sub_order(second, {"c": FileState.PENDING}, state=SubOrderState.READY)
    return first, second


@pytest.fixture
def app(pool: Pool) -> AppHarness:
    return AppHarness(pool, max_storage_files_jobs_per_user=3)


async def hold(app: AppHarness, held: HeldThing) -> int:
    begun = await app.application.holds.begin(held, reason=" repair ", until=LATER, by=ROOT)
    return begun.id


async def schedule(app: AppHarness) -> None:
    await app.do(ScheduleStep(OWNER).to(TENANT).body)
    await app.run(ScheduleStep)


def held_thing(what: str, order: OrderId) -> HeldThing:
    things = {
        "tenant": HeldThing(TENANT),
        "user": HeldThing(TENANT, OWNER),
        "order": HeldThing(TENANT, order_id=order),
    }
    return things[what]


async def holds(app: AppHarness) -> list[int]:
    return [row["id"] for row in await app.rows("select id from rs_order.hold order by id")]


@pytest.mark.parametrize("what", ["tenant", "user", "order"])
@pytest.mark.parametrize("ended_by", ["an operator", "its date"])
async def test_what_is_held_starts_when_the_hold_ends(
    app: AppHarness, orders: tuple[OrderId, OrderId], what: str, ended_by: str
) -> None:
    """Meanwhile the running sub-order settles, other orders start, and no status changes."""
    first, second = orders
    held = await hold(app, held_thing(what, first))
    await schedule(app)
    await app.storage_answers("a")
    async with app.store.unit_of_work(TENANT) as uow:
        (owner,) = await uow.reconciliation.stalled_owners("", 10, 3)
    while_held = [await app.sub_orders(first), await app.sub_orders(second)]
    statuses = [await app.status(first), await app.status(second)]
    if ended_by == "an operator":
        await app.application.holds.end(TENANT, held, reason="repaired", by=ROOT)
    else:
        app.clock.move(hours=7)
        await app.do(EndHoldStep(held).to(TENANT).body)

        assert await holds(app) == [held]

        app.clock.move(hours=1)
    await app.run(EndHoldStep)
    await app.run(ScheduleStep)

    other = "RUNNING" if what == "order" else "READY"
    assert owner.next is None
    assert while_held == [[("STORAGE", "WAITING"), ("STORAGE", "READY")], [("STORAGE", other)]]
    assert statuses == ["RUNNING", "RUNNING"]
    assert await app.sub_orders(first) == [("STORAGE", "WAITING"), ("STORAGE", "RUNNING")]
    assert await app.sub_orders(second) == [("STORAGE", "RUNNING")]
    assert await holds(app) == []


async def test_holds_of_one_thing_add_up(app: AppHarness, orders: tuple[OrderId, OrderId]) -> None:
    """It starts after the last of them. The audit has who did what, and why."""
    _, second = orders
    whole, one = (
        await hold(app, HeldThing(TENANT)),
        await hold(app, HeldThing(TENANT, order_id=second)),
    )
    await app.application.holds.end(TENANT, whole, reason="repaired", by=ROOT)
    await app.run(ScheduleStep)
    after_first = await app.sub_orders(second)
    await app.application.holds.end(TENANT, one, reason=None, by=ROOT)
    await app.run(ScheduleStep)

    assert (after_first, await app.sub_orders(second)) == (
        [("STORAGE", "READY")],
        [("STORAGE", "RUNNING")],
    )
    entries = await app.rows(
        "select action, object_id, actor, reason, before, after from rs_order.audit order by id"
    )
    about_holds = [tuple(row.values()) for row in entries if row["action"].startswith("hold.")]
    of_whole = {"reason": "repair", "until": "2026-01-01T08:00:00Z"}
    of_one = {"orderId": second, **of_whole}
    assert about_holds == [
        ("hold.begun", str(whole), ROOT.name, "repair", None, of_whole),
        ("hold.begun", str(one), ROOT.name, "repair", None, of_one),
        ("hold.ended", str(whole), ROOT.name, "repaired", of_whole, None),
        ("hold.ended", str(one), ROOT.name, None, of_one, None),
    ]


@pytest.mark.parametrize("what", ["tenant", "user"])
async def test_capacity_goes_past_a_held_owner(app: AppHarness, store: Store, what: str) -> None:
    """They go on waiting, and the next waiter gets what they would have got."""
    await hold_without_order(app, held_thing(what, OrderId(0)))
    async with store.unit_of_work(TENANT) as uow:
        await uow.capacity.acquire("busy", {SubOrderId(1): Amount(1)})
        await uow.capacity.wait(OWNER, NOW)
        if what == "user":
            await uow.capacity.wait("busy", NOW + timedelta(hours=1))
        waiters = await uow.capacity.next_waiters(5)
    await app.rows("delete from rs_order.hold")
    async with store.unit_of_work(TENANT) as uow:
        after = await uow.capacity.next_waiters(5)

    assert waiters == ([(TENANT, "busy")] if what == "user" else [])
    assert after == [(TENANT, OWNER)]


async def hold_without_order(app: AppHarness, held: HeldThing) -> None:
    async with app.store.unit_of_work(TENANT) as uow:
        await uow.holds.add(held, "repair", ROOT.name, NOW, LATER)


@pytest.mark.usefixtures("orders")
async def test_a_hold_waits_for_a_pass_under_way(app: AppHarness, pool: Pool) -> None:
    """So once it is answered, no pass that began before starts anything."""
    async with app.store.unit_of_work(TENANT, schedules=OWNER):
        holding = asyncio.create_task(hold(app, HeldThing(TENANT)))
        await until_waiting_for_locks(pool)

        assert await holds(app) == []

    begun = await holding

    assert await holds(app) == [begun]


@pytest.mark.parametrize(
    ("held", "change", "code"),
    [
        (HeldThing(TENANT), {"until": NOW}, "hold-has-ended"),
        (HeldThing(TENANT), {"reason": " \n"}, "reason-missing"),
        (HeldThing(TENANT), {"reason": "a\0b"}, "reason-unreadable"),
        (
            HeldThing(TENANT),
            {"reason": "x" * (LONGEST_REASON + 1)},
            "reason-too-long",
        ),
        (HeldThing(TENANT, OWNER, OrderId(1)), {}, "hold-of-two"),
        (HeldThing(TENANT, "nobody@example.org"), {}, "nothing-to-hold"),
        (HeldThing(TENANT, order_id=OrderId(4711)), {}, "nothing-to-hold"),
        (HeldThing(TENANT, order_id=OrderId(1)), {}, "nothing-to-hold"),
    ],
)
async def test_a_hold_that_is_rejected_changes_nothing(
    app: AppHarness, rows: TenantRows, held: HeldThing, change: dict[str, Any], code: str
) -> None:
    """Each rejection has its code. The order 1 is deleted."""
    assert await rows.order(OrderStatus.DELETED) == 1
    wanted: dict[str, Any] = {"reason": "repair", "until": LATER, **change}

    with pytest.raises((OperatorInputRejected, NothingToHold)) as rejected:
        await app.application.holds.begin(held, by=ROOT, **wanted)

    assert rejected.value.code == code
    assert (await holds(app), await app.steps()) == ([], [])
    assert await app.rows("select from rs_order.audit where action like 'hold.%'") == []


async def test_a_hold_ends_once(app: AppHarness) -> None:
    """Its step comes too late, an operator gets an error, and nothing is scheduled."""
    held = await hold(app, HeldThing(TENANT))
    await app.application.holds.end(TENANT, held, reason=None, by=ROOT)
    app.clock.move(hours=9)
    await app.run(EndHoldStep)

    with pytest.raises(UnknownHold, match=f"no hold {held}"):
        await app.application.holds.end(TENANT, held, reason=None, by=ROOT)
    assert await app.steps() == []
