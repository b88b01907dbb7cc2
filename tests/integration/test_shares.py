"""Free capacity goes to those who used least of it, in proportion to their weights (waiting.md T2)."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from rs_order.core.errors import WeightRejected
from rs_order.core.shared_steps import ScheduleStep
from rs_order.domain.holds import HeldThing
from rs_order.domain.ids import OrderId, SubOrderId, Tenant
from rs_order.domain.shares import HALF_LIFE, Amount, CapacityQueue
from rs_order.domain.states import FileState, SubOrderState
from rs_order.shares.weights import NewWeight
from rs_order.store.audit import AuditActor, Door
from rs_order.store.pool import Pool
from rs_order.store.unit_of_work import Store
from tests.integration.app_harness import AppHarness
from tests.integration.conftest import OTHER, TENANT
from tests.support.clock import NOW
from tests.support.rows import TenantRows

GB = 10**9
ROOT = AuditActor("root@example.org", Door.REST, "INSTANCE_ADMIN")
Uses = Mapping[tuple[Tenant, str], tuple[int, float]]
"""Bytes that were asked of storage, and how many hours ago, by tenant and owner."""


async def queue(store: Store, uses: Uses) -> None:
    """Charge the uses, and let all these owners wait. Later ones have lower ranks."""
    for number, ((tenant, owner), (size, hours)) in enumerate(uses.items()):
        async with store.unit_of_work(tenant) as uow:
            if size:
                await uow.capacity.charge(owner, size, NOW - timedelta(hours=hours), HALF_LIFE)
            await uow.capacity.wait(owner, NOW - timedelta(minutes=number), "REGISTERED_USER")


async def in_turn(store: Store) -> list[tuple[Tenant, str]]:
    """Wake one owner after the other, each when the one before has started, and return them."""
    woken: list[tuple[Tenant, str]] = []
    async with store.unit_of_work(TENANT) as uow:
        while found := await uow.capacity.next_waiters(1):
            woken += found
            await uow.capacity._connection.execute(  # noqa: SLF001 - what a pass of any tenant does
                "delete from rs_order.waiting_user where woken_at is not null"
            )
    return woken


@pytest.mark.parametrize(
    ("uses", "order"),
    [
        pytest.param(
            {(TENANT, "large"): (9 * GB, 1), (TENANT, "small"): (GB, 1), (TENANT, "new"): (0, 0)},
            "new small large",
            id="the smallest use first",
        ),
        pytest.param(
            {(TENANT, "now"): (4 * GB, 0), (TENANT, "before"): (10 * GB, 12)},
            "before now",
            id="use is halved every six hours",
        ),
        pytest.param(
            {(TENANT, "heavy"): (10 * GB, 0), (TENANT, "light"): (3 * GB, 0)},
            "heavy light",
            id="in proportion to weights",
        ),
        pytest.param(
            {
                (TENANT, "a"): (2 * GB, 0),
                (TENANT, "b"): (3 * GB, 0),
                (OTHER, "c"): (4 * GB, 0),
            },
            "c a b",
            id="the tenant first",
        ),
        pytest.param(
            {(TENANT, "second"): (0, 0), (TENANT, "first"): (0, 0)}, "first second", id="ranks"
        ),
        pytest.param(
            {(TENANT, "long ago"): (1, 10**6), (TENANT, "never"): (0, 0)},
            "never long ago",
            id="use of a century ago",
        ),
    ],
)
async def test_who_starts_next(store: Store, pool: Pool, uses: Uses, order: str) -> None:
    """The user named heavy has the weight 4."""
    await queue(store, uses)
    await pool.execute("update rs_order.share set weight = 4 where owner = 'heavy'")

    assert " ".join(owner for _, owner in await in_turn(store)) == order


async def test_the_weight_of_a_role_is_the_default_of_its_users(store: Store, pool: Pool) -> None:
    """A weight of the user's own comes before it."""
    await queue(store, {(TENANT, owner): (GB, 0) for owner in ("a", "b", "own")})
    await pool.execute("update rs_order.share set weight = 2 where owner = 'own'")
    await pool.execute("insert into rs_order.role_weight values ($1, 'REGISTERED_USER', 1)", TENANT)
    before = await in_turn(store)
    await queue(store, {(TENANT, owner): (0, 0) for owner in ("a", "b", "own")})
    await pool.execute("update rs_order.role_weight set weight = 3")
    after = await in_turn(store)

    assert [owner for _, owner in before] == ["own", "b", "a"]
    assert [owner for _, owner in after] == ["b", "a", "own"]


async def test_capacity_for_several_is_spread_over_tenants(store: Store) -> None:
    """Two of one tenant don't start before one of the other."""
    await queue(store, {(TENANT, "a"): (0, 0), (TENANT, "b"): (0, 0), (OTHER, "c"): (GB, 0)})
    async with store.unit_of_work(TENANT) as uow:
        woken = await uow.capacity.next_waiters(2)

    assert woken == [(TENANT, "b"), (OTHER, "c")]


async def test_another_half_life_applies_to_all_uses(store: Store, pool: Pool) -> None:
    """With a half-life of six hours, 10 GB of twelve hours ago are 2.5 GB; with one of a year, 10 GB."""
    await queue(store, {(TENANT, "now"): (4 * GB, 0), (TENANT, "before"): (10 * GB, 12)})
    async with store.unit_of_work(TENANT) as uow:
        halved = [one.owner for one in await uow.capacity.first_waiters(2)]
    app = AppHarness(pool, jobs_pool_size=2, share_half_life_hours=8760)
    await app.application.scheduling.schedule.begin()
    async with store.unit_of_work(TENANT) as uow:
        kept = [one.owner for one in await uow.capacity.first_waiters(2)]

    assert (halved, kept) == (["before", "now"], ["now", "before"])


async def test_nothing_is_counted_while_nothing_is_limited(store: Store, pool: Pool) -> None:
    """A start without a limit forgets who waited; a limit counts what runs meanwhile."""
    claims = "select count(*) from rs_order.capacity_claim"
    await queue(store, {(TENANT, "a"): (GB, 0)})
    counted = await pool.fetchval(claims)
    await AppHarness(pool).application.scheduling.schedule.begin()
    async with store.unit_of_work(TENANT) as uow:
        await uow.capacity.acquire("b", {SubOrderId(1): Amount(1, 10, GB)})
    uncounted = await pool.fetchval(claims)
    waiting = await pool.fetchval("select count(*) from rs_order.waiting_user")
    async with store.unit_of_work(TENANT) as uow:
        used = (await uow.capacity.claims("")).used
        await uow.capacity.release([SubOrderId(1)])
        released = (await uow.capacity.claims("")).used

    assert (counted > 0, uncounted, waiting) == (True, 0, 0)
    assert (used, released) == (1, 0)


async def test_claims_are_those_of_active_tenants(store: Store, pool: Pool) -> None:
    """What an inactive tenant runs, and what is promised to it, limits nobody."""
    for tenant in (TENANT, OTHER):
        async with store.unit_of_work(tenant) as uow:
            await uow.capacity.acquire("a", {SubOrderId(1): Amount(1)})
            await uow.capacity.wait("a", NOW)
            await uow.capacity.wait("b", NOW)
    async with store.unit_of_work(TENANT) as uow:
        await uow.capacity.next_waiters(2)
        both = await uow.capacity.claims("")
    await pool.execute("update rs_order.tenant set active = name = $1", TENANT)
    async with store.unit_of_work(TENANT) as uow:
        one = await uow.capacity.claims("")

    assert (both.used, both.promised) == (2, 2)
    assert (one.used, one.promised) == (1, 1)


@pytest.fixture
def app(pool: Pool) -> AppHarness:
    return AppHarness(pool, jobs_pool_size=2, max_storage_files_jobs_per_user=0)


async def ready(rows: TenantRows, owner: str, sub_orders: int) -> OrderId:
    """Write an order with ready sub-orders of one file each, named after the owner and numbered."""
    order = await rows.order(owner=owner)
    for number in range(sub_orders):
        files = {f"{owner}{number}": FileState.PENDING}
        await rows.sub_order(order, files, state=SubOrderState.READY, owner=owner)
    return order


async def running(app: AppHarness) -> list[str]:
    found = await app.rows(
        "select name from data_file join sub_order on sub_order.id = sub_order_id"
        " where sub_order.state = 'RUNNING' order by name"
    )
    return [row["name"] for row in found]


async def test_a_newcomer_starts_at_the_next_release(app: AppHarness, rows: TenantRows) -> None:
    """However much the other user has ordered, and although their own release schedules them first."""
    await ready(rows, "large", 6)
    await app.do(ScheduleStep("large").to(TENANT).body)
    await ready(rows, "small", 1)
    await app.do(ScheduleStep("small").to(TENANT).body)
    before = await running(app)
    await app.storage_answers(before[0])
    await app.do(ScheduleStep("large").to(TENANT).body)
    in_between = await running(app)
    await app.run()

    assert len(before) == 2
    assert in_between == before[1:]
    assert await running(app) == [before[1], "small0"]


async def test_users_share_what_one_of_them_wants_all_of(app: AppHarness, rows: TenantRows) -> None:
    """Of twelve sub-orders that start, each of three users gets four."""
    for owner in ("large", "first", "second"):
        await ready(rows, owner, 12 if owner == "large" else 4)
        await app.do(ScheduleStep(owner).to(TENANT).body)
    started: list[str] = await running(app)
    for number in range(10):
        await app.storage_answers(started[number])
        await app.run()
        started += set(await running(app)) - set(started)

    owners = [name.rstrip("0123456789") for name in started]
    assert sorted(owners.count(owner) for owner in ("large", "first", "second")) == [4, 4, 4]


async def test_what_was_promised_is_free_again_if_it_is_not_needed(
    app: AppHarness, rows: TenantRows
) -> None:
    """The woken owner has nothing left to start; the reconciler finds it even if the step is lost."""
    await ready(rows, "large", 1)
    async with app.store.unit_of_work(TENANT) as uow:
        await uow.capacity.wait("gone", NOW)
        await uow.capacity.wait("large", NOW)
        assert [owner for _, owner in await uow.capacity.next_waiters(2)] == ["gone", "large"]
    await app.application.reconcile.resume(TENANT)
    await app.run()

    assert await running(app) == ["large0"]
    assert await app.rows("select from rs_order.waiting_user") == []


async def test_a_preview_changes_nothing(app: AppHarness) -> None:
    """It shows who would start next with a weight or a hold; the change itself is audited, once."""
    await queue(app.store, {(TENANT, "a"): (GB, 0), (TENANT, "b"): (2 * GB, 0)})
    shares = app.application.shares
    new = NewWeight.of(TENANT, user="b", role=None, weight=8)

    def owners(found: CapacityQueue) -> list[str]:
        return [one.owner for one in found.next]

    as_it_is = owners(await shares.queue())
    with_weight = owners(await shares.preview(new))
    with_hold = owners(
        await app.application.holds.preview(
            HeldThing(TENANT), reason="repair", until=NOW + timedelta(hours=1)
        )
    )
    unchanged = owners(await shares.queue())
    for _ in range(2):
        await shares.change(new, reason="a campaign", by=ROOT)
    await shares.change(
        NewWeight.of(TENANT, user=None, role="ADMIN", weight=3), reason="x", by=ROOT
    )
    changed = owners(await shares.queue())
    listed = [(one.kind, one.name, one.weight) for one in await shares.list(TENANT)]
    await shares.change(NewWeight.of(TENANT, user="b", role=None, weight=None), reason="y", by=ROOT)

    assert (as_it_is, with_weight, with_hold) == (["a", "b"], ["b", "a"], [])
    assert (unchanged, changed, owners(await shares.queue())) == (as_it_is, ["b", "a"], ["a", "b"])
    assert listed == [
        ("tenant", TENANT, None),
        ("role", "ADMIN", 3),
        ("user", "b", 8),
        ("user", "a", None),
    ]
    assert await app.rows("select from rs_order.hold") == []
    entries = await app.rows(
        "select object_id, before, after, reason from rs_order.audit"
        " where action = 'weight.changed' order by id"
    )
    assert [tuple(entry.values()) for entry in entries] == [
        ("user b", None, 8, "a campaign"),
        ("role ADMIN", None, 3, "x"),
        ("user b", 8, None, "y"),
    ]


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        ({"weight": 0}, "weight-out-of-range"),
        ({"weight": -1}, "weight-out-of-range"),
        ({"weight": 1001}, "weight-out-of-range"),
        ({"weight": float("nan")}, "weight-out-of-range"),
        ({"user": "a", "role": "ADMIN"}, "weight-of-two"),
    ],
)
def test_a_weight_that_is_rejected(wanted: dict[str, Any], code: str) -> None:
    """Each rejection has its code."""
    with pytest.raises(WeightRejected) as rejected:
        NewWeight.of(TENANT, **{"user": None, "role": None, "weight": 1, **wanted})

    assert rejected.value.code == code


async def test_files_without_a_size_count_too(app: AppHarness, rows: TenantRows) -> None:
    """Otherwise their user would always be first."""
    await ready(rows, "large", 1)
    await app.rows("update data_file set size = null")
    await app.rows("update sub_order set pending_bytes = 0")
    await app.do(ScheduleStep("large").to(TENANT).body)

    used = await app.rows("select owner, used_bytes from rs_order.share order by owner")
    assert [tuple(row.values()) for row in used] == [("", 2**20), ("large", 2**20)]
