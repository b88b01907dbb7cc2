"""Reads one page of an order's files from the catalog and rs-dam."""

from collections.abc import Sequence
from dataclasses import dataclass

from rs_order.contracts.platform_names import PlatformService
from rs_order.domain.files import Product
from rs_order.domain.identity import Caller
from rs_order.domain.ids import Tenant
from rs_order.domain.order import Order
from rs_order.domain.process import Process
from rs_order.domain.selection import DatasetSelection
from rs_order.ports import (
    BadResponse,
    Catalog,
    Processes,
    RemoteError,
    RemoteRejection,
    UnreadableProcess,
)
from rs_order.regards.catalog import RegardsDatasetFiles
from rs_order.store.cursors import CompletionCursor, ReadingPass

SEARCH_FAILED = "Error trying to search data objects from catalog."


@dataclass(frozen=True, slots=True)
class Page:
    """The products that one step of a completion adds to its order."""

    products: Sequence[Product]
    """They are read once: they may be made anew each time."""
    total: int | None
    """The products of all pages, as the catalog counts them now; None: it doesn't."""
    size: int
    """The size that was asked for, in products."""
    attached: Product | None
    """The dataset with its attached files. Only the first page of the first pass has it (C15)."""
    process: Process | None = None
    """The process that works on the products. None: their files are ordered without a process."""
    complete: bool = False
    """True if all products that the catalog counts were read."""

    @property
    def last(self) -> bool:
        """True if no page follows: this one is empty (domain.md 4.4), or the next one would be."""
        return self.complete or not self.products


@dataclass(frozen=True, slots=True)
class OrderPage:
    """A page that is added to its order, whose row is locked."""

    order: Order
    cursor: CompletionCursor
    """The position of the page."""
    selection: DatasetSelection
    page: Page


class CompletionFailed(Exception):
    """The order can't be completed. The text becomes the message of the order."""

    code = "completion-refused"


class PageReader:
    """Searches the catalog with the owner's rights, and reads attached files with those of the service."""

    def __init__(
        self,
        catalog: Catalog,
        dam: RegardsDatasetFiles | None,
        processes: Processes,
        *,
        page_size: int,
    ) -> None:
        """``dam``: None if attached files aren't ordered; ``page_size``: in products, of new passes."""
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
        reading: ReadingPass = ReadingPass(),  # noqa: B008 - a frozen value
        process: Process | None = None,
    ) -> Page:
        """Read a page of a selection.

        Args:
            tenant: of the order.
            order: the catalog is read with the rights of its owner.
            selection: the selection to read.
            page: its number, from 0.
            reading: the pass over the selection, with the pages before.
            process: the process of the selection, if an earlier page has read it.

        Raises:
            CompletionFailed: the process doesn't exist, or its description can't be read.
            RemoteRejection: a service rejects the request. The order can't be completed.
            RemoteUnavailable: a service gives no answer. The same page can be read later.
        """
        if process is None:
            process = await self._process_of(tenant, order, selection)
        attached = None
        if page == 0 and reading.number == 1 and self._dam is not None:
            attached = await self._dam.attached_files(tenant, selection.urn)
        size = reading.page_size or self._page_size
        found = await self._catalog.search(
            Caller(tenant, order.owner, order.role),
            selection.requests,
            page=page,
            size=size,
            every_type=process is not None,
        )
        so_far = reading.products + len(found.products)
        complete = found.total is not None and so_far >= found.total
        return Page(found.products, found.total, size, attached, process, complete=complete)

    async def _process_of(
        self, tenant: Tenant, order: Order, selection: DatasetSelection
    ) -> Process | None:
        """Return the process of a selection as rs-processing describes it to the owner (domain.md 5.1)."""
        choice = selection.process
        if choice is None:
            return None
        try:
            process = await self._processes.find(
                Caller(tenant, order.owner, order.role), choice.process_id
            )
        except UnreadableProcess as error:
            raise CompletionFailed(
                f"Unparsable process infos: order={order.id} user={order.owner} "
                f"dsSel={selection.id} processDto={error.detail}"
            ) from error
        except RemoteRejection as error:
            raise CompletionFailed(_no_process(selection)) from error
        if process is None:
            raise CompletionFailed(_no_process(selection))
        return process

    @staticmethod
    def explain(error: RemoteError, selection: DatasetSelection) -> str:
        """Return the message of an order that fails because of the error (domain.md 4.4, 5.1, C15)."""
        if error.service == PlatformService.CATALOG:
            return f"{SEARCH_FAILED} {error}" if isinstance(error, BadResponse) else SEARCH_FAILED
        return _no_process(selection) if error.service == PlatformService.PROCESSING else str(error)


def _no_process(selection: DatasetSelection) -> str:
    return f"Error retrieving process id {selection.process and selection.process.process_id}"
