"""Tenants that come and go by the platform's word: the newest counts, in whatever order words come."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from rs_order.domain.ids import SubOrderId, Tenant
from rs_order.domain.states import OrderStatus
from rs_order.store.pool import InvalidTenantNameError, Pool
from rs_order.store.tenants import Tenants
from rs_order.store.unit_of_work import Store
from tests.integration.conftest import OTHER, TENANT
from tests.support.rows import TenantRows, in_tenant

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LATER = NOON + timedelta(seconds=5)


@pytest.fixture
async def tenants(pool: Pool) -> Tenants:
    known = Tenants(pool)
    await known.load()
    return known


async def test_a_tenant_that_goes_keeps_its_data(
    pool: Pool, tenants: Tenants, rows: TenantRows
) -> None:
    """It isn't served any more; when it comes again, everything is as it was."""
    order = await rows.order(OrderStatus.DONE)
    went = await tenants.deactivate(TENANT, NOON)
    again = await tenants.deactivate(TENANT, LATER)
    served = tenants.serves(TENANT)
    names = tenants.names()
    came = await tenants.activate(TENANT, LATER)
    async with in_tenant(pool, TENANT) as connection:
        orders = [row["id"] for row in await connection.fetch("select id from orders")]

    assert (went, again, served, names) == (True, True, False, [OTHER])
    assert (came, tenants.serves(TENANT), orders) == (True, True, [order])


async def test_the_newest_word_counts(tenants: Tenants) -> None:
    """What comes late changes nothing; within one second the last to come wins."""
    assert await tenants.activate("project3", NOON)
    assert await tenants.deactivate("project3", LATER)
    assert not await tenants.activate("project3", NOON)
    assert not tenants.serves("project3")
    assert await tenants.activate("project3", LATER)
    assert not await tenants.deactivate("project3", NOON)
    assert tenants.serves("project3")


async def test_a_late_word_is_late_for_one_that_went_twice(tenants: Tenants) -> None:
    """The connection goes, then the project: the second word counts too."""
    await tenants.activate("project3", NOON)
    await tenants.deactivate("project3", NOON)
    await tenants.deactivate("project3", LATER)

    assert not await tenants.activate("project3", NOON + timedelta(seconds=1))


async def test_an_operator_needs_no_leave(tenants: Tenants) -> None:
    """``rs-order tenant add`` brings a tenant back whatever the platform said before."""
    await tenants.deactivate(TENANT, LATER)
    await tenants.add(TENANT)

    assert tenants.serves(TENANT)
    assert not await tenants.deactivate(TENANT, NOON)


async def test_a_tenant_that_goes_before_it_came(tenants: Tenants) -> None:
    """It was connected and taken away at once, and is provisioned by a step that comes later."""
    gone = await tenants.deactivate("quick", LATER)

    assert gone
    assert tenants.is_inactive("quick")
    assert not await tenants.activate("quick", NOON)
    assert not tenants.serves("quick")
    with pytest.raises(InvalidTenantNameError):
        await tenants.deactivate("Never-One", NOON)


async def test_a_name_that_cannot_be_a_schema(tenants: Tenants) -> None:
    """HttpError before anything is made of it."""
    with pytest.raises(InvalidTenantNameError):
        await tenants.activate("Project-3", NOON)


async def test_places_of_a_tenant_that_is_away_are_others(store: Store, tenants: Tenants) -> None:
    """Nobody settles its sub-orders, and it gets no turn; when it comes again they count again."""
    for tenant in (TENANT, OTHER):
        async with store.unit_of_work(tenant) as uow:
            await uow.capacity.acquire("jane", [SubOrderId(1)])
            await uow.capacity.wait("joe", NOON if tenant == TENANT else LATER)
    await tenants.deactivate(TENANT, NOON)
    async with store.unit_of_work(OTHER) as uow:
        away = (await uow.capacity.used(), await uow.capacity.next_waiters(2))
    await tenants.activate(TENANT, LATER)
    async with store.unit_of_work(OTHER) as uow:
        again = (await uow.capacity.used(), await uow.capacity.next_waiters(2))

    assert away == (1, [(OTHER, "joe")])
    assert again == (2, [(TENANT, "joe")])


async def test_changes_are_told(pool: Pool, tenants: Tenants) -> None:
    """Whoever watches hears when this process learns of a change, and not otherwise."""
    heard: list[list[Tenant]] = []
    elsewhere = Tenants(pool)
    elsewhere.watch(lambda: heard.append(list(elsewhere.names())))
    await elsewhere.load()
    await elsewhere.load()
    await tenants.add("project3")
    await elsewhere.load()
    await tenants.deactivate(OTHER, NOON)
    await elsewhere.load()

    assert heard == [[TENANT, OTHER], [TENANT, OTHER, "project3"], [TENANT, "project3"]]


async def test_an_older_read_never_replaces_a_newer_one(tenants: Tenants) -> None:
    """Requests of an unknown tenant make a process read the tenants while an event changes them."""
    for second in range(0, 40, 2):
        await tenants.activate(TENANT, NOON + timedelta(seconds=second))
        reads = [tenants.load() for _ in range(8)]
        change = tenants.deactivate(TENANT, NOON + timedelta(seconds=second + 1))
        await asyncio.gather(*reads[:4], change, *reads[4:])

        assert not tenants.serves(TENANT)


async def test_a_host_does_not_bring_a_tenant_back(tenants: Tenants) -> None:
    """A request may arrive just before the tenant is deactivated, and its host be stored just after."""
    await tenants.deactivate(TENANT, NOON)
    await tenants.save_host(TENANT, "https://archive.example.org")

    assert not tenants.serves(TENANT)
