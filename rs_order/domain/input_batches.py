"""Puts the inputs of a process into batches, each a sub-order (domain.md 5.2, 5.3).

Products have the order of the catalog. Those with a file that storage holds, and those with external files
only, are split separately. The next page continues an open batch, so the batches are the same for any size
of the pages.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from rs_order.domain.files import CatalogFile, Product
from rs_order.domain.ids import SubOrderId, Urn
from rs_order.domain.process import LimitKind, Process

MAX_INPUTS = 1000


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file that goes into a process."""

    key: str
    """Its name, with a number if its product has several files of that name: results name inputs by key."""
    file: CatalogFile

    @property
    def size(self) -> int:
        """Bytes; 0 if the catalog has no size."""
        return self.file.size or 0


@dataclass(frozen=True, slots=True)
class InputProduct:
    """A product with those of its files that the process takes."""

    urn: Urn
    provider_id: str | None
    version: int
    inputs: tuple[InputFile, ...]

    @property
    def bytes(self) -> int:
        return sum(one.size for one in self.inputs)


def inputs_of(product: Product, process: Process) -> InputProduct:
    """Return a product with its files of the types that the process takes; it may have none."""
    taken = [
        file for file in (*product.files, *product.others) if file.data_type in process.data_types
    ]
    return InputProduct(product.urn, product.provider_id, product.version, tuple(keyed(taken)))


def keyed(files: Iterable[CatalogFile]) -> Iterable[InputFile]:
    """Return the inputs of one product, each with a key of its own."""
    keys: set[str] = set()
    for file in files:
        key, number = file.name, 1
        while key in keys:
            number += 1
            key = f"{file.name} ({number})"
        keys.add(key)
        yield InputFile(key, file)


class Group(StrEnum):
    """The kind of products in a batch."""

    STORED = "STORED"
    """Storage holds at least one file, of any type."""
    EXTERNAL = "EXTERNAL"
    """Every file is external, so storage isn't asked for any."""


def group_of(product: Product) -> Group:
    stored = any(not file.external for file in (*product.files, *product.others))
    return Group.STORED if stored else Group.EXTERNAL


@dataclass(frozen=True, slots=True)
class Totals:
    """Totals of the inputs in a batch."""

    files: int = 0
    bytes: int = 0
    products: int = 0

    def plus(self, product: InputProduct) -> "Totals":
        return Totals(
            self.files + len(product.inputs), self.bytes + product.bytes, self.products + 1
        )


@dataclass(frozen=True, slots=True)
class Reached:
    """The limits that a batch has reached."""

    max_inputs: bool
    max_bytes: bool
    files: bool
    features: bool
    process_bytes: bool

    @property
    def any(self) -> bool:
        return (
            self.max_inputs or self.max_bytes or self.files or self.features or self.process_bytes
        )


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """The limits of a batch: those of the service and of its process."""

    batch_bytes: int
    kind: LimitKind = LimitKind.NO_LIMIT
    limit: int = 0
    """0: no limit, whatever the kind."""

    def reached(self, totals: Totals) -> Reached:
        def limited(kind: LimitKind, value: int) -> bool:
            return self.limit != 0 and self.kind is kind and value >= self.limit

        return Reached(
            max_inputs=totals.files >= MAX_INPUTS,
            max_bytes=totals.bytes >= self.batch_bytes,
            files=limited(LimitKind.FILES, totals.files),
            features=limited(LimitKind.FEATURES, totals.products),
            process_bytes=limited(LimitKind.BYTES, totals.bytes),
        )


class SplitForbidden(Exception):
    """The inputs of a dataset exceed one sub-order, and their process forbids a second."""

    code = "split-forbidden"

    def __init__(self, reached: Reached) -> None:
        super().__init__("the process forbids a second sub-order")
        self.reached = reached


@dataclass(slots=True)
class InputBatch:
    """The products that one step adds to a sub-order, with the totals of all its products."""

    totals: Totals = field(default_factory=Totals)
    added: list[InputProduct] = field(default_factory=list)
    sub_order: SubOrderId | None = None
    """The sub-order, if an earlier step created it; None: a new one."""
    closed: bool = False


class InputBatches:
    """Fills batches with the products of one group."""

    def __init__(
        self, limits: BatchLimits, *, last: InputBatch | None = None, forbids_split: bool = False
    ) -> None:
        """``last``: the last batch of an earlier step, which is continued unless it is closed."""
        self._limits = limits
        self._forbids_split = forbids_split
        self.last = last
        self.touched: list[InputBatch] = [last] if last and not last.closed else []
        """The batches to write, oldest first."""

    def add(self, products: Sequence[InputProduct]) -> None:
        """Add products without splitting one; a batch closes with the product that fills it.

        Raises:
            SplitForbidden: a second batch would be needed.
        """
        for product in products:
            batch = self._open()
            batch.added.append(product)
            batch.totals = batch.totals.plus(product)
            batch.closed = self._limits.reached(batch.totals).any

    def finish(self) -> None:
        """Close the open batch: no more products follow."""
        if self.last:
            self.last.closed = True

    def _open(self) -> InputBatch:
        if self.last is None or self.last.closed:
            if self.last and self._forbids_split:
                raise SplitForbidden(self._limits.reached(self.last.totals))
            self.last = InputBatch()
            self.touched.append(self.last)
        return self.last
