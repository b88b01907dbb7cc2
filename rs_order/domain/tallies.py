"""Counts the files of a dataset selection as they are read, as they would be ordered (faces.md 9).

The files are put into batches as an order's files are.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from heapq import nsmallest
from typing import Final

from rs_order.domain.file_batches import FileBatch, FileBatches, OrderedFile
from rs_order.domain.files import DataType, FileFilter, FileKind, Product, kind_of
from rs_order.domain.ids import Checksum
from rs_order.domain.selection import DatasetSelection
from rs_order.domain.states import FileState, SubOrderKind

MOST_FILES: Final = 20_000
"""Files of a quote that are read from the catalog, and about one page more for each dataset."""
SAMPLE: Final = 500
"""Files whose availability storage is asked about."""


class Place(StrEnum):
    """Where a file is, according to the catalog."""

    ONLINE = "online"
    NEARLINE = "nearline"
    EXTERNAL = "external"
    """Known by its URL, or stored beside its dataset: storage isn't asked for it."""
    UNKNOWN = "unknown"
    """The catalog describes it wrongly, so that storage can't be asked."""


@dataclass(slots=True)
class FileTotals:
    """A number of files, with the bytes of those whose size is known."""

    files: int = 0
    bytes: int = 0

    def add(self, size: int | None) -> None:
        self.files += 1
        self.bytes += size or 0


@dataclass(slots=True)
class Tally:
    """The files of a dataset selection that were read, as they would be ordered."""

    page_size: int = 0
    """Products of a page. It stays, even if a process with other settings reads the next page."""
    pages: int = 0
    products: int = 0
    found_files: int = 0
    """Before the filter of the selection."""
    unknown_size: int = 0
    places: dict[Place, FileTotals] = field(
        default_factory=lambda: {one: FileTotals() for one in Place}
    )
    awaited: FileTotals = field(default_factory=FileTotals)
    """Files that storage was asked for already, for other orders."""
    quicklooks: FileTotals = field(default_factory=FileTotals)
    sample: list[Checksum] = field(default_factory=list)
    """The smallest checksums of files on tape. Checksums are random, and so is the choice."""
    quota: int = 0
    """Files whose download counts against the quota of storage."""
    sub_orders: dict[SubOrderKind, int] = field(default_factory=dict)
    """Full batches; with the last page, all."""
    left_open: dict[SubOrderKind, FileTotals] = field(default_factory=dict)
    """The batch of a kind that takes more files."""
    most_files: int = 0
    """Of one product, among those that storage holds."""
    most_bytes: int = 0
    complete: bool = False
    """True if all products were read."""
    enough: bool = False
    """True if no more are read."""

    @property
    def files(self) -> int:
        return sum(one.files for one in self.places.values())

    @property
    def bytes(self) -> int:
        return sum(one.bytes for one in self.places.values())

    def add_page(
        self,
        products: Sequence[Product],
        file_filter: FileFilter | None,
        batch_bytes: int,
        *,
        attached: Product | None = None,
        awaited: Collection[Checksum] = (),
        last: bool = False,
    ) -> None:
        """Count a page of products.

        Args:
            products: with the files that can be ordered.
            file_filter: of the selection.
            batch_bytes: the size at which a sub-order is full.
            attached: the dataset with the files attached to it.
            awaited: the checksums of the page that storage was asked for already.
            last: no product follows.
        """
        batches = FileBatches(batch_bytes, file_filter, self._opened())
        if attached:
            batches.attach(attached)
            self._measure([attached], None)
        batches.add_products(products)
        self._measure(products, file_filter)
        if last:
            batches.finish()
        self.pages += 1
        self.products += len(products)
        self.found_files += sum(len(product.files) for product in products)
        self.complete = last
        seen: set[tuple[str, str, str]] = set()
        for batch in batches.touched:
            for one in batch.added:
                self._count(one, batch.kind, seen, awaited)
            if batch.closed:
                self.sub_orders[batch.kind] = self.sub_orders.get(batch.kind, 0) + 1
        on_tape = {
            one.file.checksum
            for batch in batches.touched
            for one in batch.added
            if one.file.checksum and _place_of(one, batch.kind) is Place.NEARLINE
        }
        self.sample = nsmallest(SAMPLE, on_tape.union(self.sample))
        self.left_open = {
            batch.kind: FileTotals(batch.total_files, batch.total_bytes)
            for batch in batches.touched
            if not batch.closed
        }

    def _opened(self) -> dict[SubOrderKind, FileBatch[OrderedFile]]:
        return {
            kind: FileBatch(kind, total_files=one.files, total_bytes=one.bytes)
            for kind, one in self.left_open.items()
        }

    def _count(
        self,
        one: OrderedFile,
        kind: SubOrderKind,
        seen: set[tuple[str, str, str]],
        awaited: Collection[Checksum],
    ) -> None:
        """Count a file. An order has it once, however often its product names it (W5)."""
        file = one.file
        identity = (one.product.urn, file.name, file.checksum or file.url)
        if identity in seen:
            return
        seen.add(identity)
        self.places[_place_of(one, kind)].add(file.size)
        self.unknown_size += file.size is None
        if isinstance(file.data_type, DataType) and kind_of(file.data_type) is FileKind.QUICKLOOK:
            self.quicklooks.add(file.size)
        if kind is SubOrderKind.STORAGE:
            self.quota += file.data_type is DataType.RAWDATA and one.state is FileState.PENDING
            if file.checksum in awaited:
                self.awaited.add(file.size)

    def _measure(self, products: Iterable[Product], file_filter: FileFilter | None) -> None:
        """Remember the largest product: no sub-order exceeds its limit by more."""
        for product in products:
            stored = [one for one in product.files if not one.external]
            if file_filter:
                stored = [one for one in stored if file_filter.passes(one)]
            self.most_files = max(self.most_files, len(stored))
            self.most_bytes = max(self.most_bytes, sum(one.size or 0 for one in stored))


def _place_of(one: OrderedFile, kind: SubOrderKind) -> Place:
    if kind is SubOrderKind.EXTERNAL:
        return Place.EXTERNAL
    if one.state is FileState.ERROR:
        return Place.UNKNOWN
    return Place.ONLINE if one.file.online else Place.NEARLINE


def files_to_read(selection: DatasetSelection, whole: int, most_files: int = MOST_FILES) -> int:
    """Return the number of files of a selection to read, of ``whole`` files in all selections."""
    if whole <= most_files:
        return most_files
    return max(1, most_files * selection.files // whole)


def sample_of(tallies: Iterable[Tally]) -> list[Checksum]:
    """Return the files about which storage is asked."""
    return nsmallest(SAMPLE, {one for tally in tallies for one in tally.sample})
