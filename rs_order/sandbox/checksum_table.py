"""A compact table from checksums to file numbers, for generated datasets."""

from __future__ import annotations

from array import array

_PREFIX_BYTES = 8


class ChecksumTable:
    """Maps checksums to file numbers in 8 to 16 bytes a file (open addressing).

    A slot holds a file number plus one. The table doesn't store checksums: its user can calculate
    the checksum of any file, and verifies the candidates with it.
    """

    def __init__(self, files: int) -> None:
        slots = 1 << (2 * files).bit_length()
        self._mask = slots - 1
        self._slots = array("I", bytes(4 * slots))

    def put(self, checksum: str, number: int) -> None:
        slot = self._start(checksum)
        while self._slots[slot] not in (0, number + 1):
            slot = (slot + 1) & self._mask
        self._slots[slot] = number + 1

    def candidates(self, checksum: str) -> list[int]:
        """Return the numbers of the files that may have the checksum."""
        slot, found = self._start(checksum), []
        while number := self._slots[slot]:
            found.append(number - 1)
            slot = (slot + 1) & self._mask
        return found

    def _start(self, checksum: str) -> int:
        return int(checksum[: 2 * _PREFIX_BYTES], 16) & self._mask
