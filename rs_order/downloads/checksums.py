"""The checksum algorithms that can be checked: what Python's standard library knows.

Sums of 32 bits are those of isal, which takes a tenth of the time of zlib for them.
"""

import asyncio
import hashlib
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Protocol

from isal import isal_zlib

from rs_order.domain.archives import FIRST_BYTE, Checkpoint
from rs_order.ports import FileToDownload

_MD5_LENGTH: Final = 32
_HEX_DIGITS: Final = {
    "md5": 32,
    "sha1": 40,
    "sha224": 56,
    "sha256": 64,
    "sha384": 96,
    "sha512": 128,
}
"""The algorithms that download tools check, and the lengths of their checksums."""
_HASHES: Final = (
    *("md5", "sha1", "sha224", "sha256", "sha384", "sha512", "sha512_224", "sha512_256"),
    *("sha3_224", "sha3_256", "sha3_384", "sha3_512", "blake2b", "blake2s", "ripemd160", "sm3"),
)
_SUMS: Final[Mapping[str, tuple[Callable[[bytes, int], int], int]]] = {
    "adler32": (isal_zlib.adler32, 1),
    "crc32": (isal_zlib.crc32, 0),
}
"""Sums of 32 bits: their functions and first values."""
_ALGORITHMS: Final = {
    **{name.replace("_", ""): name for name in _HASHES if name in hashlib.algorithms_available},
    **{name: name for name in _SUMS},
    "blake2b512": "blake2b",
    "blake2s256": "blake2s",
}
"""The names used here by those of catalogs, without the capitals, dashes and slashes that catalogs write."""


class Hash(Protocol):
    def update(self, data: bytes, /) -> None: ...

    def hexdigest(self) -> str: ...


class _Sum:
    """A sum of 32 bits, used like a hash."""

    def __init__(self, algorithm: str) -> None:
        self._add, self._value = _SUMS[algorithm]

    def update(self, data: bytes, /) -> None:
        self._value = self._add(data, self._value)

    def hexdigest(self) -> str:
        return f"{self._value:08x}"


class Crc32:
    """The CRC-32 of a file, whose first part may have been read before. It leaves checkpoints on the way."""

    def __init__(self, every: int, begun: Checkpoint = FIRST_BYTE) -> None:
        """Set where it begins.

        Args:
            every: bytes from one checkpoint to the next.
            begun: what was read before.
        """
        self.begun = begun
        self._every = every
        self._position, self._value = begun.position, begun.crc32
        self._passed: list[Checkpoint] = []

    def update(self, data: bytes, /) -> None:
        while (left := self._every - self._position % self._every) <= len(data):
            self._add(data[:left])
            self._passed.append(Checkpoint(self._position, self._value))
            data = data[left:]
        self._add(data)

    def hexdigest(self) -> str:
        return f"{self._value:08x}"

    def take_checkpoints(self) -> Sequence[Checkpoint]:
        """Return the checkpoints since the last call, by ascending positions."""
        passed, self._passed = self._passed, []
        return passed

    def _add(self, data: bytes) -> None:
        self._value = isal_zlib.crc32(data, self._value)
        self._position += len(data)


def algorithm_of(file: FileToDownload) -> str | None:
    """Return the algorithm of the checksum, under its name in ``hashlib`` or ``zlib``; None if it is unknown.

    A checksum of 32 characters without an algorithm is MD5, the default of REGARDS.
    """
    if file.checksum is None:
        return None
    if file.checksum_algorithm is None:
        return "md5" if len(file.checksum) == _MD5_LENGTH else None
    algorithm = _ALGORITHMS.get(re.sub("[-_/ ]", "", file.checksum_algorithm).lower())
    # A sum may be written in decimal digits, too; only hexadecimal ones are compared.
    if algorithm in _SUMS and not re.fullmatch("[0-9a-fA-F]{1,8}", file.checksum):
        return None
    return algorithm


def well_formed_checksum(file: FileToDownload) -> tuple[str, str] | None:
    """Return the algorithm of the checksum and its digits in lower case, if it is one that tools check."""
    algorithm = algorithm_of(file)
    if file.checksum is None or algorithm not in _HEX_DIGITS:
        return None
    if not re.fullmatch(f"[0-9a-fA-F]{{{_HEX_DIGITS[algorithm]}}}", file.checksum):
        return None
    return algorithm, file.checksum.lower()


def known_digests(file: FileToDownload) -> dict[str, str]:
    """Return the digests of a file that tools check, by algorithm: that of the catalog, and those proven."""
    checksum = well_formed_checksum(file)
    digests = dict([checksum]) if checksum else {}
    if file.proven_sha256 is not None:
        digests.setdefault("sha256", file.proven_sha256.hex())
    return digests


def why_unverifiable(file: FileToDownload) -> str | None:
    """Return why the checksum of a file can't be checked; None if it can be, or if the file has none."""
    if file.checksum is None or algorithm_of(file) is not None:
        return None
    if file.checksum_algorithm is None:
        return "its algorithm is unknown"
    return f"{file.checksum_algorithm} checksums like this one can't be checked"


HASHED_AT_ONCE: Final = 1024 * 1024
"""Bytes that are hashed together. With fewer, the change of the thread would take longer than the hashes."""
_HASHED_HERE: Final = 32 * 1024
"""Bytes at the end of a file for which the change isn't worth its while."""
_THREADS: Final = ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="hashes")
"""One thread per processor. More would take the processors from the event loop, which has the bytes sent."""


class ConcurrentHashes:
    """Computes hashes in threads while the next bytes are transferred.

    Sums of 32 bits are computed at once: in less time than the change of the thread takes.
    """

    def __init__(self, algorithms: Iterable[str], crc32: Crc32 | None = None) -> None:
        """Set what is computed.

        Args:
            algorithms: names of ``algorithm_of``, that of the catalog first, because MD5 takes the longest.
            crc32: computes that, if it is one of them.
        """
        self._all: dict[str, Hash] = {
            algorithm: crc32 if crc32 and algorithm == "crc32" else _new_hash(algorithm)
            for algorithm in algorithms
        }
        self._sums = [one for name, one in self._all.items() if name in _SUMS]
        self._hashes = [one for name, one in self._all.items() if name not in _SUMS]
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._running: asyncio.Future[None] | None = None
        """The work of the threads."""
        self._ending = False
        self._loop = asyncio.get_running_loop()

    async def update(self, data: bytes) -> None:
        """Add the next bytes, and wait until no more than 1 MiB before them is still to be hashed."""
        for one in self._sums:
            one.update(data)
        if not self._hashes:
            return
        self._waiting.append(data)
        self._waiting_bytes += len(data)
        self._go_on()
        while self._running and self._waiting_bytes >= HASHED_AT_ONCE:
            await _end_of(self._running)

    async def hexdigests(self) -> Mapping[str, str]:
        """Return the hashes of all bytes, by algorithm."""
        self._ending = True
        self._go_on()
        while self._running:
            await _end_of(self._running)
        return {algorithm: one.hexdigest() for algorithm, one in self._all.items()}

    def _go_on(self) -> None:
        if self._running:
            return
        if self._ending and self._waiting_bytes <= _HASHED_HERE:
            content = b"".join(self._take())
            for one in self._hashes:
                one.update(content)
        elif self._ending or self._waiting_bytes >= HASHED_AT_ONCE:
            self._running = self._loop.run_in_executor(_THREADS, self._hash, self._take())
            self._running.add_done_callback(self._on_hashed)

    def _on_hashed(self, hashed: asyncio.Future[None]) -> None:
        if hashed.cancelled() or hashed.exception():
            return  # it stays, so that who waits gets the error
        self._running = None
        self._go_on()

    def _hash(self, pieces: Sequence[bytes]) -> None:
        """Compute each hash in a thread of its own, as far as threads are free; run by one of them."""
        # After each update, the thread waits for the interpreter's lock: for longer than joining takes.
        content = b"".join(pieces)
        one, *others = self._hashes
        beside = [(other, _THREADS.submit(other.update, content)) for other in others]
        one.update(content)
        for other, hashing in beside:
            if hashing.cancel():  # no thread has begun
                other.update(content)
            else:
                hashing.result()

    def _take(self) -> Sequence[bytes]:
        pieces, self._waiting = self._waiting, []
        self._waiting_bytes = 0
        return pieces


async def _end_of(work: asyncio.Future[None]) -> None:
    """Wait for the end of work that goes on if the wait is cancelled; raise its error."""
    await asyncio.wait([work])
    work.result()


def _new_hash(algorithm: str) -> Hash:
    if algorithm in _SUMS:
        return _Sum(algorithm)
    return hashlib.new(algorithm, usedforsecurity=False)
