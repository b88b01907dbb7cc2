"""Orders to be shown, some at a time."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from rs_order.domain.states import OrderStatus
from rs_order.store.migrate import migrate_platform
from rs_order.store.order_views import OrderSearch, OrderViews
from rs_order.store.pool import Pool, open_pool
from rs_order.store.tenants import Tenants
from tests.integration.conftest import OTHER, TENANT
from tests.support.polling import WAIT_SECONDS
from tests.support.rows import TenantRows

AT_A_TIME = 2


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    """One connection: who needs it while another holds it doesn't get it."""
    async with await open_pool(database_url, size=1) as opened:
        await migrate_platform(opened)
        tenants = Tenants(opened)
        for tenant in (TENANT, OTHER):
            await tenants.add(tenant)
        yield opened


async def test_w32_promise_5_a_slow_reader_of_an_export_holds_no_connection(
    pool: Pool, rows: TenantRows
) -> None:
    """Between two parts anybody can have it; what is added behind meanwhile is exported too."""
    orders = [await rows.order() for _ in range(AT_A_TIME + 1)]
    parts = OrderViews(pool, exported_at_a_time=AT_A_TIME).export(TENANT, OrderSearch())
    exported = [[view.id for view in await anext(parts)]]
    async with asyncio.timeout(WAIT_SECONDS):
        orders.append(await rows.order())
    exported += [[view.id for view in part] async for part in parts]

    assert exported == [orders[:2], orders[2:]]


@pytest.mark.parametrize("count", [0, 1, AT_A_TIME, AT_A_TIME + 1, 2 * AT_A_TIME])
async def test_an_export_ends(count: int, pool: Pool, rows: TenantRows) -> None:
    """With every order once, also where the last part is full; nothing of another tenant."""
    orders = [await rows.order() for _ in range(count)]
    await TenantRows(pool, OTHER).order()
    parts = OrderViews(pool, exported_at_a_time=AT_A_TIME).export(TENANT, OrderSearch())

    assert [view.id async for part in parts for view in part] == orders


async def test_an_export_passes_over_what_does_not_match(pool: Pool, rows: TenantRows) -> None:
    """However much of that lies between."""
    done = []
    for _ in range(3):
        for status in (OrderStatus.RUNNING, OrderStatus.RUNNING, OrderStatus.DONE):
            order = await rows.order(status)
        done.append(order)
    wanted = OrderSearch(statuses=frozenset({OrderStatus.DONE}))
    parts = OrderViews(pool, exported_at_a_time=AT_A_TIME).export(TENANT, wanted)

    assert [view.id async for part in parts for view in part] == done
