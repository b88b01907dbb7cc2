"""Parses hypermedia pages item by item (remote-services.md 1.4).

A page of 10,000 products has about 20 MB of JSON. Parsed as a whole it takes 280 MB of objects, of which
few are needed. So items are parsed one at a time.

The fast parser can't start in the middle of a text and says nothing about where a value ends. Where the
platform writes one item after the other without blanks, the end of an item is guessed from the text that
follows it, and the guess is verified: no JSON object is the beginning of another one, so a text that can be
parsed as an object is the whole item. All other texts are left to the decoder of the standard library, which
finds the end of a value by itself, but takes twice as long.
"""

import re
from collections.abc import Iterator
from json import JSONDecoder
from typing import Any, Final, NamedTuple

import orjson

_BLANKS: Final = re.compile(r"[ \t\r\n]*")
_DECODER: Final = JSONDecoder()
_ITEM: Final = b'{"content":'
"""The beginning of an item as the platform writes it."""
_BETWEEN_ITEMS: Final = b"}," + _ITEM

ItemText = memoryview | str
"""The text of an item: a part of its page where the fast parser read it."""


class Item(NamedTuple):
    """An element of a page."""

    value: Any
    text: ItemText


def parsed(text: ItemText) -> Any:
    """Parse the text of an item once more."""
    return _DECODER.decode(text) if isinstance(text, str) else orjson.loads(text)


def items_of(page: bytes | bytearray, others: dict[str, Any] | None = None) -> Iterator[Item]:
    """Yield the elements of the page's ``content``, in order. ``others`` gets its other members.

    Raises:
        ValueError: the text is no JSON or no page; some items may have been yielded before.
        RecursionError: the JSON is nested too deeply.
    """
    reader = _Reader(page)
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
    """Reads a JSON text from a position that moves forward. The text is decoded when it is needed."""

    def __init__(self, page: bytes | bytearray) -> None:
        self._page = page
        self._start, self._end = 0, max(page.find(_ITEM, 1), 0) or len(page)
        """The part of the page that is decoded. At first it ends where the first item may begin."""
        self._text = page[: self._end].decode()
        self._at = 0
        self._value_at = 0
        """Where the last value begins."""

    def value(self) -> Any:
        """Parse the next value."""
        self._skip_blanks()
        self._value_at = self._at
        try:
            value, self._at = _DECODER.raw_decode(self._text, self._at)
        except ValueError:
            if self._end == len(self._page):
                raise
            self._decode_rest()
            self._value_at = self._at
            value, self._at = _DECODER.raw_decode(self._text, self._at)
        return value

    def elements(self) -> Iterator[Item]:
        """Yield the elements of the next list one at a time."""
        self.take("[")
        if self._at == len(self._text):
            yield from self._adjacent_items()
        if self.skip("]"):
            return
        yield self._item()
        while not self.skip("]"):
            self.take(",")
            yield self._item()

    def _adjacent_items(self) -> Iterator[Item]:
        """Yield the items that follow each other without blanks, except the last one."""
        page, at = memoryview(self._page), self._end
        while (end := self._page.find(_BETWEEN_ITEMS, at)) > 0:
            text = page[at : end + 1]
            try:
                item = Item(orjson.loads(text), text)
            except orjson.JSONDecodeError:
                break
            at = end + 2
            self._start = self._end = at
            self._text, self._at = "", 0
            yield item

    def _item(self) -> Item:
        """Parse the next value as an item."""
        value = self.value()
        return Item(value, self._text[self._value_at : self._at])

    def take(self, character: str) -> None:
        """Move past a character; raise ValueError if another one follows."""
        if not self.skip(character):
            raise ValueError(f"{character} expected at character {self._position()}")

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
            raise ValueError(f"more text after the page, from character {self._position()}")

    def _position(self) -> int:
        return len(self._page[: self._start].decode()) + self._at

    def _skip_blanks(self) -> None:
        blanks = _BLANKS.match(self._text, self._at)
        self._at = blanks.end() if blanks else self._at
        if self._at == len(self._text) and self._end < len(self._page):
            self._decode_rest()
            self._skip_blanks()

    def _decode_rest(self) -> None:
        self._text = self._text[self._at :] + self._page[self._end :].decode()
        self._start, self._at, self._end = self._start + self._at, 0, len(self._page)
