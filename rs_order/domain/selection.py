"""What a user selects in the catalog, and what the catalog says it amounts to."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from rs_order.domain.files import ORDERABLE, DataType
from rs_order.domain.ids import Urn


@dataclass(frozen=True, slots=True)
class SelectionRequest:
    """One search, frozen at the moment it was selected (domain.md 1.4, BasketSelectionRequest)."""

    engine_type: str
    selection_date: datetime
    """Products that came into the catalog later are not part of the selection."""
    dataset_urn: Urn | None = None
    search_parameters: dict[str, list[str]] = field(default_factory=dict)
    include: tuple[Urn, ...] = ()
    exclude: tuple[Urn, ...] = ()

    @classmethod
    def of_query(cls, query: str, at: datetime) -> "SelectionRequest":
        """A query text of an automatic order: engine ``legacy``, parameter ``q`` (amqp.md 2.2)."""
        return cls(engine_type="legacy", selection_date=at, search_parameters={"q": [query]})

    def within(self, urn: Urn) -> "SelectionRequest":
        """The search restricted to a dataset, unless it names one itself (domain.md 3.3)."""
        return self if self.dataset_urn is not None else replace(self, dataset_urn=urn)


@dataclass(frozen=True, slots=True)
class TypeTotals:
    """Files of one data type in a summary: all, and those of them that are external."""

    files: int = 0
    bytes: int = 0
    external_files: int = 0


def files_in(types: Mapping[DataType, TypeTotals], among: Collection[DataType] = ORDERABLE) -> int:
    """Files of some data types; what isn't counted is none."""
    return sum(types[kind].files for kind in among if kind in types)


def bytes_in(types: Mapping[DataType, TypeTotals], among: Collection[DataType] = ORDERABLE) -> int:
    """Their bytes."""
    return sum(types[kind].bytes for kind in among if kind in types)


def quota_of(types: Mapping[DataType, TypeTotals]) -> int:
    """Downloads that count against the user's quota: RAWDATA files that storage holds (domain.md 1.4)."""
    raw_data = types.get(DataType.RAWDATA, TypeTotals())
    return raw_data.files - raw_data.external_files


@dataclass(frozen=True, slots=True)
class DatasetSummary:
    """What a search finds in one dataset."""

    urn: Urn
    products: int
    files: int
    bytes: int
    types: dict[DataType, TypeTotals]


@dataclass(frozen=True, slots=True)
class Summary:
    """What a search finds altogether; the union of its requests, counted once."""

    products: int
    files: int
    bytes: int
    datasets: tuple[DatasetSummary, ...]

    def touched_by(self, request: SelectionRequest) -> tuple[DatasetSummary, ...]:
        """The datasets in which the request finds files.

        A search of one dataset touches that dataset and not the others its products are in as well:
        those would be ordered whole a second time.
        """
        with_files = tuple(dataset for dataset in self.datasets if dataset.files)
        own = tuple(dataset for dataset in with_files if dataset.urn == request.dataset_urn)
        return own or with_files
