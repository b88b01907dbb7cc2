"""Events of the platform activate and deactivate tenants; the newest counts, in any order of arrival."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from rs_order.broker.delivery import Delivery
from rs_order.consumers.batches import Received
from rs_order.contracts.platform_messages import TenantEvent
from rs_order.domain.identity import INSTANCE
from rs_order.domain.ids import SubOrderId, Tenant
from rs_order.domain.shares import Amount
from rs_order.domain.states import OrderStatus
from rs_order.store.audit import AuditActor, Door
from rs_order.store.every_tenant import applied_migrations
from rs_order.store.pool import InvalidTenantNameError, Pool
from rs_order.store.tenants import Tenants
from rs_order.store.unit_of_work import Store
from rs_order.tenants.connect import ConnectTenants
from rs_order.tenants.consumer import InstanceTenant, TenantHandlers
from tests.integration.conftest import OTHER, TENANT
from tests.support.clock import ManualClock
from tests.support.polling import eventually
from tests.support.rows import TenantRows, in_tenant

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HALF_A_SECOND = timedelta(seconds=0.5)
LATER = NOON + timedelta(seconds=5)


@pytest.fixture
async def tenants(pool: Pool) -> Tenants:
    known = Tenants(pool)
    await known.load()
    return known


async def test_an_inactive_tenant_keeps_its_data(
    pool: Pool, tenants: Tenants, rows: TenantRows
) -> None:
    """It isn't served any more; once it is active again, everything is as it was."""
    order = await rows.order(OrderStatus.DONE)
    deactivated = await tenants.deactivate(TENANT, NOON)
    again = await tenants.deactivate(TENANT, LATER)
    served = tenants.serves(TENANT)
    names = tenants.names()
    activated = await tenants.activate(TENANT, LATER)
    async with in_tenant(pool, TENANT) as connection:
        orders = [row["id"] for row in await connection.fetch("select id from orders")]

    assert (deactivated, again, served, names) == (True, True, False, [OTHER])
    assert (activated, tenants.serves(TENANT), orders) == (True, True, [order])


async def test_a_process_follows_what_a_command_does(pool: Pool, tenants: Tenants) -> None:
    """No event names a tenant that an operator disables, so processes read the tenants from time to time."""
    following = asyncio.create_task(tenants.follow(seconds=0.01))
    try:
        await Tenants(pool).disable(TENANT, AuditActor("root", Door.CLI))
        await eventually(lambda: not tenants.serves(TENANT), "the tenant isn't served any more")
    finally:
        following.cancel()


async def test_the_tenants_of_the_settings_are_added_together(pool: Pool, tenants: Tenants) -> None:
    """Served tenants stay as they are. A name may come twice. A disabled tenant is served again."""
    await tenants.disable(TENANT, AuditActor("root", Door.CLI))
    names = [f"new{number}" for number in range(5)]

    await tenants.add_configured([*names, OTHER, names[0], TENANT])

    assert tenants.names() == [TENANT, OTHER, *names]
    assert set(await applied_migrations(pool, [Tenant(name) for name in names])) == {*names}
    added = await pool.fetch(
        "select tenant from rs_order.audit where action = 'tenant.added' order by id desc limit 6"
    )
    assert [row["tenant"] for row in reversed(added)] == [*names, TENANT]


async def test_a_wrong_name_in_the_settings_adds_no_tenant(tenants: Tenants) -> None:
    """Nothing is left half done while the operator corrects it."""
    with pytest.raises(InvalidTenantNameError, match="No-Name"):
        await tenants.add_configured(["new1", "No-Name"])

    await tenants.load()
    assert not tenants.serves("new1")


async def test_the_newest_event_counts(tenants: Tenants) -> None:
    """An older event changes nothing; of events with the same time the last to arrive wins."""
    assert await tenants.activate("project3", NOON)
    assert await tenants.deactivate("project3", LATER)
    assert not await tenants.activate("project3", NOON)
    assert not tenants.serves("project3")
    assert await tenants.activate("project3", LATER)
    assert not await tenants.deactivate("project3", NOON)
    assert tenants.serves("project3")


async def test_a_second_deactivation_counts_too(tenants: Tenants) -> None:
    """First the connection is removed, then the project: an activation between the two is outdated."""
    await tenants.activate("project3", NOON)
    await tenants.deactivate("project3", NOON)
    await tenants.deactivate("project3", LATER)

    assert not await tenants.activate("project3", NOON + timedelta(seconds=1))


async def test_an_operator_can_activate_a_tenant_at_any_time(tenants: Tenants) -> None:
    """``rs-order tenant add`` activates a tenant whatever the platform published before."""
    await tenants.deactivate(TENANT, LATER)
    await tenants.add(TENANT)

    assert tenants.serves(TENANT)
    assert not await tenants.deactivate(TENANT, NOON)


async def test_an_operator_starts_anew_after_a_date_in_the_future(tenants: Tenants) -> None:
    """The date was stored by an earlier version; the events that follow count again (issue 11, F7)."""
    await tenants.deactivate(TENANT, datetime(2100, 1, 1, tzinfo=UTC))
    await tenants.add(TENANT)

    assert await tenants.deactivate(TENANT, datetime.now(UTC) + timedelta(minutes=1))
    assert not tenants.serves(TENANT)


@pytest.mark.parametrize(
    ("timestamp", "expected"),
    [
        (None, NOON + HALF_A_SECOND),
        (NOON, NOON + HALF_A_SECOND),
        (NOON.replace(tzinfo=None), NOON + HALF_A_SECOND),
        (NOON - timedelta(hours=1), NOON - timedelta(hours=1, microseconds=-999_999)),
        (NOON + timedelta(seconds=1), NOON + HALF_A_SECOND),
        (datetime(2100, 1, 1, tzinfo=UTC), NOON + HALF_A_SECOND),
    ],
)
async def test_an_event_of_the_future_counts_as_published_now(
    timestamp: datetime | None, expected: datetime
) -> None:
    """A publisher's wrong clock doesn't make all later events older (issue 11, F7)."""
    disconnected: list[tuple[str, datetime]] = []

    class Recorded(ConnectTenants):
        """Keeps what it would disconnect."""

        def __init__(self) -> None:
            """Connect nothing."""

        async def disconnect(self, name: str, published_at: datetime) -> None:
            disconnected.append((name, published_at))

    handlers = TenantHandlers(Recorded(), InstanceTenant(), ManualClock(NOON + HALF_A_SECOND))
    delivery = Delivery(body=b"", headers={}, queue="q", timestamp=timestamp)
    event = TenantEvent.model_validate({"tenant": "project1"})
    await handlers.deleted(INSTANCE, [Received(event, delivery)])

    assert disconnected == [("project1", expected)]


async def test_a_tenant_can_be_deactivated_before_it_is_provisioned(tenants: Tenants) -> None:
    """It was connected and removed at once; the event of its connection is handled later."""
    deactivated = await tenants.deactivate("quick", LATER)

    assert deactivated
    assert tenants.is_inactive("quick")
    assert not await tenants.activate("quick", NOON)
    assert not tenants.serves("quick")
    with pytest.raises(InvalidTenantNameError):
        await tenants.deactivate("Never-One", NOON)


async def test_a_name_that_cannot_be_a_schema(tenants: Tenants) -> None:
    """It is rejected before any statement."""
    with pytest.raises(InvalidTenantNameError):
        await tenants.activate("Project-3", NOON)


async def test_sub_orders_of_an_inactive_tenant_use_no_capacity(
    store: Store, tenants: Tenants
) -> None:
    """Nothing settles them, and its waiters are not woken; once it is active again they count again."""
    for tenant in (TENANT, OTHER):
        async with store.unit_of_work(tenant) as uow:
            await uow.capacity.acquire("jane", {SubOrderId(1): Amount(1)})
            await uow.capacity.wait("joe", NOON if tenant == TENANT else LATER)
    await tenants.deactivate(TENANT, NOON)
    async with store.unit_of_work(OTHER) as uow:
        inactive = (await uow.capacity.used(), await uow.capacity.next_waiters(2))
    await tenants.activate(TENANT, LATER)
    async with store.unit_of_work(OTHER) as uow:
        active = (await uow.capacity.used(), await uow.capacity.next_waiters(2))

    assert inactive == (1, [(OTHER, "joe")])
    assert active == (2, [(TENANT, "joe")])


async def test_watchers_are_called_for_each_change(pool: Pool, tenants: Tenants) -> None:
    """They are called when this process reads a change of another one, and not if nothing changed."""
    seen: list[list[Tenant]] = []
    elsewhere = Tenants(pool)
    elsewhere.watch(lambda: seen.append(list(elsewhere.names())))
    await elsewhere.load()
    await elsewhere.load()
    await tenants.add("project3")
    await elsewhere.load()
    await tenants.deactivate(OTHER, NOON)
    await elsewhere.load()

    assert seen == [[TENANT, OTHER], [TENANT, OTHER, "project3"], [TENANT, "project3"]]


async def test_an_older_read_never_replaces_a_newer_one(tenants: Tenants) -> None:
    """Requests of an unknown tenant make a process read the tenants while an event changes them."""
    for second in range(0, 40, 2):
        await tenants.activate(TENANT, NOON + timedelta(seconds=second))
        reads = [tenants.load() for _ in range(8)]
        change = tenants.deactivate(TENANT, NOON + timedelta(seconds=second + 1))
        await asyncio.gather(*reads[:4], change, *reads[4:])

        assert not tenants.serves(TENANT)


async def test_a_host_does_not_activate_a_tenant(tenants: Tenants) -> None:
    """A request may arrive just before the tenant is deactivated, and its host be stored just after."""
    await tenants.deactivate(TENANT, NOON)
    await tenants.save_host(TENANT, "https://archive.example.org")

    assert not tenants.serves(TENANT)
