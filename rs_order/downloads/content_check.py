"""Whether the bytes that came are those of the catalog."""

import hashlib
import re
from typing import Any, Final

from rs_order.domain import download_reasons as reasons
from rs_order.ports import FetchError, FileToDownload, WrongContent

_MD5_LENGTH: Final = 32
_ALGORITHMS: Final = frozenset({"md5", "sha1", "sha224", "sha256", "sha384", "sha512"})
"""As ``hashlib`` calls them; catalogs write them with capitals and dashes."""


class ContentCheck:
    """Looks at the bytes of a file as they pass."""

    def __init__(self, file: FileToDownload) -> None:
        self._file = file
        self._algorithm = algorithm_of(file)
        self._hash = _new_hash(self._algorithm)
        self.received = 0

    @property
    def verifiable(self) -> bool:
        """False when only the size can be checked: no checksum, or of an unknown algorithm."""
        return self._hash is not None

    def accept(self, chunk: bytes) -> bool:
        """Take the next bytes; False once there are more than the file has."""
        self.received += len(chunk)
        if self._file.size is not None and self.received > self._file.size:
            return False
        if self._hash is not None:
            self._hash.update(chunk)
        return True

    def problem(self) -> FetchError | None:
        """What is wrong with the bytes that came, None when they are as they should be."""
        size, checksum = self._file.size, self._file.checksum
        if size is not None and self.received > size:
            return WrongContent(reasons.too_long(size))
        if size is not None and self.received < size:
            return FetchError(reasons.short_read(self.received, size))
        if self._hash is None or checksum is None:
            return None
        received = self._hash.hexdigest()
        if received == checksum.lower():
            return None
        algorithm = str(self._algorithm).upper()
        return WrongContent(reasons.wrong_checksum(algorithm, received, checksum))


def algorithm_of(file: FileToDownload) -> str | None:
    """The algorithm of the file's checksum, as ``hashlib`` calls it, None when we don't know it.

    MD5, REGARDS' own, when it goes without saying.
    """
    if file.checksum is None:
        return None
    if file.checksum_algorithm is None:
        return "md5" if len(file.checksum) == _MD5_LENGTH else None
    algorithm = re.sub("[-_]", "", file.checksum_algorithm).lower()
    return algorithm if algorithm in _ALGORITHMS else None


def _new_hash(algorithm: str | None) -> Any:
    return None if algorithm is None else hashlib.new(algorithm, usedforsecurity=False)
