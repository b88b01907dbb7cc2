"""What a download reads from the store, where the bytes come from, and what it reports back."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from rs_order.domain.ids import Checksum, DataFileId, OrderId, Tenant, Urn


@dataclass(frozen=True, slots=True)
class OrderToDownload:
    """What decides whether somebody may download an order, and whether there is anything."""

    id: OrderId
    owner: str
    has_available_files: bool


@dataclass(frozen=True, slots=True)
class FileToDownload:
    """An AVAILABLE file of an order, with all that is needed to fetch and check it."""

    id: DataFileId
    product: Urn
    name: str
    url: str
    external: bool
    size: int | None
    """Bytes; None when the catalog doesn't know."""
    checksum: Checksum | None
    checksum_algorithm: str | None

    @property
    def held_by_dam(self) -> bool:
        """Stored by rs-dam beside its dataset; its URL is the only sign of it."""
        return self.url.endswith("/dam")


class FetchResult(StrEnum):
    """How the download of one file ended."""

    DOWNLOADED = "DOWNLOADED"
    """All bytes went out, with the size and checksum of the catalog."""
    FAILED = "FAILED"
    """Not, or not wholly, or with wrong bytes."""
    QUOTA_EXCEEDED = "QUOTA_EXCEEDED"
    """Storage answered 429: the file stays AVAILABLE, the gate no longer counts its sub-order."""


@dataclass(frozen=True, slots=True)
class FileOutcome:
    """What became of one file of a download."""

    id: DataFileId
    result: FetchResult
    reason: str | None = None
    """Why not, for the user; None when it was downloaded."""


class Downloads(Protocol):
    """The store, as a download sees it."""

    async def order(self, tenant: Tenant, order_id: OrderId) -> OrderToDownload | None: ...

    async def repeated_names(self, tenant: Tenant, order_id: OrderId) -> frozenset[str]:
        """File names that more than one AVAILABLE file of the order has."""
        ...

    async def available_files(
        self, tenant: Tenant, order_id: OrderId, *, after: DataFileId, limit: int
    ) -> Sequence[FileToDownload]:
        """The next AVAILABLE files by ascending id."""
        ...

    async def settle(
        self, tenant: Tenant, order_id: OrderId, outcomes: Sequence[FileOutcome]
    ) -> None:
        """Record what became of the files; releases the next sub-orders. Bounded by the caller (≤ 5000)."""
        ...


class FetchError(Exception):
    """A file could not be fetched.

    ``reason`` is the text for NOTICE.txt (rest.md 10.3); ``status`` the upstream status, None when
    there was no answer.
    """

    code = "fetch-failed"

    def __init__(self, reason: str, status: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status

    @property
    def quota_exceeded(self) -> bool:
        return self.status == 429  # noqa: PLR2004 - the HTTP status "Too Many Requests"


class FileSources(Protocol):
    """Where the bytes are: rs-storage, rs-dam, or the file's own URL (remote-services.md 2.9, 3.4, 3.5)."""

    def open(
        self, tenant: Tenant, email: str, file: FileToDownload
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Open a file in the name of a user; chunks of at most 64 KiB, read as they are consumed.

        Raises:
            FetchError: on entering, or while reading when the transfer breaks.
        """
        ...
