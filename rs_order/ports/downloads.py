"""What a download reads from the store, where the bytes come from, and what it reports back."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from rs_order.domain.ids import Checksum, DataFileId, OrderId, Tenant, Urn
from rs_order.domain.states import FileState, OrderStatus


@dataclass(frozen=True, slots=True)
class OrderToDownload:
    """What decides whether somebody may download an order, and whether there is anything."""

    id: OrderId
    owner: str
    role: str
    """Role of the owner in the project when he ordered."""
    status: OrderStatus
    expires_at: datetime | None
    """None while its files are still being read from the catalog."""
    has_files: bool
    """In whatever state."""
    has_available_files: bool


@dataclass(frozen=True, slots=True)
class FileToDownload:
    """A file of an order, with all that is needed to fetch and check it."""

    id: DataFileId
    product: Urn
    name: str
    url: str
    external: bool
    size: int | None
    """Bytes; None when the catalog doesn't know."""
    checksum: Checksum | None
    checksum_algorithm: str | None
    mime_type: str | None = None

    @property
    def held_by_dam(self) -> bool:
        """Stored by rs-dam beside its dataset; its URL is the only sign of it."""
        return self.url.endswith("/dam")


@dataclass(frozen=True, slots=True)
class FileOfOrder:
    """One file, with what decides whether somebody may download it now."""

    file: FileToDownload
    order_id: OrderId
    owner: str
    state: FileState


class FetchResult(StrEnum):
    """How the download of one file ended."""

    DOWNLOADED = "DOWNLOADED"
    """All bytes went out, with the size and checksum of the catalog."""
    FAILED = "FAILED"
    """Not, or not wholly."""
    WRONG_CONTENT = "WRONG_CONTENT"
    """Other bytes came than the catalog's: failed too, and noted in the history of the order."""
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
    """What a download reads from the store."""

    async def order(self, tenant: Tenant, order_id: OrderId) -> OrderToDownload | None: ...

    async def file(self, tenant: Tenant, file_id: DataFileId) -> FileOfOrder | None:
        """One file; None for that of an order that is gone."""
        ...

    async def all_files(
        self, tenant: Tenant, order_id: OrderId, *, after: DataFileId, limit: int
    ) -> Sequence[FileToDownload]:
        """The next files of the order by ascending id, whatever their state."""
        ...

    async def repeated_names(self, tenant: Tenant, order_id: OrderId) -> frozenset[str]:
        """File names that more than one AVAILABLE file of the order has."""
        ...

    async def available_files(
        self, tenant: Tenant, order_id: OrderId, *, after: DataFileId, limit: int
    ) -> Sequence[FileToDownload]:
        """The next AVAILABLE files by ascending id."""
        ...


@dataclass(frozen=True, slots=True)
class SourceAnswer:
    """What a source of the platform said instead of giving the file; may be passed on."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    """Cut to a bounded length."""


class FetchError(Exception):
    """A file could not be fetched.

    ``reason`` is the text for NOTICE.txt (rest.md 10.3); ``status`` the upstream status, None when
    there was no answer; ``answer`` all of it, None when it is nobody else's business.
    """

    code = "fetch-failed"

    def __init__(
        self, reason: str, status: int | None = None, answer: SourceAnswer | None = None
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status
        self.answer = answer

    @property
    def quota_exceeded(self) -> bool:
        return self.status == 429  # noqa: PLR2004 - the HTTP status "Too Many Requests"

    @property
    def result(self) -> FetchResult:
        return FetchResult.QUOTA_EXCEEDED if self.quota_exceeded else FetchResult.FAILED


class WrongContent(FetchError):
    """What came isn't the file: other bytes than the checksum says, or more than there are."""

    code = "wrong-content"

    @property
    def result(self) -> FetchResult:
        return FetchResult.WRONG_CONTENT


@dataclass(frozen=True, slots=True)
class OpenFile:
    """A file that its source has begun to give."""

    chunks: AsyncIterator[bytes]
    """Of at most 64 KiB, read as they are consumed."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """What the source says of the file, by names as in ``Content-Type``; nothing of the connection."""


class FileSources(Protocol):
    """Where the bytes are: rs-storage, rs-dam, or the file's own URL (remote-services.md 2.9, 3.4, 3.5)."""

    def open(
        self, tenant: Tenant, email: str, file: FileToDownload
    ) -> AbstractAsyncContextManager[OpenFile]:
        """Open a file in the name of a user.

        Raises:
            FetchError: on entering, or while reading when the transfer breaks.
        """
        ...
