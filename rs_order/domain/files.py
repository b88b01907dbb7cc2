"""Products and files as the catalog describes them, before they are ordered."""

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID, uuid5

from rs_order.domain.ids import Checksum, Urn

LARGEST_FILE = 2**53 - 1
"""Bytes. Readers of JSON don't agree on larger numbers, and their sums exceed 64 bits."""

_IDENTITY = UUID("5e0c7a52-6f0e-4a5b-8f39-3b1f6f6a8d10")

NO_CHECKSUM = "The catalog gives no checksum for it, and storage knows files by checksum only."
"""Why storage can't be asked for a file."""
UNKNOWN_MIME_TYPE = "application/octet-stream"


class DataType(StrEnum):
    """Types of the files that can be ordered (domain.md 1.4)."""

    RAWDATA = "RAWDATA"
    QUICKLOOK_SD = "QUICKLOOK_SD"
    QUICKLOOK_MD = "QUICKLOOK_MD"
    QUICKLOOK_HD = "QUICKLOOK_HD"


class OtherType(StrEnum):
    """Types of the files that can't be ordered; a process may take or make them."""

    DOCUMENT = "DOCUMENT"
    THUMBNAIL = "THUMBNAIL"
    OTHER = "OTHER"
    """Also the output of a process (domain.md 5.5)."""
    AIP = "AIP"
    DESCRIPTION = "DESCRIPTION"


FileType = DataType | OtherType

ORDERABLE = tuple(DataType)


@dataclass(frozen=True, slots=True)
class CatalogFile:
    """One file of a product or dataset."""

    data_type: FileType
    name: str
    url: str
    external: bool
    """True if it is known by its URL only: storage doesn't hold it."""
    size: int | None
    """Bytes; None: unknown."""
    checksum: Checksum | None
    checksum_algorithm: str | None
    mime_type: str | None
    online: bool

    @property
    def stored_by_dam(self) -> bool:
        """True if rs-dam stores it beside its dataset; only the URL shows it (remote-services.md 2.4)."""
        return self.url.endswith("/dam")


@dataclass(frozen=True, slots=True)
class Product:
    """A product, or a dataset with the files attached to it."""

    urn: Urn
    provider_id: str | None
    version: int
    files: tuple[CatalogFile, ...]
    """Orderable files only."""
    others: tuple[CatalogFile, ...] = ()
    """Files of other types; read only for products that go into a process."""


def identity(product: Urn, file: CatalogFile) -> UUID:
    """Return the id of a file. It follows from product, name and checksum, or URL if it has none (W5)."""
    key = file.checksum or file.url
    return uuid5(_IDENTITY, f"{product}\n{file.name}\n{key}")
