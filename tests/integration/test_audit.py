"""The audit only grows: an entry is committed with its act, and nobody changes or deletes it for a year."""

from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from rs_order.store.audit import (
    Audit,
    AuditAction,
    AuditActor,
    AuditEntry,
    AuditSearch,
    Door,
    purge,
    record,
)
from rs_order.store.pool import Pool, transaction
from rs_order.store.tenants import Tenants
from tests.integration.conftest import OTHER, TENANT

ADMIN = AuditActor("admin@x.org", Door.REST, "PROJECT_ADMIN", "c-1")
OPERATOR = AuditActor("root", Door.CLI)
SETTING = AuditEntry(
    action=AuditAction.SETTING_CHANGED,
    by=ADMIN,
    tenant=TENANT,
    object_id="app_sub_order_duration",
    before=2,
    after={"a\0": ["\ud800", 3]},
    reason="because\0",
)
MAINTENANCE = AuditEntry(
    action=AuditAction.MAINTENANCE_SWITCHED,
    by=OPERATOR,
    tenant=OTHER,
    object_id=OTHER,
    before=False,
    after=True,
)


@pytest.fixture
async def audit(pool: Pool) -> Audit:
    async with transaction(pool) as connection:
        await record(connection, SETTING)
        await record(connection, MAINTENANCE)
    return Audit(pool, read_at_a_time=1)


async def test_an_entry_is_read_as_it_was_recorded(audit: Audit) -> None:
    """Characters that PostgreSQL can't store are replaced, so that no act fails because of its entry."""
    newest, oldest = await audit.page(AuditSearch(), limit=2)

    assert (newest.actor, newest.role, newest.door) == ("root", None, "cli")
    assert (newest.tenant, newest.object_kind, newest.object_id) == (OTHER, "maintenance", OTHER)
    assert (oldest.before, oldest.after) == (2, {"a?": ["?", 3]})
    assert (oldest.reason, oldest.correlation_id) == ("because?", "c-1")
    assert newest.at >= oldest.at


async def test_entries_are_found_by_each_condition(audit: Audit) -> None:
    """The export reads page after page with the same conditions."""
    setting, switch, tenant = "setting.changed", "maintenance.switched", "tenant.added"
    year_2000 = datetime(2000, 1, 1, tzinfo=UTC)
    for search, found in (
        (AuditSearch(tenant=TENANT), [setting, tenant]),
        (AuditSearch(actor="admin@"), [setting]),
        (AuditSearch(action=switch), [switch]),
        (AuditSearch(action="tenant"), [tenant, tenant]),
        (AuditSearch(object_kind="setting", object_id="app_sub_order_duration"), [setting]),
        (AuditSearch(since=year_2000), [switch, setting, tenant, tenant]),
        (AuditSearch(until=year_2000), []),
    ):
        assert [entry.action async for part in audit.export(search) for entry in part] == found


async def test_no_statement_changes_entries(audit: Audit, pool: Pool) -> None:
    """A trigger refuses it, so the service itself can't do it either."""
    before = await audit.page(AuditSearch(), limit=10)

    for change in (
        "update rs_order.audit set reason = 'another'",
        "delete from rs_order.audit",
        "truncate rs_order.audit",
    ):
        with pytest.raises(asyncpg.CheckViolationError):
            await pool.execute(change)

    assert await audit.page(AuditSearch(), limit=10) == before


async def test_an_entry_is_undone_with_its_act(audit: Audit, pool: Pool) -> None:
    """It is part of the same transaction."""

    async def failing_act() -> None:
        async with transaction(pool) as connection:
            await record(connection, SETTING)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await failing_act()

    assert len(await audit.page(AuditSearch(), limit=10)) == 4


async def test_only_entries_older_than_a_year_are_purged(audit: Audit, pool: Pool) -> None:
    """A retention that is too short deletes nothing at all: the trigger refuses it."""
    for days in (364, 366, 400):
        await pool.execute(
            "insert into rs_order.audit (at, actor, door, action, object_kind, object_id) "
            "values (clock_timestamp() - $1::interval, 'old', 'cli', 'tenant.added', 'tenant', $2)",
            timedelta(days=days),
            str(days),
        )

    async with pool.acquire() as connection:
        with pytest.raises(asyncpg.CheckViolationError):
            await purge(connection, 100, 10)
        assert await purge(connection, 365, 1) == 1
        assert await purge(connection, 365, 10) == 1

    left = [entry.object_id for entry in await audit.page(AuditSearch(actor="old"), limit=10)]
    assert left == ["364"]


async def test_changes_of_tenants_are_audited_once(pool: Pool) -> None:
    """Whoever repeats an act, such as each instance that receives an event, leaves no second entry."""
    tenants = Tenants(pool)
    for _ in range(2):
        await tenants.add(OTHER, "https://x.org", OPERATOR)
        await tenants.add(OTHER)
    for _ in range(2):
        await tenants.disable(OTHER, OPERATOR)
    for _ in range(2):
        await tenants.activate(OTHER, datetime.now(UTC))
    for _ in range(2):
        await tenants.deactivate(OTHER, datetime.now(UTC))

    entries = await Audit(pool).page(AuditSearch(tenant=OTHER), limit=10)
    known = "https://x.org"
    assert [(one.action, one.actor, one.after) for one in reversed(entries)] == [
        ("tenant.added", "rs-order", {"active": True, "host": None}),
        ("tenant.added", "root", {"active": True, "host": known}),
        ("tenant.disabled", "root", {"active": False, "host": known}),
        ("tenant.added", "rs-admin-instance", {"active": True, "host": known}),
        ("tenant.disabled", "rs-admin-instance", {"active": False, "host": known}),
    ]
