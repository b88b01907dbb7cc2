"""Searches that a user selects in the catalog, and the totals of what they find."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from rs_order.domain.files import ORDERABLE, DataType
from rs_order.domain.ids import Urn


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
    return sum(types[kind].files for kind in among if kind in types)


def bytes_in(types: Mapping[DataType, TypeTotals], among: Collection[DataType] = ORDERABLE) -> int:
    """Return the bytes of the files of some data types."""
    return sum(types[kind].bytes for kind in among if kind in types)


def quota_of(types: Mapping[DataType, TypeTotals]) -> int:
    """Return how many files count against the quota: RAWDATA that storage holds (domain.md 1.4)."""
    raw_data = types.get(DataType.RAWDATA, TypeTotals())
    return raw_data.files - raw_data.external_files


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
