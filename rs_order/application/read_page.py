"""One page of an order's files, as the catalog and rs-dam give it."""

from dataclasses import dataclass

from rs_order.domain.files import Product
from rs_order.domain.identity import Caller
from rs_order.domain.ids import Tenant
from rs_order.domain.order import Order
from rs_order.ports.catalog import Catalog, DatasetFiles
from rs_order.ports.errors import RemoteError
from rs_order.ports.store import DatasetSelection

SEARCH_FAILED = "Error trying to search data objects from catalog."


@dataclass(frozen=True, slots=True)
class Page:
    """What a step of a completion adds to its order."""

    products: tuple[Product, ...]
    attached: Product | None
    """The dataset with its attached files; with the first page only (C15)."""

    @property
    def last(self) -> bool:
        """An empty page ends a selection (domain.md 4.4)."""
        return not self.products


class PageReader:
    """Reads as the owner with the owner's role; attached files as the service itself."""

    def __init__(self, catalog: Catalog, dam: DatasetFiles | None, *, page_size: int) -> None:
        self._catalog = catalog
        self._dam = dam
        self._page_size = page_size

    async def read(
        self, tenant: Tenant, order: Order, selection: DatasetSelection, page: int
    ) -> Page:
        """Read one page, counted from 0.

        Raises:
            RemoteRefusal: a service refuses; the order can't be completed.
            RemoteTrouble: a service gave no answer; ask again later.
        """
        attached = None
        if page == 0 and self._dam is not None:
            attached = await self._dam.attached_files(tenant, selection.urn)
        products = await self._catalog.search(
            Caller(tenant, order.owner, order.role),
            selection.requests,
            page=page,
            size=self._page_size,
        )
        return Page(products, attached)

    @staticmethod
    def explain(error: RemoteError) -> str:
        """The message of an order that fails for this (domain.md 4.4, C15)."""
        return SEARCH_FAILED if error.service == "rs-catalog" else str(error)
