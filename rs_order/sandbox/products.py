"""The archive's model: datasets, products, their files and the bytes of the files, without tenants.

URNs are stored with the placeholder tenant of the manifest. ``urn_for`` puts the caller's tenant into
them when they leave, so that one archive serves every tenant.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Protocol

CHUNK_BYTES = 64 * 1024
"""Files are read or generated in chunks, so that no file is ever whole in memory."""
ORDERABLE_TYPES = ("RAWDATA", "QUICKLOOK_SD", "QUICKLOOK_MD", "QUICKLOOK_HD")
ARCHIVED_AT = datetime(2024, 1, 1, tzinfo=UTC)
"""Catalog creation date of the archive's products, earlier than any selection of a user."""

_TENANT_PART = 3

PropertyValue = str | int | float | bool | datetime


class Content(Protocol):
    def chunks(self) -> Iterator[bytes]:
        """Yield the bytes in order, at most CHUNK_BYTES at a time."""
        ...


@dataclass(frozen=True, slots=True)
class PathContent:
    path: Path

    def chunks(self) -> Iterator[bytes]:
        with self.path.open("rb") as source:
            while chunk := source.read(CHUNK_BYTES):
                yield chunk


@dataclass(frozen=True, slots=True)
class GeneratedContent:
    """Bytes generated from a seed: the same seed and size always give the same content."""

    seed: str
    size: int

    def chunks(self) -> Iterator[bytes]:
        pattern = hashlib.sha256(self.seed.encode()).digest()
        chunk = pattern * (min(self.size, CHUNK_BYTES) // len(pattern) + 1)
        left = self.size
        while left > 0:
            taken = chunk[: min(left, CHUNK_BYTES)]
            yield taken
            left -= len(taken)

    def md5(self) -> str:
        digest = hashlib.md5(usedforsecurity=False)
        for chunk in self.chunks():
            digest.update(chunk)
        return digest.hexdigest()


class Location(StrEnum):
    ONLINE = "online"
    """On disk. rs-order must still request it; storage answers at once."""
    NEARLINE = "nearline"
    """On tape. It can be downloaded only after a restoration, for a limited time."""
    EXTERNAL = "external"
    """Referenced by URL only; storage doesn't have it."""
    DAM = "dam"
    """Attached to the dataset and stored by rs-dam."""

    @property
    def in_storage(self) -> bool:
        return self in (Location.ONLINE, Location.NEARLINE)


@dataclass(frozen=True, slots=True)
class DataFile:
    type: str
    filename: str
    size: int
    mime_type: str
    checksum: str
    """True MD5 of the content, in hexadecimal."""
    location: Location
    content: Content
    publishes_size: bool = True
    publishes_checksum: bool = True


@dataclass(frozen=True, slots=True)
class Dataset:
    id: str
    label: str
    urn: str
    files: tuple[DataFile, ...] = ()
    model: str = "observation"


@dataclass(frozen=True, slots=True)
class Product:
    provider_id: str
    urn: str
    version: int
    dataset: Dataset
    files: tuple[DataFile, ...]
    properties: Mapping[str, PropertyValue] = field(default_factory=dict)
    created: datetime = ARCHIVED_AT


def urn_for(tenant: str, urn: str) -> str:
    """Return the URN with its tenant part replaced."""
    parts = urn.split(":")
    parts[_TENANT_PART] = tenant
    return ":".join(parts)


def urn_tenant(urn: str) -> str | None:
    """Return the tenant in a URN, or None if the text is no URN."""
    parts = urn.split(":")
    return parts[_TENANT_PART] if len(parts) > _TENANT_PART and parts[0] == "URN" else None


def urn_key(urn: str) -> str:
    """Return a URN without its tenant, which identifies an entity in the sandbox."""
    return urn_for("", urn) if urn_tenant(urn) is not None else urn


def virtual_urn(urn: str) -> str:
    """Return the URN that always names the latest version."""
    return urn.rsplit(":", 1)[0] + ":LAST"
