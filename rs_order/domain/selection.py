"""What a user selects in the catalog, and what the catalog says it amounts to."""

from dataclasses import dataclass, field
from datetime import datetime

from rs_order.domain.files import DataType
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


@dataclass(frozen=True, slots=True)
class TypeTotals:
    """Files of one data type in a summary: all, and those of them that are external."""

    files: int = 0
    bytes: int = 0
    external_files: int = 0


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
