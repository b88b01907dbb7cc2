"""Promise 7: tenants never meet, even with the same ids on the same connection."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from rs_order.app.clock import SystemClock
from rs_order.core.links import Links
from rs_order.core.policies import SlotLimits
from rs_order.core.settlement import Settlement
from rs_order.domain.ids import Checksum, DataFileId, OrderId, SubOrderId, Tenant
from rs_order.domain.shares import Amount
from rs_order.domain.states import FileState
from rs_order.scheduling.restoration import ApplyAvailability
from rs_order.store.downloads import StoredDownloads
from rs_order.store.pool import Pool
from rs_order.store.requests import NewRequest
from rs_order.store.tenants import Tenants
from rs_order.store.unit_of_work import Store
from tests.support.clock import NOW
from tests.support.rows import TenantRows, in_tenant
from tests.support.stores import MigratedDatabases

ONE, TWO = Tenant("project1"), Tenant("project2")
SHARED = Checksum("c" * 32)
A_REQUEST = NewRequest("same-correlation-id", b"same-fingerprint", '{"queries": ["*"]}')


@pytest.fixture
async def pool(migrated_databases: MigratedDatabases) -> AsyncIterator[Pool]:
    """A single connection that both tenants use alternately."""
    async with migrated_databases.pool(ONE, TWO, size=1) as (opened, _):
        yield opened


@pytest.fixture
def store(pool: Pool) -> Store:
    return Store(pool, lambda _: None)


async def state_of(pool: Pool, tenant: Tenant) -> list[tuple[str, int]]:
    """Return the status and the number of available files of each order."""
    async with in_tenant(pool, tenant) as connection:
        found = await connection.fetch("select status, available_files from orders order by id")
    return [(row["status"], row["available_files"]) for row in found]


async def test_w10_promise_7_tenants_never_meet_in_an_event_of_storage(
    pool: Pool, store: Store
) -> None:
    """Both wait for the same checksum in orders with the same id; the event belongs to one of them."""
    for tenant in (ONE, TWO):
        rows = TenantRows(pool, tenant)
        order = await rows.order(correlation_id="same")
        await rows.sub_order(order, {SHARED: FileState.PENDING})

        assert order == 1

    links = Links(None, Tenants(pool), prefix="/api/v1", fallback="http://localhost")
    use_case = ApplyAvailability(store, Settlement(SlotLimits(), links), SystemClock())
    await use_case.handle(ONE, [SHARED], {})

    assert await state_of(pool, ONE) == [("DONE", 1)]
    assert await state_of(pool, TWO) == [("RUNNING", 0)]

    sent = await pool.fetch(
        "select distinct tenant, split_part(stream, '/', 1) as of from rs_order.outbox"
    )

    assert {row["tenant"] for row in sent} == {ONE}
    assert {row["of"] for row in sent} - {None} == {ONE}


async def test_promise_7_tenants_never_meet_in_the_inbox(store: Store) -> None:
    """The same request of two tenants is two requests; each tenant recognises its own repetition."""
    for new in (True, False):
        for tenant in (ONE, TWO):
            async with store.unit_of_work(tenant) as uow:
                (recorded,) = await uow.requests.record([A_REQUEST], NOW)

            assert recorded.new is new


async def test_promise_7_tenants_never_meet_in_a_download(pool: Pool) -> None:
    """The id of an order of one tenant finds nothing in the other."""
    rows = TenantRows(pool, ONE)
    order = await rows.order()
    await rows.sub_order(order, {SHARED: FileState.PENDING})

    downloads = StoredDownloads(pool)

    assert await downloads.order(ONE, order) is not None
    assert await downloads.order(TWO, order) is None
    assert await downloads.available_files(TWO, order, after=DataFileId(0), limit=10) == []


@pytest.mark.parametrize("ends", ["commit", "exception", "cancelled"])
async def test_promise_7_tenants_never_meet_on_a_reused_connection(
    ends: str, pool: Pool, store: Store
) -> None:
    """However a unit of work ends, its connection is returned to the pool without a tenant."""
    session = "select pg_backend_pid(), current_setting('search_path')"
    before = await pool.fetch(session)
    failures = {"exception": KeyError, "cancelled": asyncio.CancelledError}
    try:
        async with store.unit_of_work(ONE) as uow:
            await uow.settings()
            if ends in failures:
                raise failures[ends]
    except (KeyError, asyncio.CancelledError):
        pass  # raised above, to end the unit of work

    assert await pool.fetch(session) == before
    assert await pool.fetchval("select to_regclass('orders')") is None


async def test_promise_7_tenants_never_meet_when_they_alternate(pool: Pool, store: Store) -> None:
    """A statement prepared for one tenant reads the schema of the other when run for it."""
    orders = {
        tenant: await TenantRows(pool, tenant).order(correlation_id=tenant) for tenant in (ONE, TWO)
    }
    for tenant in (ONE, TWO) * 5:
        async with store.unit_of_work(tenant) as uow:
            (order,) = await uow.orders.lock([OrderId(orders[tenant])])

        assert order.correlation_id == tenant


async def test_promise_7_tenants_never_meet_in_the_limit_of_the_service(
    store: Store, pool: Pool
) -> None:
    """The only shared table distinguishes equal sub-order ids of two tenants."""
    for tenant in (ONE, TWO):
        async with store.unit_of_work(tenant) as uow:
            await uow.capacity.acquire("jane", {SubOrderId(1): Amount(1)})
    async with store.unit_of_work(ONE) as uow:
        await uow.capacity.release([SubOrderId(1)])

    left = await pool.fetch("select tenant from rs_order.running_sub_order")

    assert [row["tenant"] for row in left] == [TWO]
