"""Puts the files of a selection into batches, each a sub-order (domain.md 4.5, C8-C11).

Batches are filled product by product, in the order of the catalog. The limits of a batch are
checked after all files of a product, so that no product is split over two batches.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

from rs_order.domain.files import NO_CHECKSUM, CatalogFile, FileFilter, Product
from rs_order.domain.ids import DataFileId, DatasetTaskId, SubOrderId
from rs_order.domain.states import FileState, SubOrderKind

MAX_FILES = 5000
MAX_EXTERNAL_FILES = 1000


class OrderedFile(NamedTuple):
    """A file that passed the filter, with the product it belongs to and its first state."""

    product: Product
    file: CatalogFile
    state: FileState
    reason: str | None = None
    output_key: str | None = None
    """The key of an output of a process (domain.md 5.4); None: no output of a process."""


File = TypeVar("File")


@dataclass(slots=True, eq=False)
class FileBatch(Generic[File]):
    """The files that one step adds to a sub-order, with the totals of all its files."""

    kind: SubOrderKind
    total_files: int = 0
    total_bytes: int = 0
    added: list[File] = field(default_factory=list)
    closed: bool = False
    sub_order: SubOrderId | None = None
    """The sub-order, if an earlier step created it; None: a new one."""

    def add(self, file: File, size: int | None) -> None:
        self.added.append(file)
        self.total_files += 1
        self.total_bytes += size or 0

    def take(self) -> list[File]:
        """Take out the files that were added. They still count."""
        taken, self.added = self.added, []
        return taken

    def is_full(self, batch_bytes: int) -> bool:
        """True if it has reached a limit (C8, C11)."""
        if self.kind is SubOrderKind.EXTERNAL:
            return self.total_files > MAX_EXTERNAL_FILES
        return self.total_files >= MAX_FILES or self.total_bytes >= batch_bytes


class FileBatches:
    """Fills batches of stored and of external files."""

    def __init__(
        self,
        batch_bytes: int,
        file_filter: FileFilter | None = None,
        left_open: Mapping[SubOrderKind, FileBatch[OrderedFile]] | None = None,
    ) -> None:
        """``left_open``: the batches that an earlier step left open, by kind."""
        self._batch_bytes = batch_bytes
        self._filter = file_filter or FileFilter()
        self.touched: list[FileBatch[OrderedFile]] = list((left_open or {}).values())
        """Every batch that gets files, oldest first."""
        self._to_take = list(self.touched)
        self.storage = (left_open or {}).get(SubOrderKind.STORAGE)
        self.external = (left_open or {}).get(SubOrderKind.EXTERNAL)
        self.oversized: list[str] = []
        """Names of stored files that are larger than a whole batch (domain.md 16.4)."""

    def attach(self, dataset: Product) -> None:
        """Add the files attached to the dataset, first and without the filter (C16, C17).

        The limits are checked with the next product.
        """
        for file in dataset.files:
            self._put(dataset, file, external=file.external or file.stored_by_dam)

    def add_products(self, products: Iterable[Product]) -> int:
        """Add the files of products that pass the filter. Return their number."""
        added = 0
        for product in products:
            for file in product.files:
                if self._filter.passes(file):
                    self._put(product, file, external=file.external)
                    added += 1
            self._close_full()
        return added

    def finish(self) -> None:
        """Close the open batches: no more files follow."""
        for batch in (self.storage, self.external):
            if batch:
                batch.closed = True
        self.storage = self.external = None

    def take(self) -> list[tuple[FileBatch[OrderedFile], list[OrderedFile]]]:
        """Take the files out of the batches. They still count. Return them by batch, the oldest one first."""
        taken = [(batch, batch.take()) for batch in self._to_take if batch.added]
        self._to_take = [batch for batch in self._to_take if not batch.closed]
        return taken

    def _put(self, product: Product, file: CatalogFile, *, external: bool) -> None:
        if external:
            if self.external is None:
                self.external = self._open(SubOrderKind.EXTERNAL)
            self.external.add(OrderedFile(product, file, FileState.AVAILABLE), file.size)
            return
        if self.storage is None:
            self.storage = self._open(SubOrderKind.STORAGE)
        if file.defect or file.checksum is None:
            reason = file.defect or NO_CHECKSUM
            self.storage.add(OrderedFile(product, file, FileState.ERROR, reason), file.size)
            return
        self.storage.add(OrderedFile(product, file, FileState.PENDING), file.size)
        if file.size is not None and file.size > self._batch_bytes:
            self.oversized.append(file.name)

    def _open(self, kind: SubOrderKind) -> FileBatch[OrderedFile]:
        batch = FileBatch[OrderedFile](kind)
        self.touched.append(batch)
        self._to_take.append(batch)
        return batch

    def _close_full(self) -> None:
        if self.storage and self.storage.is_full(self._batch_bytes):
            self.storage.closed = True
            self.storage = None
        if self.external and self.external.is_full(self._batch_bytes):
            self.external.closed = True
            self.external = None


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
