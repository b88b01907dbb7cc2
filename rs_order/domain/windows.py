"""How the inputs of a process are cut in windows, each a sub-order (domain.md 5.2, 5.3).

Products come in the order of the catalog, in two groups that are cut apart: those with a file that
storage holds, and those that are external altogether. A window that is left open goes on with the next
page, so the cut is the same whatever the size of the pages.
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
    """Its name; numbered when its product has several of that name, since results name inputs by it."""
    file: CatalogFile

    @property
    def size(self) -> int:
        """Bytes; 0 when the catalog doesn't know."""
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
    """What the process takes of a product; nothing, when it has no file of the types it takes."""
    taken = [
        file for file in (*product.files, *product.others) if file.data_type in process.data_types
    ]
    return InputProduct(product.urn, product.provider_id, product.version, tuple(_keyed(taken)))


def _keyed(files: Iterable[CatalogFile]) -> Iterable[InputFile]:
    keys: set[str] = set()
    for file in files:
        key, number = file.name, 1
        while key in keys:
            number += 1
            key = f"{file.name} ({number})"
        keys.add(key)
        yield InputFile(key, file)


class Group(StrEnum):
    """Which products a window holds."""

    STORED = "STORED"
    """At least one file, of whatever type, is held by storage."""
    EXTERNAL = "EXTERNAL"
    """Every file is only referenced by URL: nothing has to be asked of storage."""


def group_of(product: Product) -> Group:
    stored = any(not file.external for file in (*product.files, *product.others))
    return Group.STORED if stored else Group.EXTERNAL


@dataclass(frozen=True, slots=True)
class Totals:
    """What a window holds of files that the process takes."""

    files: int = 0
    bytes: int = 0
    products: int = 0

    def plus(self, product: InputProduct) -> "Totals":
        return Totals(
            self.files + len(product.inputs), self.bytes + product.bytes, self.products + 1
        )


@dataclass(frozen=True, slots=True)
class Reached:
    """Which limits a window has reached."""

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
class WindowLimits:
    """When a window is closed: those of the service, and that of the process."""

    bucket_bytes: int
    kind: LimitKind = LimitKind.NO_LIMIT
    limit: int = 0
    """0: none, whatever the kind."""

    def reached(self, totals: Totals) -> Reached:
        def limited(kind: LimitKind, value: int) -> bool:
            return self.limit != 0 and self.kind is kind and value >= self.limit

        return Reached(
            max_inputs=totals.files >= MAX_INPUTS,
            max_bytes=totals.bytes >= self.bucket_bytes,
            files=limited(LimitKind.FILES, totals.files),
            features=limited(LimitKind.FEATURES, totals.products),
            process_bytes=limited(LimitKind.BYTES, totals.bytes),
        )


class SplitForbidden(Exception):
    """The inputs of a dataset don't fit in one sub-order, and their process wants them in one."""

    code = "split-forbidden"

    def __init__(self, reached: Reached) -> None:
        super().__init__("the process forbids a second sub-order")
        self.reached = reached


@dataclass(slots=True)
class Window:
    """A sub-order in the making: what is added in this step, on top of what it already held."""

    totals: Totals = field(default_factory=Totals)
    added: list[InputProduct] = field(default_factory=list)
    sub_order: SubOrderId | None = None
    """Set when it was begun in an earlier step."""
    closed: bool = False


class Windows:
    """Fills the windows of one group."""

    def __init__(
        self, limits: WindowLimits, *, last: Window | None = None, forbids_split: bool = False
    ) -> None:
        """``last``: the last window of an earlier step, which goes on unless it is closed."""
        self._limits = limits
        self._forbids_split = forbids_split
        self.last = last
        self.touched: list[Window] = [last] if last and not last.closed else []
        """The windows to write, oldest first."""

    def add(self, products: Sequence[InputProduct]) -> None:
        """Add products, each whole; a window closes with the product that fills it.

        Raises:
            SplitForbidden: a second window would be needed.
        """
        for product in products:
            window = self._open()
            window.added.append(product)
            window.totals = window.totals.plus(product)
            window.closed = self._limits.reached(window.totals).any

    def finish(self) -> None:
        """Nothing more comes: what is open is closed."""
        if self.last:
            self.last.closed = True

    def _open(self) -> Window:
        if self.last is None or self.last.closed:
            if self.last and self._forbids_split:
                raise SplitForbidden(self._limits.reached(self.last.totals))
            self.last = Window()
            self.touched.append(self.last)
        return self.last
