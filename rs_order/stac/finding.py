"""Finds the products of orders, page by page (faces.md S-16, S-18).

An order has no list of its products until somebody reads its items. The list is made for the first who does,
a slice of files at a time, and grows if the order gets further files.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from rs_order.core.errors import ProductsNotListed
from rs_order.domain.ids import OrderId, Tenant
from rs_order.domain.settings import ItemIds
from rs_order.store.stac import (
    NEWEST,
    OrderedProduct,
    OrderPosition,
    ProductPage,
    ProductPosition,
    StacViews,
)
from rs_order.store.unit_of_work import Store, retry_on_conflict

FILES_AT_A_TIME: Final = 20_000
"""Files that are listed in one commit."""
_VERSIONS: Final = 100
"""The most versions of a product that are looked through for the last one."""
LONGEST_SECONDS: Final = 10.0
"""The time after which a request ends, though a list isn't complete; the next one continues."""


@dataclass(frozen=True, slots=True)
class ItemSearch:
    """Conditions on products; None is no condition."""

    orders: Sequence[OrderId] | None = None
    ids: Sequence[str] | None = None
    """Ids of items."""


class ListProducts:
    """Completes the lists of products that a request needs."""

    def __init__(
        self,
        store: Store,
        views: StacViews,
        *,
        files_at_a_time: int = FILES_AT_A_TIME,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """``now``: in seconds."""
        self._store = store
        self._views = views
        self._files_at_a_time = files_at_a_time
        self._now = now

    async def complete(self, tenant: Tenant, orders: Sequence[OrderId]) -> None:
        """List the products of orders that aren't listed yet.

        Raises:
            ProductsNotListed: there are so many that it takes another request.
        """
        until = self._now() + LONGEST_SECONDS
        for order_id in await self._views.incomplete_lists(tenant, orders):
            more = True
            while more:
                if self._now() >= until:
                    raise ProductsNotListed(order_id)
                more = await retry_on_conflict(partial(self._add_slice, tenant, order_id))

    async def _add_slice(self, tenant: Tenant, order_id: OrderId) -> bool:
        async with self._store.unit_of_work(tenant) as uow:
            return await uow.product_lists.add_slice(order_id, self._files_at_a_time)


class FindProducts:
    """Reads pages of products. All calls raise ProductsNotListed and StoreUnavailable."""

    def __init__(self, views: StacViews, lists: ListProducts) -> None:
        self._views = views
        self._lists = lists

    async def of_order(
        self, tenant: Tenant, order: OrderPosition, first: ProductPosition | None, limit: int
    ) -> ProductPage:
        """Return products of an order, from ``first`` on; None: from its first one on."""
        await self._lists.complete(tenant, [order.order_id])
        return await self._views.products(tenant, [order], first, limit)

    async def one(
        self, tenant: Tenant, order_id: OrderId, item_id: str, ids: ItemIds
    ) -> OrderedProduct | None:
        """Return a product of an order by the id of its item; of several versions the last.

        ``ids``: what the ids of items are.
        """
        await self._lists.complete(tenant, [order_id])
        order = OrderPosition(NEWEST.created_at, order_id)
        page = await self._views.named_products(
            tenant, [order], None, _VERSIONS, names=[item_id], ids=ids
        )
        found = [one for one in page.products if one.item_id(ids) == item_id]
        return max(found, key=lambda one: one.version, default=None)

    async def search(
        self,
        tenant: Tenant,
        owner: str,
        wanted: ItemSearch,
        first: ProductPosition | None,
        limit: int,
    ) -> ProductPage:
        """Return products of the orders of an owner, those of the newest order first.

        Args:
            tenant: of the orders.
            owner: of the orders.
            wanted: conditions on the products.
            first: where the page begins; None: at the first product.
            limit: the most products.

        Returns:
            A page, which has a product unless it is the last one.
        """
        views, begin = self._views, first.order if first else NEWEST
        ids = await views.item_ids(tenant) if wanted.ids is not None else ItemIds.URN
        while True:
            most = limit if wanted.ids is None else None
            orders, behind = await views.orders_with_products(
                tenant, owner, wanted.orders, begin, most
            )
            await self._lists.complete(tenant, [order.order_id for order in orders])
            page = (
                await views.products(tenant, orders, first, limit)
                if wanted.ids is None
                else await views.named_products(
                    tenant, orders, first, limit, names=wanted.ids, ids=ids
                )
            )
            if page.next is None and behind is not None:
                page = replace(page, next=ProductPosition(behind))
            if page.products or behind is None:
                return page
            begin, first = behind, None
