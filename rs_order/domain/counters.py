"""Files and bytes per state. The status of an order and the state of a sub-order follow from them."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from rs_order.domain.ids import OrderId, SubOrderId
from rs_order.domain.states import FileState


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
