"""How an order is split in sub-orders, counted apart from the service (domain.md 4.5)."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import final

from rs_order.demo.archive import Archive, Product
from rs_order.demo.selection import Selection, largest_selection

FEWEST_PARTS = 3


@final
@dataclass(frozen=True, slots=True)
class Cut:
    """A selection, and the size of sub-orders at which it makes several."""

    selection: Selection
    bucket_bytes: int
    sub_orders: int


def most_generous_cut(archive: Archive) -> Cut | None:
    """The cut with the largest sub-orders, so that other orders of the archive make few."""
    cuts = [cut for dataset in archive.datasets if (cut := _cut(Archive(datasets=(dataset,))))]
    return max(cuts, key=lambda cut: cut.bucket_bytes, default=None)


def count_sub_orders(products: Iterable[Product], bucket_bytes: int) -> int:
    """How many sub-orders files of storage make: a product is never split (C8, C9).

    Products come in the order of their ids, as the catalog's pages do.
    """
    count, filled = 0, 0
    for product in sorted(products, key=lambda product: product.urn):
        filled += sum(file.size for file in product.ordered)
        if filled >= bucket_bytes:
            count, filled = count + 1, 0
    return count + (filled > 0)


def _cut(archive: Archive) -> Cut | None:
    """Of files of storage alone: external and attached ones follow other rules."""
    selection = largest_selection(
        archive, lambda product: product.lies("nearline", "online"), lambda one: not one.attached
    )
    if selection is None:
        return None
    total = sum(file.size for file in selection.files)
    for parts in range(FEWEST_PARTS, len(selection.products) + 1):
        bucket_bytes = max(1, total // parts)
        sub_orders = count_sub_orders(selection.products, bucket_bytes)
        if sub_orders >= FEWEST_PARTS:
            return Cut(selection, bucket_bytes, sub_orders)
    return None
