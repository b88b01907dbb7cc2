"""Choosing products of an archive for a case."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import final

from rs_order.demo.archive import Archive, Dataset, File, Product

MOST_PRODUCTS = 20
"""In one case, so that an archive of any size is tried in a minute."""


@final
@dataclass(frozen=True, slots=True)
class Selection:
    """Products of one dataset, with the query that finds them and nothing else.

    No two of their files share a name, so that each is known again in a zip.
    """

    dataset: Dataset
    products: tuple[Product, ...]

    @property
    def query(self) -> str:
        if len(self.products) == len(self.dataset.products):
            return f'dataset:"{self.dataset.id}"'
        ids = " OR ".join(f'"{product.urn}"' for product in self.products)
        return f"id:({ids})"

    @property
    def files(self) -> tuple[File, ...]:
        return tuple(file for product in self.products for file in product.ordered)

    @property
    def attached(self) -> tuple[File, ...]:
        """Files of the dataset, which come with every order and pass every filter (C16)."""
        return tuple(file for file in self.dataset.attached if file.is_orderable)

    def __str__(self) -> str:
        count = len(self.products)
        return f"{count} product{'s' if count > 1 else ''} of {self.dataset.id}"


def largest_selection(
    archive: Archive,
    wanted: Callable[[Product], bool],
    suits: Callable[[Selection], bool] = lambda _: True,
) -> Selection | None:
    """Wanted products of the dataset that suits and brings most files; None if none suits."""
    selections = [
        selection
        for dataset in archive.datasets
        if (selection := _selected(dataset, wanted)).products and suits(selection)
    ]
    return max(selections, key=lambda selection: len(selection.files), default=None)


def _selected(dataset: Dataset, wanted: Callable[[Product], bool]) -> Selection:
    taken = {file.name for file in dataset.attached}
    chosen: list[Product] = []
    for product in filter(wanted, dataset.products):
        names = [file.name for file in product.ordered]
        if len(chosen) < MOST_PRODUCTS and _are_new(names, taken):
            taken.update(names)
            chosen.append(product)
    return Selection(dataset, tuple(chosen))


def _are_new(names: Sequence[str], taken: set[str]) -> bool:
    return len(set(names)) == len(names) and taken.isdisjoint(names)
