"""Choose products of an archive for a case, and count the sub-orders of an order (domain.md 4.5)."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import final

from rs_order.demo.archive import Archive, Dataset, File, Product

MOST_PRODUCTS = 20
"""Of one case, so that the demo takes a minute with an archive of any size."""
FEWEST_SUB_ORDERS = 3


@final
@dataclass(frozen=True, slots=True)
class Selection:
    """Products of one dataset, with the query that finds exactly these.

    No two of their files share a name, so that each can be recognised in a zip.
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
        """The files of the dataset, which belong to every order of it and pass every filter (C16)."""
        return tuple(file for file in self.dataset.attached if file.is_orderable)

    def __str__(self) -> str:
        count = len(self.products)
        return f"{count} product{'s' if count > 1 else ''} of {self.dataset.id}"


@final
@dataclass(frozen=True, slots=True)
class Split:
    """A selection, and a size of sub-orders that splits its order into several."""

    selection: Selection
    sub_order_bytes: int
    sub_orders: int


def largest_selection(
    archive: Archive,
    wanted: Callable[[Product], bool],
    suits: Callable[[Selection], bool] = lambda _: True,
) -> Selection | None:
    """Return the selection of wanted products that suits and has most files, or None."""
    selections = [
        selection
        for dataset in archive.datasets
        if (selection := _selected(dataset, wanted)).products and suits(selection)
    ]
    return max(selections, key=lambda selection: len(selection.files), default=None)


def largest_split(archive: Archive) -> Split | None:
    """Return the split with the largest sub-orders, so that other orders make few, or None."""
    splits = [
        split for dataset in archive.datasets if (split := _split(Archive(datasets=(dataset,))))
    ]
    return max(splits, key=lambda split: split.sub_order_bytes, default=None)


def count_sub_orders(products: Iterable[Product], sub_order_bytes: int) -> int:
    """Return the number of sub-orders for files of storage. A product is never split (C8, C9).

    Products come in the order of their ids, as in the pages of the catalog.
    """
    count, size = 0, 0
    for product in sorted(products, key=lambda product: product.urn):
        size += sum(file.size for file in product.ordered)
        if size >= sub_order_bytes:
            count, size = count + 1, 0
    return count + (size > 0)


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


def _split(archive: Archive) -> Split | None:
    """Return a split of files of storage only: other rules hold for external and attached files."""
    selection = largest_selection(
        archive,
        lambda product: product.is_stored_only_at("nearline", "online"),
        lambda one: not one.attached,
    )
    if selection is None:
        return None
    total = sum(file.size for file in selection.files)
    for parts in range(FEWEST_SUB_ORDERS, len(selection.products) + 1):
        sub_order_bytes = max(1, total // parts)
        sub_orders = count_sub_orders(selection.products, sub_order_bytes)
        if sub_orders >= FEWEST_SUB_ORDERS:
            return Split(selection, sub_order_bytes, sub_orders)
    return None
