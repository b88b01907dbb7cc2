"""The texts of the pages, and how numbers, sizes and times are written in each language."""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import cache
from importlib.resources import files
from typing import Final

from rs_order.core.reason_texts import Language

_THOUSANDS: Final = {Language.ENGLISH: ",", Language.FRENCH: "\u202f"}
_DECIMAL: Final = {Language.ENGLISH: ".", Language.FRENCH: ","}
_BYTES: Final = {
    Language.ENGLISH: ("B", "KB", "MB", "GB", "TB", "PB"),
    Language.FRENCH: ("o", "Ko", "Mo", "Go", "To", "Po"),
}
_STEP: Final = 1000
_EXACT_BELOW: Final = 10
"""Sizes below ten units have a decimal."""
_UNITS: Final = (("day", 86_400), ("hour", 3600), ("minute", 60), ("second", 1))


@cache
def catalogue(language: Language) -> Mapping[str, str]:
    """Return the texts of a language by key."""
    text = files(__package__).joinpath("texts", f"{language}.json").read_text(encoding="utf-8")
    found: dict[str, str] = json.loads(text)
    return found


class Texts:
    """Writes what a page says, in one language."""

    def __init__(self, language: Language) -> None:
        self.language = language
        self._texts = catalogue(language)

    def __call__(self, key: str, **values: object) -> str:
        """Return a text with its values; whole numbers are grouped.

        Raises:
            KeyError: there is no such text, or a value is missing.
        """
        written = {
            name: self.number(value) if type(value) is int else value
            for name, value in values.items()
        }
        return self._texts[key].format(**written)

    def has(self, key: str) -> bool:
        return key in self._texts

    def count(self, noun: str, number: int) -> str:
        """Return a number with its noun, such as "1 file" and "12 files"."""
        one = number == 1 or (number == 0 and self.language is Language.FRENCH)
        return self(f"count.{noun}.{'one' if one else 'other'}", number=number)

    def number(self, value: int) -> str:
        return f"{value:,}".replace(",", _THOUSANDS[self.language])

    def size(self, value: int) -> str:
        """Return a number of bytes in the largest unit of which it has at least one."""
        amount, units = float(value), _BYTES[self.language]
        power = 0
        while amount >= _STEP and power < len(units) - 1:
            amount, power = amount / _STEP, power + 1
        digits = 1 if power and amount < _EXACT_BELOW else 0
        return f"{amount:.{digits}f}".replace(".", _DECIMAL[self.language]) + f" {units[power]}"

    def duration(self, value: timedelta) -> str:
        """Return a time in its two largest units, such as "3 d 4 h"; less than a second is "0 s"."""
        left, parts = max(0, int(value.total_seconds())), list[str]()
        for unit, seconds in _UNITS:
            number, left = divmod(left, seconds)
            if number or (unit == "second" and not parts):
                parts.append(self(f"unit.{unit}", number=number))
            elif parts:
                break
            if len(parts) == 2:  # noqa: PLR2004 - the two largest units
                break
        return " ".join(parts)

    def instant(self, value: datetime) -> str:
        """Return an instant in UTC. The browser replaces it by the time of its zone."""
        return f"{value:%Y-%m-%d %H:%M} UTC"
