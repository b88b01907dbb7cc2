"""Read an archive folder and serve its datasets.

The folder's ``manifest.json`` lists datasets, products and files.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from rs_order.sandbox.products import (
    DataFile,
    Dataset,
    Location,
    PathContent,
    Product,
    PropertyValue,
    urn_key,
)
from rs_order.sandbox.query import Query
from rs_order.sandbox.query_matchers import ProductFields

MANIFEST = "manifest.json"


class ArchiveError(Exception):
    """The archive folder can't be served; the message names the file and the correction."""


class _Published(BaseModel):
    """The members of an external file that the catalog publishes; by default all."""

    size: bool = True
    checksum: bool = True


class _FileEntry(BaseModel):
    type: str
    filename: str
    path: str
    size: Annotated[int, Field(ge=0)]
    mime_type: Annotated[str, Field(alias="mimeType")]
    location: Location
    md5: str
    published: _Published = _Published()


class _ProductEntry(BaseModel):
    """A product. Additional members are properties that can be searched."""

    model_config = ConfigDict(extra="allow")

    provider_id: Annotated[str, Field(alias="providerId")]
    urn: str
    version: int = 1
    files: list[_FileEntry]


class _DatasetEntry(BaseModel):
    id: str
    label: str
    urn: str
    products: list[_ProductEntry]
    files: list[_FileEntry] = []


class _Manifest(BaseModel):
    datasets: list[_DatasetEntry]


_DATE = TypeAdapter(datetime)


@dataclass(frozen=True)
class ArchiveHolding:
    """One dataset of an archive folder, small enough for a search to check every product."""

    dataset: Dataset
    products: tuple[Product, ...]

    uniform = False
    contiguous = False

    @classmethod
    def read(cls, folder: Path) -> list[ArchiveHolding]:
        """Return all datasets of a folder.

        Raises:
            ArchiveError: the folder can't be served (see ``_read_archive``).
        """
        return [cls(dataset, products) for dataset, products in _read_archive(folder)]

    @cached_property
    def field_names(self) -> frozenset[str]:
        return frozenset(name for product in self.products for name in product.properties)

    @cached_property
    def _positions(self) -> dict[str, int]:
        return {urn_key(product.urn): at for at, product in enumerate(self.products)}

    @cached_property
    def _stored(self) -> dict[str, DataFile]:
        """Stored files by checksum. A file online takes precedence over the same content on tape."""
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
            if query.decide(ProductFields(product, tenant))
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


def _read_archive(folder: Path) -> list[tuple[Dataset, tuple[Product, ...]]]:
    """Return the datasets of an archive folder with their products.

    Raises:
        ArchiveError: the manifest is missing or malformed, or a file it names is missing or has
            another size.
    """
    manifest = _read_manifest(folder)
    return [_dataset(folder, entry) for entry in manifest.datasets]


def _read_manifest(folder: Path) -> _Manifest:
    path = folder / MANIFEST
    try:
        return _Manifest.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ArchiveError(f"{path} can't be read: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ArchiveError(f"{path} is malformed at {where}: {first['msg']}") from error


def _dataset(folder: Path, entry: _DatasetEntry) -> tuple[Dataset, tuple[Product, ...]]:
    dataset = Dataset(
        id=entry.id,
        label=entry.label,
        urn=entry.urn,
        files=tuple(_file(folder, file) for file in entry.files),
    )
    return dataset, tuple(_product(folder, dataset, product) for product in entry.products)


def _product(folder: Path, dataset: Dataset, entry: _ProductEntry) -> Product:
    return Product(
        provider_id=entry.provider_id,
        urn=entry.urn,
        version=entry.version,
        dataset=dataset,
        files=tuple(_file(folder, file) for file in entry.files),
        properties=_properties(entry.model_extra or {}),
    )


def _file(folder: Path, entry: _FileEntry) -> DataFile:
    path = folder / entry.path
    if not path.is_file():
        raise ArchiveError(
            f"{path} is listed in {MANIFEST} but missing: add the file or remove its entry"
        )
    if path.stat().st_size != entry.size:
        raise ArchiveError(f"{path} doesn't have the {entry.size} bytes stated in {MANIFEST}")
    return DataFile(
        type=entry.type,
        filename=entry.filename,
        size=entry.size,
        mime_type=entry.mime_type,
        checksum=entry.md5,
        location=entry.location,
        content=PathContent(path),
        publishes_size=entry.published.size,
        publishes_checksum=entry.published.checksum,
    )


def _properties(extra: Mapping[str, Any]) -> dict[str, PropertyValue]:
    return {name: _property(value) for name, value in extra.items()}


def _property(value: Any) -> PropertyValue:
    """Return a property in its type for comparisons: texts that are dates become dates."""
    if isinstance(value, str):
        return _date_or_text(value)
    return value if isinstance(value, bool | int | float) else json.dumps(value)


def _date_or_text(value: str) -> PropertyValue:
    try:
        return _DATE.validate_python(value) if "T" in value else value
    except ValidationError:
        return value
