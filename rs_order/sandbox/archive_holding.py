"""One dataset of an archive folder, small enough to be looked at product by product."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from rs_order.sandbox.fields import ProductFields
from rs_order.sandbox.manifest import read_archive
from rs_order.sandbox.products import DataFile, Dataset, Location, Product, urn_key
from rs_order.sandbox.query import Query


@dataclass(frozen=True)
class ArchiveHolding:
    dataset: Dataset
    products: tuple[Product, ...]

    uniform = False
    contiguous = False

    @classmethod
    def read(cls, folder: Path) -> list[ArchiveHolding]:
        """All datasets of a folder; raises ArchiveError as ``read_archive`` does."""
        return [cls(dataset, products) for dataset, products in read_archive(folder)]

    @cached_property
    def field_names(self) -> frozenset[str]:
        return frozenset(name for product in self.products for name in product.properties)

    @cached_property
    def _positions(self) -> dict[str, int]:
        return {urn_key(product.urn): at for at, product in enumerate(self.products)}

    @cached_property
    def _stored(self) -> dict[str, DataFile]:
        """Files by checksum; the online one where the same content is on tape too."""
        stored = [file for file in self._files() if file.location.in_storage]
        stored.sort(key=lambda file: file.location is Location.ONLINE)
        return {file.checksum: file for file in stored}

    def __len__(self) -> int:
        return len(self.products)

    def product(self, position: int) -> Product:
        return self.products[position]

    async def select(self, query: Query, tenant: str) -> Sequence[int]:
        return [
            position
            for position, product in enumerate(self.products)
            if query.judge(ProductFields(product, tenant))
        ]

    def position_of(self, urn: str) -> int | None:
        return self._positions.get(urn_key(urn))

    async def stored_file(self, checksum: str) -> DataFile | None:
        return self._stored.get(checksum)

    def file_named(self, filename: str) -> DataFile | None:
        return next((file for file in self._files() if file.filename == filename), None)

    def _files(self) -> Iterator[DataFile]:
        for product in self.products:
            yield from product.files
        yield from self.dataset.files
