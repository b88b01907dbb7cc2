"""The products of an order are listed for the first who reads its items (faces.md S-16)."""

import asyncio

import pytest

from rs_order.core.errors import ProductsNotListed
from rs_order.domain.ids import OrderId
from rs_order.domain.states import FileState
from rs_order.stac.finding import LONGEST_SECONDS, ListProducts
from rs_order.store.pool import Pool
from rs_order.store.stac import StacViews
from rs_order.store.unit_of_work import Store
from tests.integration.app_harness import TENANT
from tests.support.rows import TenantRows, in_tenant

FILES, PRODUCTS = 20, 7


async def given_order(pool: Pool, rows: TenantRows) -> OrderId:
    """Write an order whose products have files here and there."""
    order = await rows.order()
    await rows.sub_order(order, {f"c-{number}": FileState.PENDING for number in range(FILES)})
    async with in_tenant(pool, TENANT) as connection:
        await connection.execute(
            "update data_file set product_urn = 'URN:' || id % $1 where order_id = $2",
            PRODUCTS,
            order,
        )
    return order


async def listed(pool: Pool, order: OrderId) -> dict[str, list[int]]:
    async with in_tenant(pool, TENANT) as connection:
        found = await connection.fetch(
            "select product_urn, files from listed_product where order_id = $1", order
        )
    return {row["product_urn"]: row["files"] for row in found}


async def by_product(pool: Pool, order: OrderId) -> dict[str, list[int]]:
    async with in_tenant(pool, TENANT) as connection:
        found = await connection.fetch(
            "select product_urn, array_agg(id order by id) as files from data_file where order_id = $1"
            " group by 1",
            order,
        )
    return {row["product_urn"]: row["files"] for row in found}


@pytest.mark.parametrize("slice_", [1, 3, FILES, FILES + 1])
async def test_a_list_is_the_same_whatever_its_slices(
    slice_: int, pool: Pool, store: Store, rows: TenantRows
) -> None:
    """Also if ten requests make it at once."""
    order, other = [await given_order(pool, rows) for _ in range(2)]
    lists = ListProducts(store, StacViews(pool), files_at_a_time=slice_)
    await asyncio.gather(*(lists.complete(TENANT, [order]) for _ in range(10)))
    expected = await by_product(pool, order)

    assert len(expected) == PRODUCTS
    assert await listed(pool, order) == expected
    assert await listed(pool, other) == {}


async def test_a_long_list_takes_several_requests(
    pool: Pool, store: Store, rows: TenantRows
) -> None:
    """Each keeps what it has listed, so the last one ends it."""
    order = await given_order(pool, rows)
    seconds = iter(range(0, 1000, int(LONGEST_SECONDS / 2)))
    lists = ListProducts(store, StacViews(pool), files_at_a_time=8, now=lambda: next(seconds))
    for _ in range(2):
        with pytest.raises(ProductsNotListed, match=f"order {order} "):
            await lists.complete(TENANT, [order])
    await lists.complete(TENANT, [order])

    assert await listed(pool, order) == await by_product(pool, order)


async def test_a_list_is_deleted_in_slices(pool: Pool, store: Store, rows: TenantRows) -> None:
    order = await given_order(pool, rows)
    await ListProducts(store, StacViews(pool)).complete(TENANT, [order])
    async with store.unit_of_work(TENANT) as uow:
        deleted = [await uow.product_lists.delete_slice(order, 3) for _ in range(3)]

    assert deleted == [3, 3, 1]
    assert await listed(pool, order) == {}
