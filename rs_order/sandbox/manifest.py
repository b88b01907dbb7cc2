"""Read an archive folder: its ``manifest.json`` names datasets, products and files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from rs_order.sandbox.content import PathContent
from rs_order.sandbox.products import DataFile, Dataset, Location, Product, PropertyValue

MANIFEST = "manifest.json"


class ArchiveError(Exception):
    """The archive folder can't be served; the message names the file and what to correct."""


class _Published(BaseModel):
    """What the catalog tells about an external file; all of it when the manifest is silent."""

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
    """A product; members without a name here are properties that can be searched."""

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


def read_archive(folder: Path) -> list[tuple[Dataset, tuple[Product, ...]]]:
    """The datasets of an archive folder with their products.

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
        raise ArchiveError(f"{path} is named in {MANIFEST} but missing: add it or its entry goes")
    if path.stat().st_size != entry.size:
        raise ArchiveError(f"{path} hasn't the {entry.size} bytes that {MANIFEST} tells")
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
    """A property as it is compared: texts that are dates become dates."""
    if isinstance(value, str):
        return _date_or_text(value)
    return value if isinstance(value, bool | int | float) else json.dumps(value)


def _date_or_text(value: str) -> PropertyValue:
    try:
        return _DATE.validate_python(value) if "T" in value else value
    except ValidationError:
        return value
