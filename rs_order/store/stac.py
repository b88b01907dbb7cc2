"""Orders and their products as collections and items of STAC, and the orders of items (faces.md 2)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from rs_order.domain.archives import ArchiveFormat
from rs_order.domain.ids import OrderId, Tenant, Urn
from rs_order.domain.settings import ItemIds
from rs_order.domain.states import FileCounters, FileState, OrderStatus
from rs_order.ports import FileToDownload
from rs_order.store.downloads import file_of
from rs_order.store.pool import Connection, Pool, Row, reading, statements, tenant_schema
from rs_order.store.product_lists import MOST_LISTED
from rs_order.store.product_lists import SQL as LISTS
from rs_order.store.rows import counters_of
from rs_order.store.tenant_reads import read_rows

SQL = statements("stac")

MOST_FILES: Final = MOST_LISTED - 1
"""Files of one product that are shown; the others are in the lists of the order."""
_FILES_OF_PAGE: Final = 5000
"""Files after which a page of products ends: some megabytes."""
_ORDERS_AT_A_TIME: Final = 100
_FIRST_KEY: Final = -(2**63)


@dataclass(frozen=True, slots=True)
class ItemOrder:
    """What an order of items was made of."""

    owner: str
    fingerprint: bytes
    """Equal for orders of the same files."""
    request: Mapping[str, Any]
    """The body that orders the same again."""
    unknown_items: Sequence[str] = ()
    """The first items that the catalog doesn't know."""


@dataclass(frozen=True, slots=True)
class CollectedOrder:
    """An order as its collection shows it."""

    id: OrderId
    owner: str
    role: str
    label: str
    created_at: datetime
    updated_at: datetime
    expires_at: datetime | None
    status: OrderStatus
    ended_as: OrderStatus | None
    """Its status before it expired; None: it hasn't."""
    message: str | None
    files_known: bool
    counters: FileCounters
    """All zero while its files are read from the catalog."""
    products: int | None
    """About how many: those in two datasets count twice. None while they aren't known."""
    archive_bytes: Mapping[ArchiveFormat, int]
    """The lengths of the newest archives that can be downloaded."""
    request: Mapping[str, Any] | None
    """The body that orders the same again, of an order of items that has ended without files."""
    first_failure: tuple[str, str] | None
    """The name of a file in error, and the reason, of an order that has failed."""
    unknown_items: Sequence[str]
    item_ids: ItemIds
    """What the ids of its items are."""


@dataclass(frozen=True, slots=True)
class OrderedFile:
    """A file of a product."""

    file: FileToDownload
    state: FileState
    data_type: str


@dataclass(frozen=True, slots=True)
class ProductNames:
    """The names of a product."""

    urn: Urn
    provider_id: str | None

    def item_id(self, ids: ItemIds) -> str:
        """Return the id of its item, as those of the catalog's items are."""
        return self.provider_id if ids is ItemIds.PROVIDER and self.provider_id else self.urn


@dataclass(frozen=True, slots=True)
class OrderedProduct(ProductNames):
    """A product of an order, with its first files."""

    order_id: OrderId
    version: int
    files: Sequence[OrderedFile]
    """By ascending id, at most ``MOST_FILES``."""
    has_more_files: bool


@dataclass(frozen=True, slots=True)
class OrderPosition:
    """The place of an order in the list of its owner, newest first."""

    created_at: datetime
    order_id: OrderId


@dataclass(frozen=True, slots=True)
class ProductPosition:
    """The place of a product in the list of an owner."""

    order: OrderPosition
    key: int = _FIRST_KEY
    """The hash of its URN; by default the least one."""


@dataclass(frozen=True, slots=True)
class ProductPage:
    """A page of products."""

    products: Sequence[OrderedProduct] = ()
    next: ProductPosition | None = None
    """Where the next page begins; None: it is the last one."""


NEWEST: Final = OrderPosition(datetime(9999, 12, 31, tzinfo=UTC), OrderId(2**63 - 1))
"""Before the newest order."""


class ItemOrders:
    """Orders of items, inside a unit of work."""

    def __init__(self, connection: Connection, tenant: Tenant) -> None:
        self._connection = connection
        self._tenant = tenant

    async def lock(self, owner: str, fingerprint: bytes) -> None:
        """Let no equal order of the owner begin until the unit of work ends."""
        schema = tenant_schema(self._tenant)
        await self._connection.execute(SQL["lock"], schema, owner, fingerprint)

    async def reusable(
        self, owner: str, fingerprint: bytes, expires_after: datetime
    ) -> OrderId | None:
        """Return the newest order of these files whose files can be, or will be, downloaded."""
        found = await self._connection.fetchval(SQL["reusable"], owner, fingerprint, expires_after)
        return None if found is None else OrderId(found)

    async def record(self, order_id: OrderId, made_of: ItemOrder) -> None:
        """Record what a new order is made of."""
        await self._connection.execute(
            SQL["record"],
            order_id,
            made_of.owner,
            made_of.fingerprint,
            made_of.request,
            list(made_of.unknown_items),
        )

    async def order(self, order_id: OrderId) -> CollectedOrder:
        """Return an order that this unit of work has created."""
        (row,) = await self._connection.fetch(SQL["orders"], [order_id])
        return _order_of(row)


class StacViews:
    """Views of orders and their products. All calls raise StoreUnavailable.

    Products come by the hash of their URNs, so that a page of an order of any size costs the same. Only those
    are found that are listed.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def reusable(
        self, tenant: Tenant, owner: str, fingerprint: bytes, expires_after: datetime
    ) -> OrderId | None:
        """Return what ``ItemOrders.reusable`` does, without a unit of work."""
        rows = await read_rows(
            self._pool, tenant, SQL["reusable"], owner, fingerprint, expires_after
        )
        return OrderId(rows[0]["order_id"]) if rows else None

    async def orders(
        self, tenant: Tenant, ids: Sequence[OrderId]
    ) -> Mapping[OrderId, CollectedOrder]:
        """Return orders by id; unknown ids are left out."""
        rows = await read_rows(self._pool, tenant, SQL["orders"], ids)
        return {OrderId(row["id"]): _order_of(row) for row in rows}

    async def order(self, tenant: Tenant, order_id: OrderId) -> CollectedOrder | None:
        return (await self.orders(tenant, [order_id])).get(order_id)

    async def of_owner(
        self, tenant: Tenant, owner: str, after: OrderPosition, limit: int
    ) -> Sequence[OrderPosition]:
        """Return the next orders of an owner, newest first, without the deleted ones."""
        rows = await read_rows(
            self._pool, tenant, SQL["of_owner"], owner, after.created_at, after.order_id, limit
        )
        return [_position_of(row) for row in rows]

    async def names(self, tenant: Tenant, order_id: OrderId, files: int) -> Sequence[ProductNames]:
        """Return the names of the products of the first files of an order."""
        rows = await read_rows(self._pool, tenant, SQL["names"], order_id, files)
        return [ProductNames(Urn(row["product_urn"]), row["product_id"]) for row in rows]

    async def item_ids(self, tenant: Tenant) -> ItemIds:
        """Return what the ids of items are."""
        rows = await read_rows(self._pool, tenant, SQL["item_ids"])
        return ItemIds(rows[0]["value"]) if rows else ItemIds.URN

    async def incomplete_lists(
        self, tenant: Tenant, orders: Sequence[OrderId]
    ) -> Sequence[OrderId]:
        """Return those of the orders some of whose products aren't listed."""
        rows = await read_rows(self._pool, tenant, LISTS["incomplete"], orders)
        return [OrderId(row["order_id"]) for row in rows]

    async def orders_with_products(
        self,
        tenant: Tenant,
        owner: str,
        orders: Sequence[OrderId] | None,
        begin: OrderPosition,
        products: int | None,
    ) -> tuple[Sequence[OrderPosition], OrderPosition | None]:
        """Return the next orders of an owner that have products, newest first, and the one behind them.

        Args:
            tenant: of the orders.
            owner: of the orders.
            orders: only some of these; None: all.
            begin: where they begin.
            products: so many orders are taken that they have more products together; None: as many as are
                read at a time.
        """
        rows = await read_rows(
            self._pool,
            tenant,
            SQL["with_products"],
            owner,
            orders,
            begin.created_at,
            begin.order_id,
            _ORDERS_AT_A_TIME + 1,
        )
        taken = _enough(rows[:_ORDERS_AT_A_TIME], products)
        behind = _position_of(rows[taken]) if taken < len(rows) else None
        return [_position_of(row) for row in rows[:taken]], behind

    async def products(
        self,
        tenant: Tenant,
        orders: Sequence[OrderPosition],
        first: ProductPosition | None,
        limit: int,
    ) -> ProductPage:
        """Return listed products of orders. A page ends early if its products have many files.

        ``first``: where the page begins; None: at the first product of the first order.
        """
        async with reading(self._pool, tenant) as connection:
            found = await connection.fetch(
                SQL["products"], _ids(orders), _least_key(orders, first), limit + 1
            )
            return await _page(connection, orders, found, limit)

    async def named_products(
        self,
        tenant: Tenant,
        orders: Sequence[OrderPosition],
        first: ProductPosition | None,
        limit: int,
        *,
        names: Sequence[str],
        ids: ItemIds,
    ) -> ProductPage:
        """Return those of the products that have one of the names: URNs, or also names of providers."""
        of_providers = names if ids is ItemIds.PROVIDER else []
        key = _least_key(orders, first)
        async with reading(self._pool, tenant) as connection:
            found = await connection.fetch(
                SQL["named_products"], _ids(orders), key, names, of_providers, limit + 1
            )
            return await _page(connection, orders, found, limit)


def _enough(orders: Sequence[Row], products: int | None) -> int:
    """Return how many of the orders have more products than these together; None: all of the orders."""
    if products is None:
        return len(orders)
    found = 0
    for taken, order in enumerate(orders, 1):
        found += order["products"] or 0
        if found > products:
            return taken
    return len(orders)


def _ids(orders: Sequence[OrderPosition]) -> list[OrderId]:
    return [order.order_id for order in orders]


def _least_key(orders: Sequence[OrderPosition], first: ProductPosition | None) -> int:
    """Return the least hash of a product of the first order. That order may have gone since the last page."""
    return first.key if first and orders and orders[0] == first.order else _FIRST_KEY


async def _page(
    connection: Connection, orders: Sequence[OrderPosition], found: Sequence[Row], limit: int
) -> ProductPage:
    """Return the products found with their files; the one behind ``limit`` begins the next page."""
    kept = _few_files(found[:limit])
    rows = await connection.fetch(
        SQL["files"],
        [row["order_id"] for row in found[:kept]],
        [row["key"] for row in found[:kept]],
    )
    following = found[kept] if kept < len(found) else None
    places = {order.order_id: order for order in orders}
    return ProductPage(
        _products_of(rows),
        ProductPosition(places[OrderId(following["order_id"])], following["key"])
        if following
        else None,
    )


def _few_files(products: Sequence[Row]) -> int:
    """Return how many of the products, at least one, have few enough files for one page."""
    files = 0
    for kept, product in enumerate(products):
        files += min(product["files"], MOST_FILES)
        if files > _FILES_OF_PAGE and kept:
            return kept
    return len(products)


def _products_of(rows: Sequence[Row]) -> list[OrderedProduct]:
    """Return the products of files, which come product by product."""
    by_product: dict[tuple[int, str], list[Row]] = {}
    for row in rows:
        by_product.setdefault((row["order_id"], row["product_urn"]), []).append(row)
    return [
        OrderedProduct(
            order_id=OrderId(order_id),
            urn=Urn(urn),
            provider_id=files[0]["product_id"],
            version=files[0]["product_version"],
            files=[
                OrderedFile(file_of(row), FileState(row["state"]), row["data_type"])
                for row in files[:MOST_FILES]
            ],
            has_more_files=len(files) > MOST_FILES,
        )
        for (order_id, urn), files in by_product.items()
    ]


def _position_of(row: Row) -> OrderPosition:
    return OrderPosition(row["created_at"], OrderId(row["id"]))


def _order_of(row: Row) -> CollectedOrder:
    lengths = {kind: row[f"{kind}_length"] for kind in ArchiveFormat}
    return CollectedOrder(
        id=OrderId(row["id"]),
        owner=row["owner"],
        role=row["role"],
        label=row["label"],
        created_at=row["created_at"],
        updated_at=max(row["status_at"], row["available_at"] or row["status_at"]),
        expires_at=row["expires_at"],
        status=OrderStatus(row["status"]),
        ended_as=OrderStatus(row["ended_as"]) if row["ended_as"] else None,
        message=row["message"],
        files_known=row["files_known"],
        counters=counters_of(row) if row["files_known"] else FileCounters(),
        products=row["products"] if row["files_known"] else None,
        archive_bytes={kind: length for kind, length in lengths.items() if length is not None},
        request=row["request"],
        first_failure=(row["failed_file"], row["failed_because"]) if row["failed_file"] else None,
        unknown_items=row["unknown_items"] or (),
        item_ids=ItemIds(row["item_ids"] or ItemIds.URN),
    )
