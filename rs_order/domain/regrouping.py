"""How the files in error of an order are cut anew in sub-orders by a retry (domain.md 12.6)."""

from collections.abc import Mapping
from dataclasses import dataclass

from rs_order.domain.ids import DataFileId, DatasetTaskId, SubOrderId
from rs_order.domain.partition import Bucket
from rs_order.domain.states import FileState, SubOrderKind


@dataclass(frozen=True, slots=True)
class FileInError:
    """A file that a retry takes out of its sub-order."""

    id: DataFileId
    dataset_task: DatasetTaskId
    sub_order: SubOrderId
    kind: SubOrderKind
    """Of the sub-order it is in, and of the one it goes to: the two kinds never mix (C10)."""
    state: FileState
    size: int | None

    @property
    def retried_state(self) -> FileState:
        """Storage is asked once more; an external file is there as before (W18)."""
        return FileState.PENDING if self.kind is SubOrderKind.STORAGE else FileState.AVAILABLE


class Regrouping:
    """Fills new buckets with the files of one dataset task; whether one is full is asked after each file."""

    def __init__(
        self, bucket_bytes: int, left_open: Mapping[SubOrderKind, Bucket[FileInError]]
    ) -> None:
        """``left_open``: the buckets that an earlier slice of the same dataset task left open, by kind."""
        self._bucket_bytes = bucket_bytes
        self._open = dict(left_open)
        self.buckets = list(left_open.values())
        """Every bucket touched, oldest first."""

    def add(self, file: FileInError) -> None:
        bucket = self._open.get(file.kind)
        if bucket is None:
            bucket = self._open[file.kind] = Bucket(file.kind)
            self.buckets.append(bucket)
        bucket.add(file, file.size)
        if bucket.is_full(self._bucket_bytes):
            bucket.closed = True
            del self._open[file.kind]

    def open_bucket(self, kind: SubOrderKind) -> Bucket[FileInError] | None:
        """The bucket of a kind that takes more files."""
        return self._open.get(kind)

    def finish(self) -> None:
        """The dataset task has no more files in error: what is open is closed."""
        for bucket in self._open.values():
            bucket.closed = True
        self._open.clear()
