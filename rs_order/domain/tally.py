"""Counts and bytes of files per state: what every decision about an order is taken from."""

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
    """The same after it, where the files took another size with the state; None: they did not."""

    @property
    def bytes_taken(self) -> int:
        """What the state they took has to count."""
        return self.bytes if self.bytes_after is None else self.bytes_after


@dataclass(slots=True)
class Tally:
    """Files and bytes per state. Files of unknown size count as files and as 0 bytes."""

    files: dict[FileState, int] = field(default_factory=lambda: dict.fromkeys(FileState, 0))
    bytes: dict[FileState, int] = field(default_factory=lambda: dict.fromkeys(FileState, 0))

    def add(self, state: FileState, files: int, size: int) -> None:
        self.files[state] += files
        self.bytes[state] += size

    def apply(self, moves: Iterable[FileMove]) -> None:
        """Take files out of the state they left and into the one they took."""
        for move in moves:
            self.add(move.before, -move.files, -move.bytes)
            self.add(move.after, move.files, move.bytes_taken)

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
        """Share made available, 0..100: by bytes, by files where no size is known (W28).

        100 only when every file is settled, so that files of 0 or unknown bytes are never forgotten.
        """
        if not self.pending:
            return 100
        if self.total_bytes:
            settled, total = self.total_bytes - self.bytes[FileState.PENDING], self.total_bytes
        else:
            settled, total = self.total_files - self.pending, self.total_files
        return min(99, 100 * settled // total)
