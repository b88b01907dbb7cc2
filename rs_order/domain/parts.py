"""Parts of a file or of an archive, in bytes."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Part:
    """The bytes from ``start`` to before ``end``."""

    start: int
    end: int

    @property
    def length(self) -> int:
        return self.end - self.start

    def of(self, piece: bytes, at: int) -> bytes:
        """Return the bytes of the part that are in a piece that begins ``at``."""
        return piece[max(0, self.start - at) : max(0, self.end - at)]
