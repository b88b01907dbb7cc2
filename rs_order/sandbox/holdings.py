"""The datasets of the sandbox, and selections of their products by pages.

A holding has the products of one dataset, read from an archive or generated on demand. A selection
stores positions in holdings instead of products, so a page of a million products costs only the page.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from rs_order.sandbox.products import DataFile, Dataset, Product, urn_for, urn_key
from rs_order.sandbox.query import Query


@dataclass(frozen=True, slots=True)
class Summary:
    """Files of one type in a selection."""

    files: int = 0
    bytes: int = 0

    def plus(self, other: Summary) -> Summary:
        return Summary(self.files + other.files, self.bytes + other.bytes)

    def times(self, count: int) -> Summary:
        return Summary(self.files * count, self.bytes * count)


class Holding(Protocol):
    """The products of one dataset."""

    @property
    def dataset(self) -> Dataset: ...

    @property
    def uniform(self) -> bool:
        """True if all products have files of the same types and sizes."""
        ...

    @property
    def contiguous(self) -> bool:
        """True if no product of another holding sorts between the products of this one."""
        ...

    @property
    def field_names(self) -> frozenset[str]:
        """The names of the properties that products may have."""
        ...

    def __len__(self) -> int: ...

    def product(self, position: int) -> Product: ...

    async def select(self, query: Query, tenant: str) -> Sequence[int]:
        """Return the positions of the products that a query selects, ascending."""
        ...

    def position_of(self, urn: str) -> int | None:
        """Return the position of the product with a URN (of any tenant), or None."""
        ...

    async def stored_file(self, checksum: str) -> DataFile | None:
        """Return the file that rs-storage has under a checksum, or None."""
        ...

    def file_named(self, filename: str) -> DataFile | None:
        """Return the first file with this name, of the products or the dataset, or None."""
        ...


@dataclass(frozen=True, slots=True)
class Run:
    """Products of one holding that are consecutive in the order of the catalog."""

    holding: Holding
    positions: Sequence[int]

    @property
    def key(self) -> str:
        return urn_key(self.holding.product(self.positions[0]).urn)


@dataclass(frozen=True, slots=True)
class Selection:
    """The products that a search found, in the stable order of the catalog: by URN."""

    runs: tuple[Run, ...]

    @classmethod
    def of(cls, found: Sequence[tuple[Holding, Sequence[int]]]) -> Selection:
        runs = [run for holding, positions in found for run in _runs(holding, positions)]
        return cls(tuple(sorted(runs, key=lambda run: run.key)))

    def __len__(self) -> int:
        return sum(len(run.positions) for run in self.runs)

    def page(self, number: int, size: int) -> Iterator[Product]:
        """Yield the products of a page; none after the last page."""
        skip, wanted = number * size, size
        for run in self.runs:
            taken = run.positions[skip : skip + wanted]
            skip = max(0, skip - len(run.positions))
            wanted -= len(taken)
            for position in taken:
                yield run.holding.product(position)
            if wanted == 0:
                return

    def by_dataset(self) -> Iterator[tuple[Dataset, list[Run]]]:
        grouped: dict[str, list[Run]] = {}
        for run in self.runs:
            grouped.setdefault(run.holding.dataset.urn, []).append(run)
        for runs in grouped.values():
            yield runs[0].holding.dataset, runs


def _runs(holding: Holding, positions: Sequence[int]) -> Iterator[Run]:
    if holding.contiguous:
        if positions:
            yield Run(holding, positions)
    else:
        for position in positions:
            yield Run(holding, (position,))


class Holdings:
    """All datasets of the sandbox; datasets can be added while it runs."""

    def __init__(self, holdings: Sequence[Holding] = ()) -> None:
        self._holdings: dict[str, Holding] = {}
        self._found_last: str | None = None
        """The dataset of the last file that was found."""
        for holding in holdings:
            self.add(holding)

    def __iter__(self) -> Iterator[Holding]:
        return iter(self._holdings.values())

    def add(self, holding: Holding) -> None:
        """Serve a dataset, in place of one with the same id."""
        self._holdings[holding.dataset.id] = holding

    def remove(self, dataset_id: str) -> bool:
        return self._holdings.pop(dataset_id, None) is not None

    def named(self, dataset_id: str) -> Holding | None:
        return self._holdings.get(dataset_id)

    def of_dataset(self, urn: str, tenant: str) -> Holding | None:
        """Return the dataset with a URN of this tenant, or None."""
        return next((one for one in self if urn_for(tenant, one.dataset.urn) == urn), None)

    @property
    def field_names(self) -> frozenset[str]:
        return frozenset[str]().union(*(holding.field_names for holding in self))

    async def stored_file(self, checksum: str) -> DataFile | None:
        # Most files of a restore request belong to one dataset: so it is asked first.
        for holding in sorted(self, key=lambda one: one.dataset.id != self._found_last):
            if file := await holding.stored_file(checksum):
                self._found_last = holding.dataset.id
                return file
        return None
