"""The states of orders, sub-orders and files, and the counters of files by state.

Their moves are in ``moves.py``. The database accepts no other value (``schema/tenant.sql``).
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from rs_order.domain.ids import OrderId, SubOrderId


class FileState(StrEnum):
    """State of a data file (domain.md 2.1)."""

    PENDING = "PENDING"
    """Storage or a process has not settled it yet."""
    AVAILABLE = "AVAILABLE"
    """Ready to download: storage has it available, or it is an external file."""
    DOWNLOADED = "DOWNLOADED"
    """All its bytes went to the user and match the checksum of the catalog."""
    DOWNLOAD_ERROR = "DOWNLOAD_ERROR"
    """A download failed; this is no error of the order (K2)."""
    ERROR = "ERROR"
    """Storage can't deliver it, or gave no answer before the deadline."""
    PROCESSING_ERROR = "PROCESSING_ERROR"
    """Its process failed."""

    @property
    def settled(self) -> bool:
        """True if neither storage nor a process is awaited; counts for the percentage."""
        return self is not FileState.PENDING

    @property
    def failed(self) -> bool:
        """True if it counts as an error of the order."""
        return self in (FileState.ERROR, FileState.PROCESSING_ERROR)


class SubOrderState(StrEnum):
    """State of a sub-order."""

    BUILDING = "BUILDING"
    """The completion of its order, or a retry, still adds files to it."""
    READY = "READY"
    """Complete; waits for a free slot of its owner, or for its order to be resumed."""
    RUNNING = "RUNNING"
    """Storage was asked for its files, or for the inputs of its process, and has not settled all of them."""
    PROCESSING = "PROCESSING"
    """Its inputs are settled; rs-processing makes its files, or gets the request for them next."""
    WAITING = "WAITING"
    """Every file is settled and at least one waits for the owner's download (``waitingForUser``)."""
    ENDED = "ENDED"
    """Every file is in a final state."""


class SubOrderKind(StrEnum):
    """The source of a sub-order's files; the kinds never mix (C10)."""

    STORAGE = "STORAGE"
    """Files that storage holds and is asked for."""
    EXTERNAL = "EXTERNAL"
    """Files known by URL only: available at once, without a slot."""
    PROCESSING = "PROCESSING"
    """Files that a process makes; storage may be asked for its inputs first."""


class OrderStatus(StrEnum):
    """Status of an order (domain.md 2.3), as peers and users see it."""

    PENDING = "PENDING"
    """Accepted; its files are being read from the catalog."""
    RUNNING = "RUNNING"
    """Its sub-orders are restored, processed or downloaded."""
    PAUSED = "PAUSED"
    """Nothing more of it starts until it is resumed; answers to earlier requests still count."""
    EXPIRED = "EXPIRED"
    """Past its expiry date; its files are deleted."""
    FAILED = "FAILED"
    """No file is available, or the completion failed."""
    DONE_WITH_WARNING = "DONE_WITH_WARNING"
    """Some files are available, others are not."""
    DONE = "DONE"
    """Every file is or was available; downloads may be outstanding."""
    DELETED = "DELETED"
    """Its files are deleted; an administrator may remove the rest."""
    ERROR = "ERROR"
    """Stopped by an unforeseen error; can be deleted. A status of the contract that is never set here."""

    @property
    def final(self) -> bool:
        """True if the end was announced (``DONE`` or ``FAILED`` on the wire)."""
        return self in (OrderStatus.DONE, OrderStatus.DONE_WITH_WARNING, OrderStatus.FAILED)

    @property
    def unfinished(self) -> bool:
        """True while there is a reason why the order isn't further."""
        return self in (OrderStatus.PENDING, OrderStatus.RUNNING, OrderStatus.PAUSED)

    @property
    def can_be_paused(self) -> bool:
        return self in (OrderStatus.PENDING, OrderStatus.RUNNING)

    @property
    def can_be_deleted(self) -> bool:
        """True if nothing of it is in progress; also for ERROR (decisions.md, ERROR orders)."""
        return self.final or self in (OrderStatus.PAUSED, OrderStatus.EXPIRED, OrderStatus.ERROR)

    @property
    def can_be_retried(self) -> bool:
        return self in (OrderStatus.DONE_WITH_WARNING, OrderStatus.FAILED)

    @property
    def deleted_or_expired(self) -> bool:
        """True if its files are deleted; no event changes it any more."""
        return self in (OrderStatus.EXPIRED, OrderStatus.DELETED)


@dataclass(frozen=True, slots=True)
class FileMove:
    """Files of one sub-order that went from one state to another in one statement."""

    order_id: OrderId
    sub_order_id: SubOrderId
    before: FileState
    after: FileState
    files: int
    bytes: int
    """Sum of the known sizes, before the move."""
    bytes_after: int | None = None
    """Sum of the sizes after the move; None: unchanged."""

    @property
    def bytes_added(self) -> int:
        """Bytes that the move adds to the state after it."""
        return self.bytes if self.bytes_after is None else self.bytes_after


@dataclass(slots=True)
class FileCounters:
    """Files and bytes per state. A file of unknown size counts as 0 bytes."""

    files: dict[FileState, int] = field(default_factory=lambda: dict.fromkeys(FileState, 0))
    bytes: dict[FileState, int] = field(default_factory=lambda: dict.fromkeys(FileState, 0))

    def add(self, state: FileState, files: int, size: int) -> None:
        self.files[state] += files
        self.bytes[state] += size

    def apply(self, moves: Iterable[FileMove]) -> None:
        """Move files from one state's counters to another's."""
        for move in moves:
            self.add(move.before, -move.files, -move.bytes)
            self.add(move.after, move.files, move.bytes_added)

    @property
    def total_files(self) -> int:
        return sum(self.files.values())

    @property
    def total_bytes(self) -> int:
        return sum(self.bytes.values())

    @property
    def pending(self) -> int:
        return self.files[FileState.PENDING]

    @property
    def available(self) -> int:
        return self.files[FileState.AVAILABLE]

    @property
    def once_available(self) -> int:
        """Files that are available, and those that were until a download."""
        return (
            self.available + self.files[FileState.DOWNLOADED] + self.files[FileState.DOWNLOAD_ERROR]
        )

    @property
    def errors(self) -> int:
        """Files in ERROR or PROCESSING_ERROR; download errors don't count (K2)."""
        return self.files[FileState.ERROR] + self.files[FileState.PROCESSING_ERROR]

    @property
    def to_retry(self) -> int:
        """Files that a retry tries again (decisions.md, Retry)."""
        return self.errors + self.files[FileState.DOWNLOAD_ERROR]

    @property
    def percent(self) -> int:
        """Return the settled share, 0 to 100, by bytes, or by files if no size is known (W28).

        It is 100 only when every file is settled, so files of 0 or unknown bytes count too.
        """
        if not self.pending:
            return 100
        if self.total_bytes:
            settled, total = self.total_bytes - self.bytes[FileState.PENDING], self.total_bytes
        else:
            settled, total = self.total_files - self.pending, self.total_files
        return min(99, 100 * settled // total)
