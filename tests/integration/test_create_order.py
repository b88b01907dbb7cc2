"""Orders created at the same time, or while another service is unavailable (rest.md 7.2, domain.md 4.2)."""

import asyncio
from datetime import UTC, datetime

import pytest

from rs_order.core.errors import EmptyBasket, LabelRejected
from rs_order.core.links import Links
from rs_order.domain.identity import Caller
from rs_order.domain.ids import OrderId, Tenant
from rs_order.domain.order import dated_label
from rs_order.orders.create import CreateOrder, OrderOptions
from rs_order.ports import Projects, RemoteUnavailable
from rs_order.store.pool import Pool
from rs_order.store.tenants import Tenants
from rs_order.store.unit_of_work import Store
from tests.integration.conftest import OTHER, TENANT
from tests.support.clock import ManualClock
from tests.support.polling import until_waiting_for_locks
from tests.support.rows import OWNER, TenantRows, in_tenant

NOW = datetime(2026, 3, 1, 12, 30, 45, 250_000, tzinfo=UTC)
JANE = Caller(TENANT, OWNER, "REGISTERED_USER")
DATED = dated_label(NOW.astimezone())


class UnavailableProjects:
    """Implements ``Projects``: an rs-admin-instance that fails, or never answers."""

    def __init__(self, *, silent: bool) -> None:
        self._silent = silent

    async def host(self, tenant: Tenant) -> str | None:  # noqa: ARG002 - the same for all tenants
        if self._silent:
            await asyncio.get_running_loop().create_future()
        raise RemoteUnavailable("rs-admin-instance", "no answer")


def creation(pool: Pool, store: Store, projects: Projects | None = None) -> CreateOrder:
    links = Links(
        projects,
        Tenants(pool),
        prefix="/api/v1",
        fallback="http://localhost",
        longest_wait_seconds=0.05,
    )
    return CreateOrder(store, links, ManualClock(NOW))


async def put_basket(pool: Pool, tenant: Tenant = TENANT) -> None:
    async with in_tenant(pool, tenant) as connection:
        await connection.execute("insert into basket (owner) values ($1)", OWNER)


async def label_of(pool: Pool, order: OrderId) -> str:
    async with in_tenant(pool, TENANT) as connection:
        label: str = await connection.fetchval("select label from orders where id = $1", order)
    return label


async def test_w40_orders_of_the_same_second_are_numbered(pool: Pool, store: Store) -> None:
    """The first label is that of the reference; the next ones get a number."""
    create = creation(pool, store)
    labels = []
    for _ in range(3):
        await put_basket(pool)
        labels.append(await label_of(pool, await create.handle(JANE, OrderOptions())))

    assert labels == [DATED, f"{DATED} (2)", f"{DATED} (3)"]


@pytest.mark.parametrize("wanted", ["mine", None])
async def test_c2_a_label_that_is_taken_at_the_same_moment(
    wanted: str | None, pool: Pool, store: Store
) -> None:
    """The unique key finds it: a given label is rejected, a generated one gets the next number."""
    await put_basket(pool)
    async with in_tenant(pool, TENANT) as other:
        await other.execute(
            "insert into orders (owner, role, label, correlation_id, sub_order_hours)"
            " values ($1, 'REGISTERED_USER', $2, 'c', 2)",
            OWNER,
            wanted or DATED,
        )
        creating = asyncio.create_task(creation(pool, store).handle(JANE, OrderOptions(wanted)))
        await until_waiting_for_locks(pool)

    if wanted is None:
        assert await label_of(pool, await creating) == f"{DATED} (2)"
    else:
        with pytest.raises(LabelRejected, match="LABEL_NOT_UNIQUE_FOR_OWNER"):
            await creating


async def test_the_basket_of_another_project_is_not_ordered(pool: Pool, store: Store) -> None:
    """Promise 7: users with the same e-mail in two tenants are different users."""
    await put_basket(pool, OTHER)

    with pytest.raises(EmptyBasket):
        await creation(pool, store).handle(JANE, OrderOptions())


async def test_w3_a_rejected_order_leaves_nothing(
    pool: Pool, store: Store, rows: TenantRows, committed: list[str]
) -> None:
    """There is no order and no step, and the user keeps the basket."""
    await put_basket(pool)

    with pytest.raises(LabelRejected, match="TOO_MANY_CHARACTERS_IN_LABEL"):
        await creation(pool, store).handle(JANE, OrderOptions("x" * 51))
    async with in_tenant(pool, TENANT) as connection:
        assert await connection.fetchval("select count(*) from orders") == 0
        assert await connection.fetchval("select order_id from basket") is None
    assert committed == []


@pytest.mark.parametrize("silent", [True, False])
async def test_an_order_is_created_while_the_address_of_its_project_is_unavailable(
    silent: bool, pool: Pool, store: Store
) -> None:
    """A link needs the address only later; it is read then, or the last known one is used."""
    await put_basket(pool)
    create = creation(pool, store, UnavailableProjects(silent=silent))

    assert await create.handle(JANE, OrderOptions())
