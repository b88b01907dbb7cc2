"""Bytes of a file, read or generated in chunks so that no file is ever whole in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

CHUNK_BYTES = 64 * 1024


class Content(Protocol):
    def chunks(self) -> Iterator[bytes]:
        """The bytes, in order, at most CHUNK_BYTES at a time."""
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
    """Bytes that follow from a seed: the same seed and size always give the same content."""

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
