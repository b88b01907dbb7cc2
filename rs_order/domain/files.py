"""Products and files as the catalog describes them, and the filter of the files that are ordered."""

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from hashlib import sha1
from typing import Any, Final, NamedTuple
from uuid import UUID

import re2

from rs_order.domain.errors import PatternRejectedError
from rs_order.domain.ids import Checksum, Urn

LARGEST_FILE = 2**53 - 1
"""Bytes. Readers of JSON don't agree on larger numbers, and their sums exceed 64 bits."""

LONGEST_CHECKSUM: Final = 128
"""Characters, as in the reference. Checksums are indexed, and entries of an index are limited."""

_IDENTITIES: Final = UUID("5e0c7a52-6f0e-4a5b-8f39-3b1f6f6a8d10").bytes
"""The name space of the identities of files."""

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


class CatalogFile(NamedTuple):
    """One file of a product or dataset. A named tuple, because an order has millions of them."""

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
    defect: str | None = None
    """Why it can't be ordered: the catalog describes it wrongly. None: it can be."""

    def without_source(self, defect: str) -> "CatalogFile":
        """Return the file as one that can't be ordered. A retry can't revive it, as storage isn't asked."""
        return self._replace(external=False, url="", checksum=None, defect=defect)

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


def identity(product: Urn, file: CatalogFile) -> str:
    """Return the id of a file. It follows from product, name and checksum, or URL if it has none (W5).

    The id is a UUID of version 5 (RFC 9562) without hyphens. The standard library needs three times as long
    for it.
    """
    name = f"{product}\n{file.name}\n{file.checksum or file.url}"
    uuid = bytearray(sha1(_IDENTITIES + name.encode(), usedforsecurity=False).digest()[:16])
    uuid[6] = 0x50 | uuid[6] & 0x0F
    uuid[8] = 0x80 | uuid[8] & 0x3F
    return uuid.hex()


MAX_PATTERN: Final = 1000
"""Characters of a file-name pattern."""
_MAX_MEMORY: Final = 512 * 1024
"""Bytes of a compiled pattern. Time to compile grows with them."""
_EARLIER_MAX_MEMORY: Final = 8 * 1024 * 1024


class FileKind(StrEnum):
    """The kinds of file in a filter; QUICKLOOK stands for all three sizes."""

    RAWDATA = "RAWDATA"
    QUICKLOOK = "QUICKLOOK"


def kind_of(data_type: FileType) -> FileKind:
    return FileKind.RAWDATA if data_type is DataType.RAWDATA else FileKind.QUICKLOOK


def compile_pattern(pattern: str) -> Any:
    """Compile a file-name pattern with RE2, which needs linear time for any pattern.

    A pattern of a stranger may take a tenth of a second. So compile it in a thread, outside of transactions.

    Raises:
        PatternRejectedError: it is too long, RE2 rejects it, or it needs too much memory.
    """
    if len(pattern) > MAX_PATTERN:
        raise PatternRejectedError(f"the pattern is longer than {MAX_PATTERN} characters")
    return _compiled(pattern, _MAX_MEMORY)


def _compile_stored(pattern: str) -> Any:
    """Compile the pattern of an order. An earlier version may have accepted it without the limits."""
    try:
        return compile_pattern(pattern)
    except PatternRejectedError:
        return _compiled(pattern, _EARLIER_MAX_MEMORY)


@lru_cache(maxsize=64)
def _compiled(pattern: str, max_memory: int) -> Any:
    options = re2.Options()
    options.log_errors = False
    options.max_mem = max_memory
    try:
        return re2.compile(pattern, options=options)
    except re2.error as rejection:
        reason = rejection.args[0] if rejection.args else "not a regular expression"
        text = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
        raise PatternRejectedError(text) from rejection


@dataclass(frozen=True, slots=True)
class FileFilter:
    """The kinds and the name pattern of the files that pass; without kinds or pattern, all do."""

    kinds: frozenset[FileKind] = frozenset()
    name_pattern: str | None = None

    def passes(self, file: CatalogFile) -> bool:
        if self.kinds and kind_of(file.data_type) not in self.kinds:
            return False
        if not self.name_pattern or not self.name_pattern.strip():
            return True
        return _compile_stored(self.name_pattern).fullmatch(file.name) is not None
