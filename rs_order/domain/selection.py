"""The products that users select: searches, datasets and baskets (domain.md 3)."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from rs_order.domain.files import ORDERABLE, DataType, FileFilter
from rs_order.domain.ids import BasketId, DatasetSelectionId, Urn
from rs_order.domain.process import LimitKind, Process, ProcessChoice


@dataclass(frozen=True, slots=True)
class SelectionRequest:
    """One search as of the moment it was selected (domain.md 1.4, BasketSelectionRequest)."""

    engine_type: str
    selection_date: datetime
    """Later products of the catalog are not part of the selection."""
    dataset_urn: Urn | None = None
    search_parameters: dict[str, list[str]] = field(default_factory=dict)
    include: tuple[Urn, ...] = ()
    exclude: tuple[Urn, ...] = ()

    @classmethod
    def of_query(cls, query: str, at: datetime) -> "SelectionRequest":
        """Return the search for a query of an automatic order: engine ``legacy``, ``q`` (amqp.md 2.2)."""
        return cls(engine_type="legacy", selection_date=at, search_parameters={"q": [query]})

    def within(self, urn: Urn) -> "SelectionRequest":
        """Return the search within a dataset, unless it names one itself (domain.md 3.3)."""
        return self if self.dataset_urn is not None else replace(self, dataset_urn=urn)


@dataclass(frozen=True, slots=True)
class TypeTotals:
    """Files of one data type in a summary."""

    files: int = 0
    bytes: int = 0
    external_files: int = 0


def files_in(types: Mapping[DataType, TypeTotals], among: Collection[DataType] = ORDERABLE) -> int:
    """Return the number of files of some data types."""
    return sum([totals.files for kind, totals in types.items() if kind in among])


def bytes_in(types: Mapping[DataType, TypeTotals], among: Collection[DataType] = ORDERABLE) -> int:
    """Return the bytes of the files of some data types."""
    return sum([totals.bytes for kind, totals in types.items() if kind in among])


def quota_of(types: Mapping[DataType, TypeTotals]) -> int:
    """Return how many files count against the quota: RAWDATA that storage holds (domain.md 1.4).

    0 if a catalog counts more external files than files.
    """
    raw_data = types.get(DataType.RAWDATA)
    return max(raw_data.files - raw_data.external_files, 0) if raw_data else 0


@dataclass(frozen=True, slots=True)
class DatasetSummary:
    """Totals of what a search finds in one dataset."""

    urn: Urn
    products: int
    files: int
    bytes: int
    types: dict[DataType, TypeTotals]


@dataclass(frozen=True, slots=True)
class Summary:
    """Totals of what several searches find together; overlaps count once."""

    products: int
    files: int
    bytes: int
    datasets: tuple[DatasetSummary, ...]

    def touched_by(self, request: SelectionRequest) -> tuple[DatasetSummary, ...]:
        """Return the datasets in which the request finds files.

        A search within one dataset leads to this dataset only. Its products may be in others, too, and would
        otherwise be ordered once for each dataset.
        """
        with_files = tuple(dataset for dataset in self.datasets if dataset.files)
        own = tuple(dataset for dataset in with_files if dataset.urn == request.dataset_urn)
        return own or with_files


MAX_SEARCHES = 100
"""Searches of one dataset selection: the catalog counts the union of at most so many (B7)."""

_INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class DatedSelection:
    """A search in a basket, with the totals at the time it was added."""

    request: SelectionRequest
    """As it was submitted; it may name no dataset."""
    products: int
    types: Mapping[DataType, TypeTotals]


@dataclass(frozen=True, slots=True)
class DatasetSelection:
    """A dataset in a basket: its searches and their totals together."""

    urn: Urn
    label: str
    products: int
    files: int
    bytes: int
    types: Mapping[DataType, TypeTotals]
    file_filter: FileFilter | None
    """None: not set. A filter that passes everything is set, and excludes a process (B9)."""
    searches: tuple[DatedSelection, ...]
    process: ProcessChoice | None = None
    id: DatasetSelectionId | None = None
    """None until it is stored."""

    @classmethod
    def empty(cls, urn: Urn, label: str) -> "DatasetSelection":
        """Return a dataset selection without searches."""
        return cls(urn, label, 0, 0, 0, {}, file_filter=None, searches=())

    @property
    def requests(self) -> tuple[SelectionRequest, ...]:
        """The searches for the catalog, each within one dataset (domain.md 3.3)."""
        return tuple(search.request.within(self.urn) for search in self.searches)

    def plus(self, *added: DatedSelection) -> "DatasetSelection":
        """Return it with further searches and unchanged totals.

        The instant of a search is its key. If it is taken, the search gets an instant some microseconds
        earlier. A request that is already there is not added again.
        """
        searches = list(self.searches)
        for search in added:
            if all(known.request != search.request for known in searches):
                searches.append(_at_a_free_instant(search, searches))
        return replace(self, searches=tuple(searches))

    def stored(self, id_: DatasetSelectionId) -> "DatasetSelection":
        """Return it as it is stored: with an id, and its searches by their instants."""
        in_order = sorted(self.searches, key=lambda one: one.request.selection_date)
        return replace(self, id=id_, searches=tuple(in_order))

    def without(self, selected_at: datetime) -> "DatasetSelection":
        """Return it without the search of an instant, whatever its offset from UTC (B15)."""
        kept = (one for one in self.searches if one.request.selection_date != selected_at)
        return replace(self, searches=tuple(kept))

    def counted(self, union: DatasetSummary) -> "DatasetSelection":
        """Return it with the totals of all its searches; overlaps count once (domain.md 3.3)."""
        return replace(
            self,
            products=union.products,
            files=union.files,
            bytes=union.bytes,
            types=union.types,
        )

    def excess(self, process: Process) -> "Excess | None":
        """Return what exceeds the limit of a process that forbids a second sub-order, or None (B10, W37)."""
        count = self._counted_by(process)
        if not process.forbids_split or not process.limit or count <= process.limit:
            return None
        return Excess(process.limit_kind, count, process.limit)

    def _counted_by(self, process: Process) -> int:
        """Return the products, files or bytes that the process limits, of the files that it takes."""
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
    """An excess over the limit of a process. The text is part of the contract (B10)."""

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
    """The interactive basket of a user; there is one per owner (B1)."""

    id: BasketId | None
    """None until it is stored."""
    owner: str
    version: int
    """Number of its changes; a change of an older version starts again."""
    selections: tuple[DatasetSelection, ...] = ()

    @classmethod
    def new(cls, owner: str) -> "Basket":
        """Return an empty basket that isn't stored yet."""
        return cls(None, owner, 0)

    def of_dataset(self, urn: Urn) -> DatasetSelection | None:
        return next((one for one in self.selections if one.urn == urn), None)

    def selection(self, selection_id: DatasetSelectionId) -> DatasetSelection | None:
        return next((one for one in self.selections if one.id == selection_id), None)

    def changed(
        self, change: "BasketChange", id_: BasketId, ids: Mapping[Urn, DatasetSelectionId]
    ) -> "Basket":
        """Return the basket after a change, as it is stored.

        Args:
            change: what was written and removed.
            id_: of the basket.
            ids: of the dataset selections that were written; those of new ones are higher than all others.
        """
        selections = {one.id: one for one in self.selections if one.id not in change.removed}
        for one in change.put:
            selections[ids[one.urn]] = one.stored(ids[one.urn])
        return Basket(id_, self.owner, self.version + 1, tuple(selections.values()))


@dataclass(frozen=True, slots=True)
class BasketChange:
    """A change of a basket: the dataset selections to write, and those to remove."""

    put: tuple[DatasetSelection, ...] = ()
    removed: tuple[DatasetSelectionId, ...] = ()


def _at_a_free_instant(search: DatedSelection, known: list[DatedSelection]) -> DatedSelection:
    taken = {one.request.selection_date for one in known}
    at = search.request.selection_date
    if at not in taken:
        return search
    while at in taken:
        at -= _INSTANT
    return replace(search, request=replace(search.request, selection_date=at))
