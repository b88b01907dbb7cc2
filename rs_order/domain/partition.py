"""How the files of a selection are cut in sub-orders (domain.md 4.5, C8-C11).

Buckets are filled product by product, in the order of the catalog; whether a bucket is full is asked
once per product, after all its files, so that a product is never split over two buckets.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from rs_order.domain.file_filter import FileFilter
from rs_order.domain.files import NO_CHECKSUM, CatalogFile, Product
from rs_order.domain.ids import SubOrderId
from rs_order.domain.states import FileState, SubOrderKind

MAX_FILES = 5000
MAX_EXTERNAL_FILES = 1000


@dataclass(frozen=True, slots=True)
class OrderedFile:
    """A file that passed the filter, with the product it belongs to and the state it is born in."""

    product: Product
    file: CatalogFile
    state: FileState
    reason: str | None = None
    output_key: str | None = None
    """The id under which a process promised it (domain.md 5.4); None: no output of a process."""


File = TypeVar("File")


@dataclass(slots=True, eq=False)
class Bucket(Generic[File]):
    """A sub-order in the making: what is added in this step, on top of what it already held."""

    kind: SubOrderKind
    held_files: int = 0
    held_bytes: int = 0
    added: list[File] = field(default_factory=list)
    closed: bool = False
    sub_order: SubOrderId | None = None
    """Set when it was begun in an earlier step."""

    def add(self, file: File, size: int | None) -> None:
        self.added.append(file)
        self.held_files += 1
        self.held_bytes += size or 0

    def is_full(self, bucket_bytes: int) -> bool:
        """Whether it takes no more (C8, C11)."""
        if self.kind is SubOrderKind.EXTERNAL:
            return self.held_files > MAX_EXTERNAL_FILES
        return self.held_files >= MAX_FILES or self.held_bytes >= bucket_bytes


class Partition:
    """Fills storage and external buckets."""

    def __init__(
        self,
        bucket_bytes: int,
        file_filter: FileFilter | None = None,
        left_open: Mapping[SubOrderKind, Bucket[OrderedFile]] | None = None,
    ) -> None:
        """``left_open``: the buckets that an earlier step left open, by kind."""
        self._bucket_bytes = bucket_bytes
        self._filter = file_filter or FileFilter()
        self.buckets: list[Bucket[OrderedFile]] = list((left_open or {}).values())
        """Every bucket touched, oldest first."""
        self.storage = (left_open or {}).get(SubOrderKind.STORAGE)
        self.external = (left_open or {}).get(SubOrderKind.EXTERNAL)
        self.oversized: list[str] = []
        """Names of stored files that are larger than a whole bucket (domain.md 16.4)."""

    def attach(self, dataset: Product) -> None:
        """Files attached to the dataset come first and are not filtered (C16, C17).

        No bucket is closed here: the check comes with the next product.
        """
        for file in dataset.files:
            self._put(dataset, file, external=file.external or file.held_by_dam)

    def add_products(self, products: Iterable[Product]) -> None:
        """The files of the products that pass the filter."""
        for product in products:
            for file in product.files:
                if self._filter.passes(file):
                    self._put(product, file, external=file.external)
            self._close_full()

    def finish(self) -> None:
        """Nothing more comes: what is open is closed."""
        for bucket in (self.storage, self.external):
            if bucket:
                bucket.closed = True
        self.storage = self.external = None

    def _put(self, product: Product, file: CatalogFile, *, external: bool) -> None:
        if external:
            if self.external is None:
                self.external = self._open(SubOrderKind.EXTERNAL)
            self.external.add(OrderedFile(product, file, FileState.AVAILABLE), file.size)
            return
        if self.storage is None:
            self.storage = self._open(SubOrderKind.STORAGE)
        if file.checksum is None:
            self.storage.add(OrderedFile(product, file, FileState.ERROR, NO_CHECKSUM), file.size)
            return
        self.storage.add(OrderedFile(product, file, FileState.PENDING), file.size)
        if file.size is not None and file.size > self._bucket_bytes:
            self.oversized.append(file.name)

    def _open(self, kind: SubOrderKind) -> Bucket[OrderedFile]:
        bucket = Bucket[OrderedFile](kind)
        self.buckets.append(bucket)
        return bucket

    def _close_full(self) -> None:
        if self.storage and self.storage.is_full(self._bucket_bytes):
            self.storage.closed = True
            self.storage = None
        if self.external and self.external.is_full(self._bucket_bytes):
            self.external.closed = True
            self.external = None
