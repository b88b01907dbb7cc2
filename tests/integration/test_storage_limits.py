"""Limits of what is in flight at storage: of the service, of a tenant, of each user (waiting.md T1)."""

import asyncio
from datetime import timedelta

import pytest

from rs_order.core.shared_steps import ExpireOrderStep, ScheduleStep
from rs_order.domain.holds import HeldThing
from rs_order.domain.ids import OrderId, Tenant
from rs_order.domain.reasons import ReasonCode, reasons_of
from rs_order.domain.shares import NOTHING, Amount, LimitKind
from rs_order.domain.states import FileState, SubOrderState
from rs_order.shares.limits import NewLimit
from rs_order.store.audit import AuditActor, Door
from rs_order.store.pool import Pool
from rs_order.store.progress import Progress
from tests.integration.app_harness import JANE, AppHarness
from tests.integration.conftest import OTHER, TENANT
from tests.integration.recall_harness import Recalls
from tests.support.clock import NOW
from tests.support.rows import OWNER, TenantRows, in_tenant

ROOT = AuditActor("root@example.org", Door.REST, "INSTANCE_ADMIN")
FILE_BYTES = 10
OF_TENANT, OF_USER = LimitKind.TENANT, LimitKind.USER


@pytest.fixture
def app(pool: Pool) -> AppHarness:
    """Nothing is limited until a test limits it."""
    return AppHarness(pool, max_storage_files_jobs_per_user=0)


async def ready(rows: TenantRows, owner: str, *files: int) -> OrderId:
    """Write an order with ready sub-orders of so many files, named after the owner and numbered."""
    order = await rows.order(owner=owner)
    for number, count in enumerate(files):
        names = {f"{owner}{number}-{file}": FileState.PENDING for file in range(count)}
        await rows.sub_order(order, names, state=SubOrderState.READY, owner=owner)
    return order


async def schedule(app: AppHarness, *owners: str, tenant: Tenant = TENANT) -> None:
    for owner in owners:
        await app.application.scheduling.schedule.handle(tenant, ScheduleStep(owner))


async def running(pool: Pool, tenant: Tenant = TENANT) -> list[str]:
    """Return the first file of each running sub-order, without its number."""
    async with in_tenant(pool, tenant) as connection:
        found = await connection.fetch(
            "select min(name) as name from data_file join sub_order on sub_order.id = sub_order_id"
            " where sub_order.state = 'RUNNING' group by sub_order_id order by 1"
        )
    return [row["name"].removesuffix("-0") for row in found]


async def set_limit(
    app: AppHarness, kind: LimitKind, limit: Amount, tenant: Tenant = TENANT
) -> None:
    new = NewLimit.of(tenant, kind, limit)
    await app.application.limits.change(new, reason="a test", by=ROOT)


async def settle(app: AppHarness, name: str, files: int = 1) -> None:
    await app.storage_answers(*(f"{name}-{number}" for number in range(files)))
    await app.run()


@pytest.mark.parametrize(
    "limits",
    [
        {"max_files_at_storage": 5},
        {"max_bytes_at_storage": 5 * FILE_BYTES},
        {"max_bytes_at_storage": 5 * FILE_BYTES, "jobs_pool_size": 9},
    ],
    ids=["files", "bytes", "bytes and sub-orders"],
)
async def test_the_service_asks_for_no_more_than_its_limits(
    pool: Pool, rows: TenantRows, limits: dict[str, int]
) -> None:
    """Of sub-orders of two files, two run, and the next one waits until there is room for all of it."""
    app = AppHarness(pool, max_storage_files_jobs_per_user=0, **limits)
    await ready(rows, "a", 2, 2, 2)
    await ready(rows, "b", 2)
    await schedule(app, "a", "b")
    before = await running(pool)
    await settle(app, "a0", 2)

    assert before == ["a0", "a1"]
    assert await running(pool) == ["a1", "b0"]


async def test_two_instances_together_keep_a_limit_of_bytes(pool: Pool, rows: TenantRows) -> None:
    """Both schedule many users at once; the largest sum of bytes in flight is the limit."""
    owners = [f"user{number}" for number in range(8)]
    for owner in owners:
        await ready(rows, owner, 1, 2, 1)
    instances = [
        AppHarness(pool, max_storage_files_jobs_per_user=0, max_bytes_at_storage=70)
        for _ in range(2)
    ]
    started: list[str] = []
    while len(started) < 3 * len(owners):
        await asyncio.gather(*(schedule(app, *owners) for app in instances))
        in_flight = await pool.fetchval("select sum(bytes) from rs_order.running_sub_order")
        names = await running(pool)
        started += [name for name in names if name not in started]

        assert 50 < in_flight <= 70 or len(started) == 3 * len(owners)
        await asyncio.gather(
            *(
                app.storage_answers(*(f"{name}-{number}" for number in range(2)))
                for app, name in zip(instances, names, strict=False)
            )
        )

    assert sorted(started) == sorted(f"{owner}{number}" for owner in owners for number in range(3))


@pytest.mark.parametrize("kind", ["service", "tenant", "user"])
async def test_a_sub_order_larger_than_a_whole_limit_starts_alone(
    pool: Pool, rows: TenantRows, kind: str
) -> None:
    """It waits until nothing else is in flight, nobody overtakes it, and then it starts."""
    settings = {"max_files_at_storage": 3} if kind == "service" else {}
    app = AppHarness(pool, max_storage_files_jobs_per_user=0, **settings)
    if kind != "service":
        await set_limit(app, LimitKind(kind), Amount(files=3))
    await ready(rows, "a", 1, 9, 1)
    await schedule(app, "a")
    seen = [await running(pool)]
    for name, files in (("a0", 1), ("a1", 9), ("a2", 1)):
        await settle(app, name, files)
        seen.append(await running(pool))

    assert seen == [["a0"], ["a1"], ["a2"], []]


async def test_a_tenant_at_its_limit_holds_up_no_other(
    app: AppHarness, pool: Pool, rows: TenantRows
) -> None:
    """Its users take turns by their shares; those of other tenants start at once."""
    others = TenantRows(pool, OTHER)
    await set_limit(app, OF_TENANT, Amount(sub_orders=2))
    await ready(rows, "a", 1, 1, 1)
    await ready(rows, "b", 1)
    await ready(others, "c", 1, 1, 1)
    await schedule(app, "a", "b")
    await schedule(app, "c", tenant=OTHER)
    before = await running(pool)
    waiting = await pool.fetch("select owner from rs_order.waiting_user order by owner")
    await settle(app, "a0")
    after = await running(pool)
    await set_limit(app, OF_TENANT, NOTHING)
    await app.run()

    assert (before, [row["owner"] for row in waiting]) == (["a0", "a1"], ["a", "b"])
    assert await running(pool, OTHER) == ["c0", "c1", "c2"]
    assert after == ["a1", "b0"]
    assert await running(pool) == ["a1", "a2", "b0"]


async def test_each_user_has_the_limit_of_users(
    app: AppHarness, pool: Pool, rows: TenantRows
) -> None:
    """Who has reached it waits for their own sub-orders, also if these wait for a download afterwards."""
    await set_limit(app, OF_USER, Amount(files=2))
    order = await ready(rows, OWNER, 2, 1)
    await ready(rows, "b", 1)
    await schedule(app, OWNER, "b")
    before = await running(pool)
    progress = Progress(pool, slots_per_user=0, silent_after=timedelta(minutes=30))
    facts = (await progress.facts(TENANT, [order], NOW))[order]
    stalled = await _stalled(app)
    await settle(app, f"{OWNER}0", 2)

    assert before == ["b0", f"{OWNER}0"]
    assert [one.code for one in reasons_of(facts, 0).also] == [ReasonCode.YOUR_LIMIT]
    assert stalled == []
    assert await running(pool) == ["b0", f"{OWNER}1"]
    assert await app.rows("select from rs_order.waiting_user") == []


async def test_what_a_sub_order_joins_makes_room_for_the_next_one(
    app: AppHarness, pool: Pool, rows: TenantRows
) -> None:
    """It counts for who has asked, which is known only after the sub-order has started."""
    recalls = Recalls(app, rows, pool)
    await set_limit(app, OF_USER, Amount(files=2))
    await recalls.started("jane", "a")
    await recalls.order("john", "a", "b")
    await recalls.order("john", "c")
    await recalls.start("john")
    await app.run()

    assert await recalls.requests() == [(2, ["a"]), (2, ["b"]), (2, ["c"])]


async def _stalled(app: AppHarness) -> list[str]:
    async with app.store.unit_of_work(TENANT) as uow:
        found = await uow.reconciliation.stalled_owners("", 10, 0)
    return [one.name for one in found if one.next is not None]


@pytest.mark.parametrize("end", ["pause", "delete", "expire", "answer", "refuse", "stay silent"])
async def test_claims_end_with_what_ran(app: AppHarness, pool: Pool, end: str) -> None:
    """The next order starts, and only what it asks for is in flight."""
    await set_limit(app, OF_TENANT, Amount(bytes=15))
    first = await app.order("a")
    await app.run()
    second = await app.order("b")
    await app.run()
    waiting = await app.sub_orders(second)
    await _end(app, first, end)
    await app.run()

    claims = await pool.fetch(
        "select owner, sub_orders, files, bytes, promised, waiting from rs_order.capacity_claim"
        " where tenant = $1 order by owner",
        TENANT,
    )
    assert waiting == [("STORAGE", "READY")]
    assert await app.sub_orders(second) == [("STORAGE", "RUNNING")]
    assert [tuple(claim.values()) for claim in claims] == [
        ("", 1, 1, 10, 0, 0),
        (OWNER, 1, 1, 10, 0, 0),
    ]


async def _end(app: AppHarness, order: OrderId, end: str) -> None:
    match end:
        case "pause":
            await app.actions.pause_order.handle(JANE, order)
        case "delete":
            await app.actions.pause_order.handle(JANE, order)
            await app.actions.delete_order.handle(JANE, order)
        case "expire":
            await app.rows("update orders set expires_at = $2 where id = $1", order, NOW)
            await app.do(ExpireOrderStep(order).to(TENANT).body)
        case "answer":
            await app.storage_answers("a")
        case "refuse":
            await app.storage_answers(a="It is lost.")
        case "stay silent":
            await app.rows("update orders set expires_at = $1", NOW + timedelta(days=9))
            while await app.files(order) == {"a": "PENDING"}:
                app.clock.move(hours=1)
                await app.run()


@pytest.mark.parametrize("leaves", ["pause", "cancel", "expire", "hold", "answer"])
async def test_what_follows_starts_when_a_large_sub_order_leaves_the_queue(
    app: AppHarness, pool: Pool, rows: TenantRows, leaves: str
) -> None:
    """The user's limit has no room for the large one, but for the small one behind it."""
    await set_limit(app, OF_USER, Amount(files=3))
    await ready(rows, OWNER, 1)
    await schedule(app, OWNER)
    large = await ready(rows, OWNER, 4)
    await app.rows("update data_file set checksum = 'l' || checksum where order_id = $1", large)
    small = await rows.order()
    await rows.sub_order(small, {"small": FileState.PENDING}, state=SubOrderState.READY)
    await schedule(app, OWNER)
    before = await running(pool)
    await _leave(app, large, leaves)
    await app.run(ScheduleStep)

    assert before == [f"{OWNER}0"]
    assert await running(pool) == [f"{OWNER}0", "small"]


async def _leave(app: AppHarness, order: OrderId, how: str) -> None:
    match how:
        case "pause":
            await app.actions.pause_order.handle(JANE, order)
        case "cancel":
            await app.application.orders.cancel.handle(TENANT, [order])
        case "expire":
            await _end(app, order, how)
        case "hold":
            await hold(app, HeldThing(TENANT, None, order))
        case "answer":
            # Storage was asked for it before its order was paused and resumed.
            await app.rows("update sub_order set asks = 1 where order_id = $1", order)
            await app.storage_answers(*(f"l{OWNER}0-{number}" for number in range(4)))


async def hold(app: AppHarness, held: HeldThing) -> None:
    until = NOW + timedelta(hours=1)
    await app.application.holds.begin(held, reason="repair", until=until, by=ROOT)


async def test_who_follows_starts_when_a_user_with_a_large_sub_order_is_held(
    app: AppHarness, pool: Pool, rows: TenantRows
) -> None:
    """The tenant's limit has no room for the large one, but for the other user's small one."""
    await set_limit(app, OF_TENANT, Amount(files=3))
    await ready(rows, "a", 1)
    await schedule(app, "a")
    await ready(rows, "b", 4)
    await schedule(app, "b")
    await ready(rows, "c", 1)
    await schedule(app, "c")
    before = await running(pool)
    await hold(app, HeldThing(TENANT, "b", None))
    await app.run(ScheduleStep)

    assert before == ["a0"]
    assert await running(pool) == ["a0", "c0"]


async def test_a_limit_is_previewed_audited_and_applies_at_once(
    app: AppHarness, pool: Pool, rows: TenantRows
) -> None:
    """A preview changes nothing; the same limit again is no change."""
    limits = app.application.limits
    await set_limit(app, OF_TENANT, Amount(sub_orders=1))
    await ready(rows, "a", 1)
    await ready(rows, "b", 1)
    await schedule(app, "a", "b")
    raised = NewLimit.of(TENANT, OF_TENANT, Amount(sub_orders=2))
    as_it_is = [one.owner for one in (await app.application.shares.queue()).next]
    previewed = [one.owner for one in (await limits.preview(raised)).next]
    unchanged = (await limits.show(TENANT)).of_tenant
    for _ in range(2):
        await set_limit(app, OF_TENANT, raised.limit)
    shown = await limits.show(TENANT)
    await app.run()

    assert (as_it_is, previewed) == ([], ["b"])
    assert unchanged == Amount(sub_orders=1)
    assert (shown.of_tenant, shown.of_user) == (Amount(sub_orders=2), NOTHING)
    assert shown.in_flight == Amount(1, 1, FILE_BYTES)
    assert await running(pool) == ["a0", "b0"]
    entries = await app.rows(
        "select object_id, before, after, reason from rs_order.audit"
        " where action = 'limit.changed' order by id"
    )
    none, one, two = ({"subOrders": number, "files": 0, "bytes": 0} for number in range(3))
    assert [tuple(entry.values()) for entry in entries] == [
        ("tenant", none, one, "a test"),
        ("tenant", one, two, "a test"),
    ]
