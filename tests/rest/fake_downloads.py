"""Fakes of the store and of the file sources, for the downloads of one order."""

# ruff: noqa: ARG002 - the ports fix the signatures of the fakes

import asyncio
import hashlib
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from rs_order.domain.ids import Checksum, DataFileId, OrderId, Tenant, Urn
from rs_order.domain.parts import Part
from rs_order.domain.states import FileState, OrderStatus
from rs_order.ports import (
    FetchError,
    FetchResult,
    FileOfOrder,
    FileOutcome,
    FileToDownload,
    ListedFile,
    OpenFile,
    OrderToDownload,
)

DEMO = Tenant("demo")
ORDER = OrderId(12)
OWNER = "jane@example.org"
EXPIRES_AT = datetime(2027, 3, 1, tzinfo=UTC)
PRODUCT = Urn("URN:AIP:DATA:demo:646b593d-c152-5c9a-9dfe-17c9f0fff04b:V1")


_CAN_CHANGE = (FileState.AVAILABLE, FileState.DOWNLOADED, FileState.DOWNLOAD_ERROR)
"""The states of files that a download may change."""


@dataclass
class FakeDownloads:
    """Implements ``Downloads`` and ``Settle`` for one order."""

    files: list[FileToDownload] = field(default_factory=list)
    states: dict[int, FileState] = field(default_factory=dict)
    """The states of files before any download, by file id. The default is AVAILABLE."""
    owner: str = OWNER
    status: OrderStatus = OrderStatus.RUNNING
    expires_at: datetime | None = EXPIRES_AT
    sent: dict[int, set[int]] = field(default_factory=dict)
    """The positions of the bytes that were sent in parts, by file id."""
    settled: list[FileOutcome] = field(default_factory=list)
    settlements: list[int] = field(default_factory=list)
    """The number of outcomes in each call of ``settle``."""

    async def order(self, tenant: Tenant, order_id: OrderId) -> OrderToDownload | None:
        if (tenant, order_id) != (DEMO, ORDER):
            return None
        return OrderToDownload(
            order_id,
            self.owner,
            "REGISTERED_USER",
            self.status,
            self.expires_at,
            has_files=bool(self.files),
            has_available_files=bool(self._available()),
        )

    async def file(self, tenant: Tenant, file_id: DataFileId) -> FileOfOrder | None:
        ended = self.status in (OrderStatus.DELETED, OrderStatus.EXPIRED)
        for file in () if ended or tenant != DEMO else self.files:
            if file.id == file_id:
                return FileOfOrder(file, ORDER, self.owner, self.state_of(file_id))
        return None

    async def all_files(
        self, tenant: Tenant, order_id: OrderId, *, after: DataFileId, limit: int
    ) -> Sequence[ListedFile]:
        later = [file for file in self.files if file.id > after][:limit]
        return [ListedFile(file, self.state_of(file.id)) for file in later]

    async def repeated_names(self, tenant: Tenant, order_id: OrderId) -> frozenset[str]:
        names = Counter(file.name for file in self._available())
        return frozenset(name for name, files in names.items() if files > 1)

    async def available_files(
        self, tenant: Tenant, order_id: OrderId, *, after: DataFileId, limit: int
    ) -> Sequence[FileToDownload]:
        return [file for file in self._available() if file.id > after][:limit]

    async def add_sent(self, tenant: Tenant, file_id: DataFileId, part: Part) -> bool:
        sent = self.sent.setdefault(file_id, set())
        sent.update(range(part.start, part.end))
        return any(file.id == file_id and file.size == len(sent) for file in self.files)

    async def settle(
        self, tenant: Tenant, order_id: OrderId, outcomes: Sequence[FileOutcome]
    ) -> None:
        self.settlements.append(len(outcomes))
        self.settled += [
            outcome for outcome in outcomes if self.state_of(outcome.id) in _CAN_CHANGE
        ]

    async def delete(self) -> None:
        """Set the status of the order to DELETED."""
        self.status = OrderStatus.DELETED

    def state_of(self, file_id: int) -> FileState:
        """Return the state of a file before any download."""
        return self.states.get(file_id, FileState.AVAILABLE)

    def _available(self) -> list[FileToDownload]:
        """Return the AVAILABLE files without a settled outcome.

        A file that a quota stopped stays available (decisions.md, Quota).
        """
        settled = {
            outcome.id
            for outcome in self.settled
            if outcome.result is not FetchResult.QUOTA_EXCEEDED
        }
        return [
            file
            for file in self.files
            if file.id not in settled and self.state_of(file.id) is FileState.AVAILABLE
        ]

    @property
    def results(self) -> dict[int, FetchResult]:
        return {outcome.id: outcome.result for outcome in self.settled}

    @property
    def reasons(self) -> dict[int, str | None]:
        return {outcome.id: outcome.reason for outcome in self.settled}


Content = bytes | FetchError | Callable[[], AsyncGenerator[bytes, None]]


@dataclass
class FakeFileSources:
    """Implements ``FileSources`` with the contents of files by file id."""

    contents: dict[int, Content] = field(default_factory=dict)
    headers: dict[int, dict[str, str]] = field(default_factory=dict)
    """The response headers of the source, by file id."""
    emails: list[str] = field(default_factory=list)
    """The users in whose name files were opened."""
    opened: list[int] = field(default_factory=list)
    open_now: int = 0
    most_open: int = 0
    refusals: Counter[int] = field(default_factory=Counter)
    """How often the files still can't be opened."""
    allowed: int = 1000
    """Files that storage opens at the same time; others are refused."""
    ranges: bool = False
    """Whether storage takes ranges now, of files whose content is bytes."""
    starts: list[int] = field(default_factory=list)
    """The bytes that were delivered first, of each file that was opened."""
    _took_range: bool = False

    def takes_ranges(self, file: FileToDownload) -> bool:
        return self._took_range

    @asynccontextmanager
    async def open(
        self, tenant: Tenant, email: str, file: FileToDownload, *, start: int = 0
    ) -> AsyncIterator[OpenFile]:
        if self.open_now >= self.allowed:
            raise FetchError("Download quota exceeded", 429)
        if self.refusals[file.id] > 0:
            self.refusals[file.id] -= 1
            raise FetchError("Service unavailable", 503)
        content = self.contents[file.id]
        self.opened.append(file.id)
        self.emails.append(email)
        self.open_now += 1
        self.most_open = max(self.most_open, self.open_now)
        try:
            if isinstance(content, FetchError):
                raise content
            self._took_range = self.ranges
            start = start if self.ranges and isinstance(content, bytes) else 0
            self.starts.append(start)
            chunks = pieces(content[start:]) if isinstance(content, bytes) else content()
            async with aclosing(chunks):
                yield OpenFile(chunks, self.headers.get(file.id, {}), start)
        finally:
            self.open_now -= 1


async def five_minutes(tenant: Tenant, order_id: OrderId) -> timedelta:
    """Return how long to wait for a pending file."""
    return timedelta(minutes=5)


async def pieces(content: bytes) -> AsyncGenerator[bytes, None]:
    for start in range(0, len(content), 1000):
        await asyncio.sleep(0)  # lets other tasks run, as reading from a network does
        yield content[start : start + 1000]


def incompressible(size: int) -> bytes:
    return b"".join(
        hashlib.sha512(number.to_bytes(8)).digest() for number in range(size // 64 + 1)
    )[:size]


def md5(content: bytes) -> Checksum:
    return Checksum(hashlib.md5(content, usedforsecurity=False).hexdigest())


@dataclass
class DownloadableOrder:
    """An order in the fake store, and the contents of its files in the fake sources."""

    order: FakeDownloads = field(default_factory=FakeDownloads)
    sources: FakeFileSources = field(default_factory=FakeFileSources)

    def add(
        self,
        name: str,
        content: Content = b"content",
        *,
        of: bytes | None = None,
        size: int | str | None = "right",
        checksum: str | None = "right",
        algorithm: str | None = "MD5",
        url: str = "https://host/files/last%20segment.dat",
        external: bool = False,
        mime_type: str | None = None,
        state: FileState = FileState.AVAILABLE,
        headers: dict[str, str] | None = None,
        product: Urn = PRODUCT,
        product_id: str | None = None,
    ) -> int:
        """Add a file and return its id.

        The source delivers ``content``. The order's size and checksum are those of ``of``.
        """
        file_id = len(self.order.files) + 1
        expected = of if of is not None else content if isinstance(content, bytes) else b"content"
        self.order.files.append(
            FileToDownload(
                id=DataFileId(file_id),
                product=product,
                product_id=product_id,
                name=name,
                url=url,
                external=external,
                size=len(expected) if isinstance(size, str) else size,
                checksum=md5(expected)
                if checksum == "right"
                else None
                if checksum is None
                else Checksum(checksum),
                checksum_algorithm=algorithm,
                mime_type=mime_type,
            )
        )
        self.order.states[file_id] = state
        self.sources.headers[file_id] = headers or {}
        self.sources.contents[file_id] = content
        return file_id

    def add_all(self, contents: Iterable[tuple[str, bytes]]) -> None:
        for name, content in contents:
            self.add(name, content)
