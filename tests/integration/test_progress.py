"""Why orders aren't further: each state of an order has one reason (faces.md 10)."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from rs_order.core.order_watch import OrderWatch, version_of
from rs_order.core.reason_texts import TEXTS, Language, language_of
from rs_order.domain.ids import OrderId
from rs_order.domain.reasons import MEANINGS, ReasonCode, Reasons, TurnScope, reasons_of
from rs_order.domain.states import FileState, OrderStatus, SubOrderState
from rs_order.store.pool import Pool
from rs_order.store.progress import OrderProgress, Progress, Turn
from tests.integration.app_harness import TENANT
from tests.support.clock import NOW, ManualClock
from tests.support.counting import counted
from tests.support.rows import OWNER, TenantRows, in_tenant
from tests.support.stores import MigratedDatabases

LATER = NOW + timedelta(hours=1)
SLOTS = 2
PENDING, AVAILABLE = FileState.PENDING, FileState.AVAILABLE


@pytest.fixture
def progress(pool: Pool) -> Progress:
    return Progress(pool, slots_per_user=SLOTS, silent_after=timedelta(minutes=30))


async def sql(pool: Pool, statement: str, *parameters: Any) -> None:
    async with in_tenant(pool, TENANT) as connection:
        await connection.execute(statement, *parameters)


async def found(progress: Progress, order: OrderId) -> OrderProgress:
    facts = await progress.facts(TENANT, [order], LATER)
    return await progress.details(TENANT, order, facts[order], LATER)


async def reasons(progress: Progress, order: OrderId) -> Reasons:
    """Return the reasons, which are the same in a list and for one order."""
    whole = reasons_of((await found(progress, order)).facts, SLOTS)
    listed = reasons_of((await progress.facts(TENANT, [order], LATER))[order], SLOTS)
    assert (whole.reason.code, [one.code for one in whole.also]) == (
        listed.reason.code,
        [one.code for one in listed.also],
    )
    return whole


@pytest.mark.parametrize(
    ("before", "code"),
    [
        ("update orders set status = 'PAUSED'", ReasonCode.PAUSED_BY_SERVICE),
        (
            (
                "with paused as (update orders set status = 'PAUSED' returning id)"
                " insert into history (order_id, after, reason, actor)"
                " select id, 'PAUSED', 'paused', 'alan@example.org' from paused"
            ),
            ReasonCode.PAUSED_BY_ADMINISTRATOR,
        ),
        (
            (
                "with paused as (update orders set status = 'PAUSED' returning id, owner)"
                " insert into history (order_id, after, reason, actor)"
                " select id, 'PAUSED', 'paused', owner from paused"
            ),
            ReasonCode.PAUSED_BY_YOU,
        ),
        ("update rs_order.tenant set maintenance = true", ReasonCode.MAINTENANCE),
        ("update rs_order.tenant set active = false", ReasonCode.MAINTENANCE),
        ("insert into completion (order_id) select id from orders", ReasonCode.READING_CATALOG),
        (
            "insert into completion (order_id, unavailable_since) select id, now() from orders",
            ReasonCode.CATALOG_UNREACHABLE,
        ),
        (
            "insert into retry (order_id, status_before) select id, 'FAILED' from orders",
            ReasonCode.RETRY_RUNNING,
        ),
        ("update sub_order set asks = 1", ReasonCode.STORAGE_RESTORING),
        ("update sub_order set asks = 3", ReasonCode.STORAGE_SILENT),
        ("update sub_order set asks = 2, asked_at = now() + '1 day'", ReasonCode.STORAGE_RESTORING),
        ("update sub_order set expected_latest = 3599", ReasonCode.STORAGE_LATE),
        ("update sub_order set expected_latest = 3600", ReasonCode.STORAGE_RESTORING),
        ("update sub_order set asks = 3, expected_latest = 60", ReasonCode.STORAGE_LATE),
        ("update sub_order set state = 'READY'", ReasonCode.REQUEST_QUEUED),
        (
            (
                "with ready as (update sub_order set state = 'READY' returning owner)"
                " insert into rs_order.waiting_user (tenant, owner, rank)"
                " select 'project1', owner, now() from ready"
            ),
            ReasonCode.SERVICE_LIMIT,
        ),
        (
            (
                "with ready as (update sub_order set state = 'READY' returning owner)"
                " insert into rs_order.hold (tenant, owner, reason, created_by, created_at, until)"
                " select 'project1', owner, 'repair', 'root', now(), now() + '1 day' from ready"
            ),
            ReasonCode.HELD,
        ),
        (
            "update sub_order set kind = 'PROCESSING', state = 'PROCESSING'",
            ReasonCode.PROCESS_RUNNING,
        ),
    ],
)
async def test_each_state_has_its_reason(
    pool: Pool, progress: Progress, rows: TenantRows, before: str, code: ReasonCode
) -> None:
    """In a list and for one order."""
    order = await rows.order()
    await rows.sub_order(order, {"a": PENDING, "b": PENDING})
    await sql(pool, before)

    assert (await reasons(progress, order)).reason.code is code


async def test_the_nearest_sub_order_comes_first(
    pool: Pool, progress: Progress, rows: TenantRows
) -> None:
    """Others are grouped. When only a download makes a slot free, it is the owner's turn."""
    first, second = await rows.order(), await rows.order()
    running = await rows.sub_order(first, {"a": PENDING})
    await rows.sub_order(first, {"b": AVAILABLE}, state=SubOrderState.WAITING)
    for name in "cd":
        await rows.sub_order(first, {name: PENDING}, state=SubOrderState.READY)
    await rows.sub_order(second, {"e": PENDING}, state=SubOrderState.READY)
    mixed, waits = await reasons(progress, first), await reasons(progress, second)
    document = await found(progress, second)
    await sql(
        pool,
        "update sub_order set state = 'WAITING', pending_files = 0, pending_bytes = 0,"
        " available_files = 1, available_bytes = 10 where id = $1",
        running,
    )
    await sql(
        pool,
        "update orders set pending_files = 2, pending_bytes = 20, available_files = 2,"
        " available_bytes = 20 where id = $1",
        first,
    )
    gate = await reasons(progress, first)

    assert mixed.reason.code is ReasonCode.STORAGE_RESTORING
    assert [(one.code, one.sub_orders, one.files) for one in mixed.also] == [
        (ReasonCode.YOUR_DOWNLOAD_NEEDED, 2, 2)
    ]
    assert waits.reason.code is ReasonCode.YOUR_DOWNLOAD_NEEDED
    assert waits.reason.meaning.your_turn
    assert waits.reason.since == NOW
    assert document.ahead is not None
    assert (gate.reason.code, gate.also) == (ReasonCode.YOUR_DOWNLOAD_NEEDED, [])


async def test_running_sub_orders_that_use_all_slots(progress: Progress, rows: TenantRows) -> None:
    busy, order = await rows.order(), await rows.order()
    for name in "ab":
        await rows.sub_order(busy, {name: PENDING})
    await rows.sub_order(order, {"c": PENDING}, state=SubOrderState.READY)

    assert (await reasons(progress, order)).reason.code is ReasonCode.YOUR_LIMIT
    other = await rows.order(owner="john@example.org")
    await rows.sub_order(other, {"d": PENDING}, state=SubOrderState.READY, owner="john@example.org")
    assert (await reasons(progress, other)).reason.code is ReasonCode.REQUEST_QUEUED


async def test_others_are_served_first(pool: Pool, progress: Progress, rows: TenantRows) -> None:
    """Those with less recent use: of the tenant, else of other tenants."""
    order = await rows.order()
    await rows.sub_order(order, {"a": PENDING}, state=SubOrderState.READY)
    await sql(
        pool,
        "insert into rs_order.share (tenant, owner, used_bytes, used_at)"
        " values ($1, $2, 4000, $3), ($1, '', 4000, $3)",
        TENANT,
        OWNER,
        LATER,
    )
    await sql(
        pool,
        "insert into rs_order.waiting_user (tenant, owner, rank, files, bytes) values"
        " ($1, $2, $3, 1, 10), ($1, 'x', $3, 2, 20), ($1, 'y', $3, 3, 30), ('project2', 'z', $3, 4, 40)",
        TENANT,
        OWNER,
        NOW,
    )
    among_users, of_tenant = await reasons(progress, order), await found(progress, order)
    await sql(pool, "delete from rs_order.waiting_user where owner in ('x', 'y')")
    among_tenants, of_service = await reasons(progress, order), await found(progress, order)
    await sql(pool, "delete from rs_order.waiting_user where owner = 'z'")
    alone, nobody = await reasons(progress, order), await found(progress, order)

    assert among_users.reason.code is among_tenants.reason.code is ReasonCode.OTHERS_FIRST
    assert of_tenant.facts.others_first is TurnScope.TENANT
    assert of_tenant.turn == Turn(3, files=9, bytes=90, weight=1.0, used_bytes=4000)
    assert of_service.facts.others_first is TurnScope.SERVICE
    assert of_service.turn == Turn(1, files=4, bytes=40, weight=1.0, used_bytes=4000)
    assert (alone.reason.code, nobody.turn) == (ReasonCode.SERVICE_LIMIT, None)


@pytest.mark.parametrize(
    ("end", "code"),
    [
        ((OrderStatus.DONE, "storage-answered"), ReasonCode.DONE),
        ((OrderStatus.DONE_WITH_WARNING, "storage-answered"), ReasonCode.DONE_WITH_FAILURES),
        ((OrderStatus.FAILED, "storage-answered"), ReasonCode.STORAGE_REFUSED),
        ((OrderStatus.FAILED, "storage-silent"), ReasonCode.STORAGE_GAVE_NO_ANSWER),
        ((OrderStatus.FAILED, "completion-failed"), ReasonCode.CATALOG_FAILED),
        ((OrderStatus.FAILED, "nothing-to-order"), ReasonCode.NOTHING_TO_ORDER),
        ((OrderStatus.FAILED, "process-silent"), ReasonCode.PROCESS_FAILED),
        ((OrderStatus.EXPIRED, "expired"), ReasonCode.EXPIRED),
        ((OrderStatus.DELETED, "deleted"), ReasonCode.DELETED),
    ],
)
async def test_ended_orders(
    pool: Pool,
    progress: Progress,
    rows: TenantRows,
    end: tuple[OrderStatus, str],
    code: ReasonCode,
) -> None:
    status, last = end
    order = await rows.order(status)
    await sql(
        pool,
        "insert into history (order_id, after, reason, actor) values ($1, $2, $3, 'rs-order')",
        order,
        status,
        last,
    )

    assert (await reasons(progress, order)).reason.code is code


async def test_available_files_of_an_ended_order(
    pool: Pool, progress: Progress, rows: TenantRows
) -> None:
    """They are the owner's turn, unless their quota is used up."""
    order = await rows.order()
    await rows.sub_order(order, {"a": AVAILABLE}, state=SubOrderState.WAITING)
    await sql(pool, "update orders set status = 'DONE', available_at = $1", NOW)
    ready = await reasons(progress, order)
    await sql(pool, "update sub_order set quota_exceeded = true")

    assert (ready.reason.code, ready.reason.since) == (ReasonCode.READY_FOR_YOU, NOW)
    assert (await reasons(progress, order)).reason.code is ReasonCode.DOWNLOAD_QUOTA


async def test_the_number_of_statements(migrated_databases: MigratedDatabases) -> None:
    """One for a page of orders, at most three more for one. Expected times add two, once a minute."""
    async with migrated_databases.pool(TENANT, size=1) as (pool, _):
        rows = TenantRows(pool, TENANT)
        progress = Progress(pool, slots_per_user=SLOTS, silent_after=timedelta(minutes=30))
        orders = [await rows.order() for _ in range(5)]
        for order in orders:
            await rows.sub_order(order, {"a": PENDING})
            await rows.sub_order(order, {"b": AVAILABLE}, state=SubOrderState.WAITING)
            await rows.sub_order(order, {"c": PENDING}, state=SubOrderState.READY)
        await progress.facts(TENANT, orders, LATER)  # lets the driver read the types
        async with counted(pool) as of_page:
            for _ in range(3):  # the driver reports a statement after it is done
                facts = await progress.facts(TENANT, orders, LATER)
        async with counted(pool) as of_order:
            await progress.details(TENANT, orders[0], facts[orders[0]], LATER)

    assert set(facts) == set(orders)
    assert len(set(of_page)) == 1
    assert len(of_page) <= 3
    assert len([one for one in of_order if "select" in one and "set_config" not in one]) <= 3


async def test_a_waiting_request_is_notified_of_a_change(
    pool: Pool, progress: Progress, rows: TenantRows
) -> None:
    """Many wait for one reader, no connection is held, and nothing is read when none waits."""
    order = await rows.order()
    await rows.sub_order(order, {"a": PENDING})
    watch = OrderWatch(progress, ManualClock(), pause=0.01)
    version = version_of((await progress.facts(TENANT, [order], NOW))[order])
    waiting = [
        asyncio.create_task(watch.until_changed(TENANT, order, version, 45)) for _ in range(50)
    ]
    await sql(pool, "update orders set status = 'PAUSED'")
    await asyncio.gather(*waiting)
    await watch.until_changed(TENANT, order, "another", 45)
    after = version_of((await progress.facts(TENANT, [order], NOW))[order])
    await watch.until_changed(TENANT, order, after, 0.01)

    assert after != version
    assert not (await progress.facts(TENANT, [OrderId(987654321)], NOW))


def test_each_code_has_a_meaning_and_texts() -> None:
    """In both languages, with the same numbers."""
    assert list(MEANINGS) == list(ReasonCode)
    for language in Language:
        assert TEXTS[language].keys() == set(ReasonCode)
    assert OWNER not in str(TEXTS)


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        ("", Language.ENGLISH),
        ("fr", Language.FRENCH),
        ("fr-FR,fr;q=0.9,en;q=0.8", Language.FRENCH),
        ("en;q=0.9, fr;q=0.5", Language.ENGLISH),
        ("de, *;q=0.1", Language.ENGLISH),
        ("fr;q=nonsense", Language.ENGLISH),
    ],
)
def test_languages(accepted: str, language: Language) -> None:
    assert language_of(accepted) is language
