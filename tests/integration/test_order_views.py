"""Exports of orders are read in parts."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from rs_order.domain.states import OrderStatus
from rs_order.store.order_views import OrderSearch, OrderViews
from rs_order.store.pool import Pool
from tests.integration.conftest import OTHER, TENANT
from tests.support.polling import WAIT_SECONDS
from tests.support.rows import TenantRows
from tests.support.stores import MigratedDatabases

PART = 2


@pytest.fixture
async def pool(migrated_databases: MigratedDatabases) -> AsyncIterator[Pool]:
    """Open a pool of one connection, so that nothing else gets it while an export holds it."""
    async with migrated_databases.pool(TENANT, OTHER, size=1) as (opened, _):
        yield opened


async def test_w32_promise_5_a_slow_reader_of_an_export_holds_no_connection(
    pool: Pool, rows: TenantRows
) -> None:
    """Between two parts the connection is free; an order that is added meanwhile is exported too."""
    orders = [await rows.order() for _ in range(PART + 1)]
    parts = OrderViews(pool, exported_at_a_time=PART).export(TENANT, OrderSearch())
    exported = [[view.id for view in await anext(parts)]]
    async with asyncio.timeout(WAIT_SECONDS):
        orders.append(await rows.order())
    exported += [[view.id for view in part] async for part in parts]

    assert exported == [orders[:2], orders[2:]]


@pytest.mark.parametrize("count", [0, 1, PART, PART + 1, 2 * PART])
async def test_an_export_ends(count: int, pool: Pool, rows: TenantRows) -> None:
    """It has every order of its tenant once, also if the last part is full."""
    orders = [await rows.order() for _ in range(count)]
    await TenantRows(pool, OTHER).order()
    parts = OrderViews(pool, exported_at_a_time=PART).export(TENANT, OrderSearch())

    assert [view.id async for part in parts for view in part] == orders


async def test_an_export_skips_orders_that_do_not_match(pool: Pool, rows: TenantRows) -> None:
    """Even if they fill a whole part."""
    done = []
    for _ in range(3):
        for status in (OrderStatus.RUNNING, OrderStatus.RUNNING, OrderStatus.DONE):
            order = await rows.order(status)
        done.append(order)
    wanted = OrderSearch(statuses=frozenset({OrderStatus.DONE}))
    parts = OrderViews(pool, exported_at_a_time=PART).export(TENANT, wanted)

    assert [view.id async for part in parts for view in part] == done
