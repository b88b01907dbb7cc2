"""What the archive holds: datasets, products and their files, free of any tenant.

URNs are kept with the placeholder tenant of the manifest and given the caller's tenant when they
leave (``urn_for``), so that one archive serves every tenant.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from rs_order.sandbox.content import Content

ORDERABLE_TYPES = ("RAWDATA", "QUICKLOOK_SD", "QUICKLOOK_MD", "QUICKLOOK_HD")
ARCHIVED_AT = datetime(2024, 1, 1, tzinfo=UTC)
"""Catalog creation date of the archive's products: before any selection anybody makes."""

_TENANT_PART = 3

PropertyValue = str | int | float | bool | datetime


class Location(StrEnum):
    ONLINE = "online"
    """On disk; storage still has to be asked, and answers at once."""
    NEARLINE = "nearline"
    """On tape; downloadable only after a restoration, and for a limited time."""
    EXTERNAL = "external"
    """Only referenced by URL; storage knows nothing of it."""
    DAM = "dam"
    """Attached to the dataset and held by rs-dam."""

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
    """The same URN with the tenant part replaced."""
    parts = urn.split(":")
    parts[_TENANT_PART] = tenant
    return ":".join(parts)


def urn_tenant(urn: str) -> str | None:
    """The tenant a URN names, None when it is no URN."""
    parts = urn.split(":")
    return parts[_TENANT_PART] if len(parts) > _TENANT_PART and parts[0] == "URN" else None


def urn_key(urn: str) -> str:
    """A URN without its tenant: what identifies an entity here."""
    return urn_for("", urn) if urn_tenant(urn) is not None else urn


def virtual_urn(urn: str) -> str:
    """The URN that always names the latest version."""
    return urn.rsplit(":", 1)[0] + ":LAST"
