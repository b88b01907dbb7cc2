"""Baskets: what users select, until they order it (domain.md 3)."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from rs_order.domain.file_filter import FileFilter
from rs_order.domain.files import ORDERABLE, DataType
from rs_order.domain.ids import BasketId, DatasetSelectionId, Urn
from rs_order.domain.process import LimitKind, Process, ProcessChoice
from rs_order.domain.selection import (
    DatasetSummary,
    SelectionRequest,
    TypeTotals,
    bytes_in,
    files_in,
)

MAX_SEARCHES = 100
"""Searches of one dataset selection: the catalog counts the union of so many and no more (B7)."""

_INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class DatedSelection:
    """A search in a basket, with what it found when it was added."""

    request: SelectionRequest
    """As it was submitted; it may name no dataset."""
    products: int
    types: Mapping[DataType, TypeTotals]


@dataclass(frozen=True, slots=True)
class DatasetSelection:
    """A dataset in a basket: the searches that touch it and what they find together."""

    urn: Urn
    label: str
    products: int
    files: int
    bytes: int
    types: Mapping[DataType, TypeTotals]
    file_filter: FileFilter | None
    """None: none was set. One that lets everything pass was, and excludes a process (B9)."""
    searches: tuple[DatedSelection, ...]
    process: ProcessChoice | None = None
    id: DatasetSelectionId | None = None
    """None until it is stored."""

    @classmethod
    def begun(cls, urn: Urn, label: str) -> "DatasetSelection":
        """One that nothing was selected of yet."""
        return cls(urn, label, 0, 0, 0, {}, file_filter=None, searches=())

    @property
    def requests(self) -> tuple[SelectionRequest, ...]:
        """Its searches as the catalog is asked, each within one dataset (domain.md 3.3)."""
        return tuple(search.request.within(self.urn) for search in self.searches)

    def plus(self, *added: DatedSelection) -> "DatasetSelection":
        """With further searches; the totals stay as they were.

        A search is known by its instant, which is what it is taken out by: one of an instant that
        another has already moves back by microseconds, and the very same request is there once.
        """
        searches = list(self.searches)
        for search in added:
            if all(known.request != search.request for known in searches):
                searches.append(_at_a_free_instant(search, searches))
        return replace(self, searches=tuple(searches))

    def without(self, selected_at: datetime) -> "DatasetSelection":
        """Without the search of that instant, whatever the offset it is written with (B15)."""
        kept = (one for one in self.searches if one.request.selection_date != selected_at)
        return replace(self, searches=tuple(kept))

    def counted(self, union: DatasetSummary) -> "DatasetSelection":
        """With the totals of all its searches together, overlaps counted once (domain.md 3.3)."""
        return replace(
            self,
            products=union.products,
            files=union.files,
            bytes=union.bytes,
            types=union.types,
        )

    def excess(self, process: Process) -> "Excess | None":
        """What is too much for a process that takes no more than fits in one sub-order (B10, W37)."""
        count = self._counted_by(process)
        if not process.forbids_split or not process.limit or count <= process.limit:
            return None
        return Excess(process.limit_kind, count, process.limit)

    def _counted_by(self, process: Process) -> int:
        """Products, files or bytes of the union; of files only what the process takes."""
        taken = [kind for kind in ORDERABLE if kind.value in process.data_types]
        match process.limit_kind:
            case LimitKind.FEATURES:
                return self.products
            case LimitKind.FILES:
                return files_in(self.types, taken)
            case LimitKind.BYTES:
                return bytes_in(self.types, taken)
            case LimitKind.NO_LIMIT:
                return 0


@dataclass(frozen=True, slots=True)
class Excess:
    """More than a process takes. The text is part of the contract (B10)."""

    kind: LimitKind
    count: int
    limit: int

    def __str__(self) -> str:
        return (
            f'The number of selected "{self.kind}" in the basket [{self.count}] exceeds the maximum '
            f'number of "{self.kind}" allowed [{self.limit}]. Please, decrease the number of selected '
            "items or contact the administrator for more information."
        )


@dataclass(frozen=True, slots=True)
class Basket:
    """The interactive basket of a user, as it was read; there is one per owner (B1)."""

    id: BasketId
    owner: str
    version: int
    """Counts its changes: who read an older one begins again."""
    selections: tuple[DatasetSelection, ...] = ()

    def of_dataset(self, urn: Urn) -> DatasetSelection | None:
        return next((one for one in self.selections if one.urn == urn), None)

    def selection(self, selection_id: DatasetSelectionId) -> DatasetSelection | None:
        return next((one for one in self.selections if one.id == selection_id), None)


@dataclass(frozen=True, slots=True)
class BasketChange:
    """What becomes of a basket: dataset selections as they are from now on, and those that go."""

    put: tuple[DatasetSelection, ...] = ()
    removed: tuple[DatasetSelectionId, ...] = ()


def _at_a_free_instant(search: DatedSelection, known: list[DatedSelection]) -> DatedSelection:
    taken = {one.request.selection_date for one in known}
    at = search.request.selection_date
    while at in taken:
        at -= _INSTANT
    return replace(search, request=replace(search.request, selection_date=at))
