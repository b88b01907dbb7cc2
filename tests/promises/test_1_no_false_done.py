"""Promise 1: no false done. A file becomes available only if storage reports it after a request."""

from collections.abc import AsyncIterator

import pytest

from rs_order.app.clock import SystemClock
from rs_order.core.links import Links
from rs_order.core.policies import SlotLimits
from rs_order.core.settlement import Settlement
from rs_order.domain.ids import Checksum, Tenant
from rs_order.domain.states import FileState, OrderStatus, SubOrderState
from rs_order.scheduling.restoration import ApplyAvailability
from rs_order.store.pool import Pool
from rs_order.store.tenants import Tenants
from rs_order.store.unit_of_work import Store
from tests.support.rows import TenantRows, in_tenant
from tests.support.stores import MigratedDatabases

TENANT = Tenant("project1")
A, B = Checksum("a" * 32), Checksum("b" * 32)
PENDING, AVAILABLE, ERROR = FileState.PENDING, FileState.AVAILABLE, FileState.ERROR
RUNNING = SubOrderState.RUNNING


@pytest.fixture
async def pool(migrated_databases: MigratedDatabases) -> AsyncIterator[Pool]:
    async with migrated_databases.pool(TENANT, size=2) as (opened, _):
        yield opened


async def report(pool: Pool, available: list[Checksum], unavailable: list[Checksum]) -> None:
    """Handle storage's events about files."""
    links = Links(None, Tenants(pool), prefix="/api/v1", fallback="http://localhost")
    store = Store(pool, lambda _: None)
    use_case = ApplyAvailability(store, Settlement(SlotLimits(), links), SystemClock())
    await use_case.handle(TENANT, available, dict.fromkeys(unavailable, "broken"))


@pytest.mark.parametrize(
    ("files", "state", "available", "unavailable", "status", "after"),
    [
        ({A: PENDING, B: PENDING}, RUNNING, [A], [], "RUNNING", [AVAILABLE, PENDING]),
        ({A: PENDING, B: PENDING}, RUNNING, [A, B], [], "DONE", [AVAILABLE, AVAILABLE]),
        ({A: PENDING, B: PENDING}, RUNNING, [A], [B], "DONE_WITH_WARNING", [AVAILABLE, ERROR]),
        ({A: PENDING, B: PENDING}, RUNNING, [], [A, B], "FAILED", [ERROR, ERROR]),
        ({A: PENDING, B: PENDING}, RUNNING, [A, B], [A], "DONE_WITH_WARNING", [ERROR, AVAILABLE]),
        ({A: AVAILABLE, B: PENDING}, RUNNING, [], [A], "RUNNING", [ERROR, PENDING]),
        ({A: PENDING, B: PENDING}, SubOrderState.READY, [A, B], [], "RUNNING", [PENDING, PENDING]),
        ({A: PENDING, B: PENDING}, SubOrderState.BUILDING, [A], [B], "RUNNING", [PENDING, PENDING]),
        ({A: ERROR, B: PENDING}, RUNNING, [A], [], "RUNNING", [ERROR, PENDING]),
    ],
    ids=[
        "one of two",
        "both",
        "one is broken",
        "both are broken",
        "reported as both: unavailable wins",
        "error after available",
        "not requested",
        "sub-order not complete",
        "error is final",
    ],
)
async def test_promise_1_no_false_done(
    *,
    files: dict[str, FileState],
    state: SubOrderState,
    available: list[Checksum],
    unavailable: list[Checksum],
    status: str,
    after: list[FileState],
    pool: Pool,
) -> None:
    """Events of storage determine the states of two files and the status of their order."""
    rows = TenantRows(pool, TENANT)
    await rows.sub_order(await rows.order(), files, state=state)
    await report(pool, available, unavailable)
    async with in_tenant(pool, TENANT) as connection:
        order = await connection.fetchval("select status from orders")
        states = await connection.fetch("select state from data_file order by checksum")

    assert order == status
    assert [row["state"] for row in states] == after


@pytest.mark.parametrize("status", [OrderStatus.DELETED, OrderStatus.EXPIRED])
async def test_promise_1_no_false_done_for_a_deleted_or_expired_order(
    status: OrderStatus, pool: Pool
) -> None:
    """A late event changes nothing and causes no message."""
    rows = TenantRows(pool, TENANT)
    await rows.sub_order(await rows.order(status), {A: PENDING})
    await report(pool, [A], [])
    async with in_tenant(pool, TENANT) as connection:
        states = await connection.fetch("select state from data_file")

    assert [row["state"] for row in states] == [PENDING]
    assert await pool.fetchval("select count(*) from rs_order.outbox") == 0
