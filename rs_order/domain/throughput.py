"""The throughput of an hour: files that storage brought back, and files that were delivered."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from rs_order.domain.moves import Reason
from rs_order.domain.states import FileMove, FileState


@dataclass(frozen=True, slots=True)
class Throughput:
    """Files and bytes. A file of unknown size counts as 0 bytes."""

    restored_files: int = 0
    restored_bytes: int = 0
    delivered_files: int = 0
    """Downloaded whole for the first time."""
    delivered_bytes: int = 0

    def __add__(self, other: "Throughput") -> "Throughput":
        return Throughput(
            self.restored_files + other.restored_files,
            self.restored_bytes + other.restored_bytes,
            self.delivered_files + other.delivered_files,
            self.delivered_bytes + other.delivered_bytes,
        )


NONE = Throughput()


def throughput_of(moves: Iterable[FileMove], reason: Reason) -> Throughput:
    """Return what moves of files for a reason add. Outputs of processes were not restored."""
    found = NONE
    for move in moves:
        if move.after is FileState.AVAILABLE and reason is Reason.STORAGE_ANSWERED:
            found += Throughput(restored_files=move.files, restored_bytes=move.bytes_added)
        elif move.after is FileState.DOWNLOADED:
            found += Throughput(delivered_files=move.files, delivered_bytes=move.bytes_added)
    return found


def hour_of(at: datetime) -> datetime:
    """Return the beginning of the hour of an instant."""
    return at.replace(minute=0, second=0, microsecond=0)
