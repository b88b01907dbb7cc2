"""Hypermedia pages, read an item at a time (remote-services.md 1.4).

A page of 10,000 products is some 20 MB of JSON and, parsed as a whole, 280 MB of objects, of which
a few are needed. Here only one item is parsed at a time, by the decoder of the standard library,
the only one that can start in the middle of a text.
"""

import re
from collections.abc import Iterator
from json import JSONDecoder
from typing import Any, Final

_BLANKS: Final = re.compile(r"[ \t\r\n]*")
_DECODER: Final = JSONDecoder()


def items_of(page: bytes | bytearray) -> Iterator[Any]:
    """The elements of the page's ``content``, in order.

    Raises:
        ValueError: not JSON, or not a page; perhaps after some items.
        RecursionError: JSON nested too deep.
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
            reader.value()
        if not reader.skip(","):
            reader.take("}")
            break
    reader.finish()
    if not found:
        raise ValueError("the page has no content")


class _Reader:
    """A place in a JSON text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def value(self) -> Any:
        self._pass_blanks()
        value, self._at = _DECODER.raw_decode(self._text, self._at)
        return value

    def elements(self) -> Iterator[Any]:
        """The elements of a list, one at a time."""
        self.take("[")
        if self.skip("]"):
            return
        yield self.value()
        while not self.skip("]"):
            self.take(",")
            yield self.value()

    def take(self, character: str) -> None:
        if not self.skip(character):
            raise ValueError(f"{character} expected at character {self._at}")

    def skip(self, character: str) -> bool:
        """Whether the character comes next; it is passed then."""
        self._pass_blanks()
        if not self._text.startswith(character, self._at):
            return False
        self._at += 1
        return True

    def finish(self) -> None:
        self._pass_blanks()
        if self._at < len(self._text):
            raise ValueError(f"more text after the page, from character {self._at}")

    def _pass_blanks(self) -> None:
        blanks = _BLANKS.match(self._text, self._at)
        self._at = blanks.end() if blanks else self._at
