"""What the endpoints of STAC use, and the orders that they read for their callers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from fastapi import Request

from rs_order.core.order_watch import version_of
from rs_order.core.reason_texts import Language
from rs_order.core.waiting_orders import WaitingOrders, waiting
from rs_order.domain.expectations import LONGEST_PAUSE, Expected
from rs_order.domain.identity import Caller
from rs_order.domain.ids import OrderId, Tenant
from rs_order.domain.reasons import OrderFacts, reasons_of
from rs_order.domain.states import OrderStatus
from rs_order.ports import OrderTokens
from rs_order.rest.access import may_read_order_of
from rs_order.rest.conditional import weak_tag
from rs_order.rest.errors import Problem
from rs_order.rest.keyed_requests import KeyedAnswers
from rs_order.rest.problems import ProblemCode
from rs_order.stac.addresses import Addresses, DownloadAddresses
from rs_order.stac.collection import MOST_LINKED_FILES, Wait, collection, has_few_products
from rs_order.stac.descriptions import Descriptions
from rs_order.stac.finding import FindProducts
from rs_order.stac.item import item
from rs_order.stac.order_items import OrderItems
from rs_order.stac.parameters import LinkKind
from rs_order.store.stac import (
    CollectedOrder,
    OrderedProduct,
    OrderPosition,
    ProductNames,
    StacViews,
)
from rs_order.subscriptions.webhooks import ManageWebhooks


@dataclass(frozen=True, slots=True)
class ShownOrder:
    """An order as it is now, in the language of the caller."""

    order: CollectedOrder
    facts: OrderFacts
    language: Language
    tag: str

    @property
    def version(self) -> str:
        """Of the order when, or shortly before, it was read."""
        return version_of(self.facts)


@dataclass(frozen=True, slots=True)
class StacServices:
    """The use case and the views behind the endpoints of STAC."""

    order_items: OrderItems
    views: StacViews
    products: FindProducts
    descriptions: Descriptions
    waiting: WaitingOrders
    order_tokens: OrderTokens
    keyed: KeyedAnswers
    webhooks: ManageWebhooks
    catalog_url: str | None
    """The public address of the catalog's STAC, without a slash at its end; None: unknown."""

    async def readable(self, caller: Caller, order_id: OrderId) -> CollectedOrder:
        """Return an order that the caller may read.

        Raises:
            Problem: there is no such order, it is another user's, or it is deleted.
        """
        return require_readable(caller, order_id, await self.views.order(caller.tenant, order_id))

    async def read(self, caller: Caller, order_id: OrderId, language: Language) -> ShownOrder:
        """Read an order to be shown.

        The facts are read first: what changes before the rest is read then ends a wait at once.

        Raises:
            Problem: as ``readable``.
        """
        facts = await self.waiting.facts(caller.tenant, order_id)
        order = await self.readable(caller, order_id)
        if facts is None:
            raise Problem(ProblemCode.UNKNOWN_ORDER, f"There is no order {order_id}.")
        # Expected times move by themselves, so a tag holds five minutes at most.
        period = int(self.waiting.clock.now().timestamp() / LONGEST_PAUSE.total_seconds())
        state = f"{version_of(facts)}-{len(order.archive_bytes)}-{language}"
        tag = weak_tag(f"{state}-{period if facts.unfinished else 'end'}")
        return ShownOrder(order, facts, language, tag)

    async def document(
        self, request: Request, tenant: Tenant, shown: ShownOrder, links: LinkKind
    ) -> dict[str, Any]:
        """Return an order as a collection, with links to its products unless it has too many of them."""
        order = shown.order
        products: Sequence[ProductNames] = ()
        if has_few_products(order):
            products = await self.views.names(tenant, order.id, MOST_LINKED_FILES)
        return collection(
            order,
            await self.wait_of(tenant, order, shown.facts),
            self.downloads(Addresses.of(request), tenant, order, links),
            shown.language,
            products,
        )

    async def items(
        self,
        request: Request,
        caller: Caller,
        orders: Mapping[OrderId, CollectedOrder],
        products: Sequence[OrderedProduct],
        links: LinkKind,
    ) -> list[dict[str, Any]]:
        """Return products as items. The products of an order that was removed meanwhile are left out."""
        addresses = Addresses.of(request)
        downloads = {
            order.id: self.downloads(addresses, caller.tenant, order, links)
            for order in orders.values()
        }
        shown = {
            product.item_id(orders[product.order_id].item_ids): product
            for product in products
            if product.order_id in orders
        }
        known = await self.descriptions.of(caller, list(shown))
        return [
            item(orders[of], product, downloads[of], known.get(id_), self.catalog_item(id_))
            for product in products
            if (of := product.order_id) in orders
            for id_ in [product.item_id(orders[of].item_ids)]
        ]

    async def wait_of(self, tenant: Tenant, order: CollectedOrder, facts: OrderFacts) -> Wait:
        """Return why an order with these facts isn't further, or how it has ended."""
        if not facts.unfinished:
            slots = self.waiting.progress.slots_per_user
            return Wait(reasons_of(facts, slots).reason)
        found = waiting(facts, await self.waiting.expectations(tenant))
        expected = found.expected if isinstance(found.expected, Expected) else None
        return Wait(found.reason, expected if order.status.unfinished else None)

    async def retry_after(self, tenant: Tenant, facts: OrderFacts) -> str:
        """Return the seconds after which it is worth to ask again about an unfinished order."""
        pause = waiting(facts, await self.waiting.expectations(tenant)).next_check
        return str(int(pause.total_seconds()))

    def catalog_item(self, item_id: str) -> str | None:
        """Return where a product's item in the catalog is found by its id; None if that isn't known."""
        found_by = quote(item_id, safe="")
        return f"{self.catalog_url}/search?ids={found_by}" if self.catalog_url else None

    def downloads(
        self, addresses: Addresses, tenant: Tenant, order: CollectedOrder, links: LinkKind
    ) -> DownloadAddresses:
        """Return the addresses of the downloads of an order.

        Raises:
            OrderTokensUnset: tokens are wanted, and their key is not set.
        """
        if links is LinkKind.TOKEN:
            return DownloadAddresses.with_token(addresses, self.order_tokens, tenant, order)
        return DownloadAddresses(addresses, order.id)


def require_readable(
    caller: Caller, order_id: OrderId, order: CollectedOrder | None
) -> CollectedOrder:
    """Return an order if the caller may read it.

    Raises:
        Problem: there is no such order, it is another user's, or it is deleted.
    """
    if order is None:
        raise Problem(ProblemCode.UNKNOWN_ORDER, f"There is no order {order_id}.")
    if not may_read_order_of(caller, order.owner):
        raise Problem(ProblemCode.NOT_OWNER, f"Order {order_id} belongs to another user.")
    if order.status is OrderStatus.DELETED:
        raise Problem(ProblemCode.ORDER_GONE, f"Order {order_id} was deleted. Order again.")
    return order


def position_of(order: CollectedOrder) -> OrderPosition:
    return OrderPosition(order.created_at, order.id)
