"""One page of an order's files, as the catalog and rs-dam give it."""

from dataclasses import dataclass

from rs_order.contracts.services import PlatformService
from rs_order.domain.basket import DatasetSelection
from rs_order.domain.files import Product
from rs_order.domain.identity import Caller
from rs_order.domain.ids import Tenant
from rs_order.domain.order import Order
from rs_order.domain.process import Process
from rs_order.ports import (
    Catalog,
    DatasetFiles,
    Processes,
    RemoteError,
    RemoteRefusal,
    UnreadableProcess,
)

SEARCH_FAILED = "Error trying to search data objects from catalog."


@dataclass(frozen=True, slots=True)
class Page:
    """What a step of a completion adds to its order."""

    products: tuple[Product, ...]
    attached: Product | None
    """The dataset with its attached files; with the first page only (C15)."""
    process: Process | None = None
    """What the products go into; None: they are ordered as they are."""

    @property
    def last(self) -> bool:
        """An empty page ends a selection (domain.md 4.4)."""
        return not self.products


class CompletionRefused(Exception):
    """An order can't be completed; the text is its message."""

    code = "completion-refused"


class PageReader:
    """Reads as the owner with the owner's role; attached files as the service itself."""

    def __init__(
        self,
        catalog: Catalog,
        dam: DatasetFiles | None,
        processes: Processes,
        *,
        page_size: int,
    ) -> None:
        self._catalog = catalog
        self._dam = dam
        self._processes = processes
        self._page_size = page_size

    async def read(
        self,
        tenant: Tenant,
        order: Order,
        selection: DatasetSelection,
        page: int,
        *,
        process: Process | None = None,
    ) -> Page:
        """Read one page, counted from 0; ``process``: the selection's, once an earlier page knew it.

        Raises:
            CompletionRefused: the process can't be ordered with.
            RemoteRefusal: a service refuses; the order can't be completed.
            RemoteTrouble: a service gave no answer; ask again later.
        """
        if process is None:
            process = await self._process_of(tenant, order, selection)
        attached = None
        if page == 0 and self._dam is not None:
            attached = await self._dam.attached_files(tenant, selection.urn)
        products = await self._catalog.search(
            Caller(tenant, order.owner, order.role),
            selection.requests,
            page=page,
            size=self._page_size,
            every_type=process is not None,
        )
        return Page(products, attached, process)

    async def _process_of(
        self, tenant: Tenant, order: Order, selection: DatasetSelection
    ) -> Process | None:
        """The process of a selection as rs-processing describes it to the owner (domain.md 5.1)."""
        choice = selection.process
        if choice is None:
            return None
        try:
            process = await self._processes.find(
                Caller(tenant, order.owner, order.role), choice.process_id
            )
        except UnreadableProcess as error:
            raise CompletionRefused(
                f"Unparsable process infos: order={order.id} user={order.owner} "
                f"dsSel={selection.id} processDto={error.detail}"
            ) from error
        except RemoteRefusal as error:
            raise CompletionRefused(_no_process(selection)) from error
        if process is None:
            raise CompletionRefused(_no_process(selection))
        return process

    @staticmethod
    def explain(error: RemoteError, selection: DatasetSelection) -> str:
        """The message of an order that fails for this (domain.md 4.4, 5.1, C15)."""
        if error.service == PlatformService.CATALOG:
            return SEARCH_FAILED
        return _no_process(selection) if error.service == PlatformService.PROCESSING else str(error)


def _no_process(selection: DatasetSelection) -> str:
    return f"Error retrieving process id {selection.process and selection.process.process_id}"
