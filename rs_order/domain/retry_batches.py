"""Puts the files in error of an order into new batches for a retry (domain.md 12.6)."""

from collections.abc import Mapping
from dataclasses import dataclass

from rs_order.domain.file_batches import FileBatch
from rs_order.domain.ids import DataFileId, DatasetTaskId, SubOrderId
from rs_order.domain.states import FileState, SubOrderKind


@dataclass(frozen=True, slots=True)
class FileInError:
    """A file that a retry takes out of its sub-order."""

    id: DataFileId
    dataset_task: DatasetTaskId
    sub_order: SubOrderId
    kind: SubOrderKind
    """The kind of its old and of its new sub-order; the kinds never mix (C10)."""
    state: FileState
    size: int | None

    @property
    def retried_state(self) -> FileState:
        """The state after the retry: storage is asked again, an external file is available (W18)."""
        return FileState.PENDING if self.kind is SubOrderKind.STORAGE else FileState.AVAILABLE


class RetryBatches:
    """Fills batches with the files of one dataset task; limits are checked after each file."""

    def __init__(
        self, batch_bytes: int, left_open: Mapping[SubOrderKind, FileBatch[FileInError]]
    ) -> None:
        """``left_open``: the batches that an earlier slice of the same dataset task left open, by kind."""
        self._batch_bytes = batch_bytes
        self._open = dict(left_open)
        self.touched = list(left_open.values())
        """Every batch that gets files, oldest first."""

    def add(self, file: FileInError) -> None:
        batch = self._open.get(file.kind)
        if batch is None:
            batch = self._open[file.kind] = FileBatch(file.kind)
            self.touched.append(batch)
        batch.add(file, file.size)
        if batch.is_full(self._batch_bytes):
            batch.closed = True
            del self._open[file.kind]

    def open_batch(self, kind: SubOrderKind) -> FileBatch[FileInError] | None:
        """Return the batch of a kind that takes more files."""
        return self._open.get(kind)

    def finish(self) -> None:
        """Close the open batches: the dataset task has no more files in error."""
        for batch in self._open.values():
            batch.closed = True
        self._open.clear()
