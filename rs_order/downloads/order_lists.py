"""Lists of an order's files for download tools, written from pages of the store (faces.md M-1 to M-8)."""

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from rs_order.core.links import DownloadLinks, Links
from rs_order.domain.ids import DataFileId, OrderId, Tenant
from rs_order.domain.states import FileState, OrderStatus
from rs_order.downloads.entry_names import FreeNames, portable_name, safe_name
from rs_order.downloads.order_zip import OrderDeleted
from rs_order.ports import (
    Downloads,
    FileToDownload,
    ListedFile,
    OrderToDownload,
    OrderTokens,
    TokenHolder,
)

PAGE: Final = 500
"""Files in one piece of a list, read from the store at once: about 400 KiB."""

_DELIVERED: Final = frozenset({FileState.AVAILABLE, FileState.DOWNLOADED, FileState.DOWNLOAD_ERROR})
"""The states of files that can be downloaded now, maybe once more."""
_WITHOUT_FILES: Final = frozenset({OrderStatus.DELETED, OrderStatus.EXPIRED, OrderStatus.PENDING})


class Layout(StrEnum):
    """Where a tool saves the files."""

    FLAT = "flat"
    """All in one folder."""
    PRODUCTS = "products"
    """A folder for each product."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """The links to the files of one order."""

    tenant: Tenant
    order_token: str
    links: DownloadLinks

    def of(self, file: FileToDownload) -> str:
        return self.links.public_file(file.id, self.order_token, self.tenant)

    def metalink_4(self) -> str:
        return self.links.public_metalink(self.order_token, self.tenant, version=4)


@dataclass(frozen=True, slots=True)
class Entry:
    """A file in a list."""

    listed: ListedFile
    name: str
    """The path to save it under: relative, portable and unique, with ``/`` between folder and name."""
    url: str

    @property
    def file(self) -> FileToDownload:
        return self.listed.file


class ListFormat(ABC):
    """Writes one list of one kind: its head, its entries in parts, and its foot."""

    def __init__(self, *, only_available: bool, layout: Layout = Layout.FLAT) -> None:
        """``only_available``: without the files that can't be downloaded now."""
        self._only_available = only_available
        self.layout = layout

    def lists(self, listed: ListedFile) -> bool:
        """True if the list has this file."""
        return not self._only_available or listed.state in _DELIVERED

    def head(self, order: OrderToDownload, addresses: Addresses) -> bytes:  # noqa: ARG002 - some use them
        """Return the beginning of the list, which may be empty."""
        return b""

    @abstractmethod
    def part(self, entries: Sequence[Entry]) -> bytes:
        """Return the next entries; none if there are none."""

    def foot(self) -> Iterator[bytes]:
        """Yield the end of the list."""
        return iter(())

    def close(self) -> None:  # noqa: B027 - most hold nothing
        """Release what the writer holds; called at the end, and if the reader stops before."""


class OrderLists:
    """Writes lists whose links open the files of their order until it expires."""

    def __init__(self, downloads: Downloads, tokens: OrderTokens, links: Links) -> None:
        self._downloads = downloads
        self._tokens = tokens
        self._links = links

    async def of(
        self, tenant: Tenant, order: OrderToDownload, format_: ListFormat
    ) -> AsyncGenerator[bytes, None] | None:
        """Return the list of an order piece by piece, or None if it has no files that are known.

        Files are listed by ascending id. Tools save files under the names given here, so the names are as
        portable and unique as in a zip. The name of a file depends on those of the files before it, whether
        they are listed or not, so that it is the same in all lists of a layout. The links are in the owner's
        name for every caller (W24).

        Raises:
            OrderTokensUnset: the key of order tokens is not set.
            RemoteUnavailable: the address of the project is neither stored nor available now.
            OrderDeleted: by the generator: the order was deleted or expired, so files may be missing.
        """
        if order.status in _WITHOUT_FILES or order.expires_at is None or not order.has_files:
            return None
        holder = TokenHolder(order.id, order.owner, order.role, order.expires_at)
        token = self._tokens.issue(tenant, holder)
        addresses = Addresses(tenant, token, await self._links.current(tenant))
        return self._pieces(order, addresses, format_)

    async def _pieces(
        self, order: OrderToDownload, addresses: Addresses, format_: ListFormat
    ) -> AsyncGenerator[bytes, None]:
        names = FreeNames()
        try:
            if head := format_.head(order, addresses):
                yield head
            async for page in self._pages(addresses.tenant, order.id):
                named = [(one, _path(one.file, names, format_.layout)) for one in page]
                entries = [
                    Entry(one, name, addresses.of(one.file))
                    for one, name in named
                    if format_.lists(one)
                ]
                if part := format_.part(entries):
                    yield part
            for piece in format_.foot():
                yield piece
        finally:
            format_.close()

    async def _pages(
        self, tenant: Tenant, order_id: OrderId
    ) -> AsyncIterator[Sequence[ListedFile]]:
        """Yield all files of an order, page by page.

        Raises:
            OrderDeleted: it was deleted or expired meanwhile.
        """
        after = DataFileId(0)
        while page := await self._downloads.all_files(tenant, order_id, after=after, limit=PAGE):
            yield page
            after = page[-1].file.id
        order = await self._downloads.order(tenant, order_id)
        if order is None or order.status.deleted_or_expired:
            raise OrderDeleted


def _path(file: FileToDownload, names: FreeNames, layout: Layout) -> str:
    folder = "" if layout is Layout.FLAT else f"{portable_name(safe_name(product_of(file)))}/"
    return names.choose(file, folder)


def product_of(file: FileToDownload) -> str:
    """Return the name of a file's product: that of its provider, else its URN."""
    return file.product_id or file.product
