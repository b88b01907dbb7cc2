"""Parses hypermedia pages item by item (remote-services.md 1.4).

A page of 10,000 products has about 20 MB of JSON. Parsed as a whole it takes 280 MB of objects, of which
few are needed. Items are parsed one at a time with the decoder of the standard library, because no other
can start in the middle of a text.
"""

import re
from collections.abc import Iterator
from json import JSONDecoder
from typing import Any, Final

_BLANKS: Final = re.compile(r"[ \t\r\n]*")
_DECODER: Final = JSONDecoder()


def items_of(page: bytes | bytearray, others: dict[str, Any] | None = None) -> Iterator[Any]:
    """Yield the elements of the page's ``content``, in order. ``others`` gets its other members.

    Raises:
        ValueError: the text is no JSON or no page; some items may have been yielded before.
        RecursionError: the JSON is nested too deeply.
    """
    reader = _Reader(page.decode())
    found = False
    reader.take("{")
    while not reader.skip("}"):
        name = reader.value()
        reader.take(":")
        if name == "content":
            found = True
            yield from reader.elements()
        else:
            other = reader.value()
            if others is not None:
                others[name] = other
        if not reader.skip(","):
            reader.take("}")
            break
    reader.finish()
    if not found:
        raise ValueError("the page has no content")


class _Reader:
    """Reads a JSON text from a position that moves forward."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def value(self) -> Any:
        """Parse the next value."""
        self._skip_blanks()
        value, self._at = _DECODER.raw_decode(self._text, self._at)
        return value

    def elements(self) -> Iterator[Any]:
        """Yield the elements of the next list one at a time."""
        self.take("[")
        if self.skip("]"):
            return
        yield self.value()
        while not self.skip("]"):
            self.take(",")
            yield self.value()

    def take(self, character: str) -> None:
        """Move past a character; raise ValueError if another one follows."""
        if not self.skip(character):
            raise ValueError(f"{character} expected at character {self._at}")

    def skip(self, character: str) -> bool:
        """Return True and move past the character if it comes next."""
        self._skip_blanks()
        if not self._text.startswith(character, self._at):
            return False
        self._at += 1
        return True

    def finish(self) -> None:
        """Raise ValueError if text follows."""
        self._skip_blanks()
        if self._at < len(self._text):
            raise ValueError(f"more text after the page, from character {self._at}")

    def _skip_blanks(self) -> None:
        blanks = _BLANKS.match(self._text, self._at)
        self._at = blanks.end() if blanks else self._at
