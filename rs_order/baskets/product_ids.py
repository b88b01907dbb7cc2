"""Reads the product ids of an uploaded file (domain.md 3.4)."""

from codecs import getincrementaldecoder
from collections.abc import AsyncIterable
from dataclasses import dataclass
from io import IncrementalNewlineDecoder
from typing import Final

from rs_order.core.errors import TooManyLines, UnreadableUpload

MAX_ID: Final = 255
"""The most characters of a provider id (domain.md 1.2). A longer line names no product."""
_KEPT: Final = 4 * MAX_ID
"""The most characters of a line that are kept while it is received. Spaces after an id are ignored."""


async def read_ids(pieces: AsyncIterable[bytes], most_lines: int) -> list[str]:
    """Return the distinct ids of a text file, one per line, in their order.

    Blank lines count as lines. Memory doesn't grow with the length of a line.

    Raises:
        TooManyLines: the file has more lines than allowed; the rest isn't read.
        UnreadableUpload: the file isn't UTF-8 text.
    """
    lines = _Lines(most_lines)
    async for piece in pieces:
        lines.feed(piece)
    lines.end()
    return list(lines.ids)


class _Lines:
    """Reads a file piece by piece and collects the ids of its lines."""

    def __init__(self, most: int) -> None:
        self.ids: dict[str, None] = {}
        self._most = most
        self._count = 0
        self._decoder = IncrementalNewlineDecoder(getincrementaldecoder("utf-8-sig")(), True)
        self._line = _Line()

    def feed(self, piece: bytes, *, final: bool = False) -> None:
        try:
            text = self._decoder.decode(piece, final)
        except UnicodeDecodeError as error:
            raise UnreadableUpload(f"The file isn't UTF-8 text: {error.reason}") from error
        first, *others = text.split("\n")
        self._line.add(first)
        for part in others:
            self._close()
            self._line.add(part)

    def end(self) -> None:
        self.feed(b"", final=True)
        if self._line.begun:
            self._close()

    def _close(self) -> None:
        self._count += 1
        if self._count > self._most:
            raise TooManyLines(self._most)
        if id_ := self._line.id:
            self.ids[id_] = None
        self._line = _Line()


@dataclass(slots=True)
class _Line:
    """A line while it is received. Only the beginning of a long line is kept."""

    begun: bool = False
    _text: str = ""
    _cut: bool = False

    def add(self, part: str) -> None:
        self.begun = self.begun or bool(part)
        text = (self._text + part).lstrip()
        self._text = text[:_KEPT]
        self._cut = self._cut or bool(text[_KEPT:].strip())

    @property
    def id(self) -> str | None:
        """The id in the line; None for a blank line, or for a text that can't be a provider id."""
        text = self._text.strip()
        possible = text and len(text) <= MAX_ID and not self._cut and "\0" not in text
        return text if possible else None
