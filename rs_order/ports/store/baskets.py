"""What an order is made from."""

from collections.abc import Mapping
from dataclasses import dataclass

from rs_order.domain.file_filter import FileFilter
from rs_order.domain.files import DataType
from rs_order.domain.ids import (
    Urn,
)
from rs_order.domain.process import ProcessChoice
from rs_order.domain.selection import SelectionRequest, TypeTotals


@dataclass(frozen=True, slots=True)
class DatedSelection:
    """A search in a basket, with what it found when it was added."""

    request: SelectionRequest
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
    file_filter: FileFilter
    searches: tuple[DatedSelection, ...]
    process: ProcessChoice | None = None
    """What is done with the files before they are handed out."""
    id: int | None = None
    """None until it is stored; results of its process name it."""
