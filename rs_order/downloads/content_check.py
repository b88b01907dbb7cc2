"""Compares the bytes of a file with the size and checksum of the catalog."""

import hashlib
import re
from typing import Any, Final

from rs_order.domain import failure_reasons
from rs_order.ports import FetchError, FileToDownload, WrongContent

_MD5_LENGTH: Final = 32
_ALGORITHMS: Final = frozenset({"md5", "sha1", "sha224", "sha256", "sha384", "sha512"})
"""The names of ``hashlib``; catalogs write them with capitals and dashes."""


class ContentCheck:
    """Checks the bytes of a file while they are transferred."""

    def __init__(self, file: FileToDownload) -> None:
        self._file = file
        self._algorithm = algorithm_of(file)
        self._hash = _new_hash(self._algorithm)
        self.received = 0

    @property
    def verifiable(self) -> bool:
        """True if the checksum can be checked, not only the size: it exists and its algorithm is known."""
        return self._hash is not None

    def accept(self, chunk: bytes) -> bool:
        """Add the next bytes; return False once they exceed the size of the file."""
        self.received += len(chunk)
        if self._file.size is not None and self.received > self._file.size:
            return False
        if self._hash is not None:
            self._hash.update(chunk)
        return True

    def problem(self) -> FetchError | None:
        """Return the error for the bytes received, or None if they are those of the catalog."""
        size, checksum = self._file.size, self._file.checksum
        if size is not None and self.received > size:
            return WrongContent(failure_reasons.too_long(size))
        if size is not None and self.received < size:
            return FetchError(failure_reasons.short_read(self.received, size))
        if self._hash is None or checksum is None:
            return None
        received = self._hash.hexdigest()
        if received == checksum.lower():
            return None
        algorithm = str(self._algorithm).upper()
        return WrongContent(failure_reasons.wrong_checksum(algorithm, received, checksum))


def algorithm_of(file: FileToDownload) -> str | None:
    """Return the ``hashlib`` name of the checksum's algorithm, or None if it is unknown.

    A checksum of 32 characters without an algorithm is MD5, the default of REGARDS.
    """
    if file.checksum is None:
        return None
    if file.checksum_algorithm is None:
        return "md5" if len(file.checksum) == _MD5_LENGTH else None
    algorithm = re.sub("[-_]", "", file.checksum_algorithm).lower()
    return algorithm if algorithm in _ALGORITHMS else None


def _new_hash(algorithm: str | None) -> Any:
    return None if algorithm is None else hashlib.new(algorithm, usedforsecurity=False)
