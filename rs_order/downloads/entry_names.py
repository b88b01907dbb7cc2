"""Under which name a file is handed out: flat, safe on any disk, and there only once."""

import re
import unicodedata
from array import array
from typing import Final
from urllib.parse import unquote, urlsplit

from rs_order.ports import FileToDownload

NOTICE: Final = "NOTICE.txt"
"""The entry that lists what failed; no file is called so in an archive."""
MAX_NAME_BYTES: Final = 240
"""Of a name before it is numbered: no file system takes more than 255."""

_DRIVE: Final = re.compile(r"^([A-Za-z]):")
_MISLEADING: Final = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that turn the direction of the text around them, so that it reads otherwise."""


class FreeNames:
    """Names of files that end up in one folder, none of them twice.

    Of a name that is given a number of 8 bytes tells that it is taken. Should two names ever share
    theirs, one is numbered without need.
    """

    def __init__(self, *taken: str) -> None:
        """``taken`` is never given to a file."""
        self._taken = _HashSet()
        self._next_number: dict[str, int] = {}
        for name in taken:
            self._taken.add(hash(name))

    def choose(self, file: FileToDownload) -> str:
        """A free name for the file: its own, else ``name (1).ext``, ``name (2).ext`` and so on."""
        name = candidate = name_of(file)
        while not self._taken.add(hash(candidate)):
            number = self._next_number.get(name, 1)
            self._next_number[name] = number + 1
            candidate = numbered(name, number)
        return candidate


class EntryNames:
    """The names given in one archive, and which files are there already.

    Only names that several files have are remembered as such.
    """

    def __init__(self, repeated: frozenset[str]) -> None:
        """Start an archive in which more than one file may have a name of ``repeated``."""
        self._repeated = repeated
        self._free = FreeNames(NOTICE)
        self._stored: dict[str, set[str | None]] = {}

    def may_have_copy(self, file: FileToDownload) -> bool:
        return file.name in self._repeated

    def has_copy(self, file: FileToDownload) -> bool:
        """Whether the archive holds this very file already (domain.md 11.1, point 3)."""
        checksums = self._stored.get(file.name, set())
        return file.checksum in checksums or None in checksums

    def stored(self, file: FileToDownload) -> None:
        """Note that the file is in the archive, whole and right."""
        if file.name in self._repeated:
            self._stored.setdefault(file.name, set()).add(file.checksum)

    def choose(self, file: FileToDownload) -> str:
        """A free name for the file."""
        return self._free.choose(file)


def name_of(file: FileToDownload) -> str:
    """What a file is called when it is handed out."""
    return safe_name(file.name or last_segment(file.url))


def safe_name(name: str) -> str:
    """The name as one harmless path segment: no folders, drive, or control characters."""
    name = name.replace("\\", "/").rsplit("/", 1)[-1]
    name = "".join("_" if _is_harmful(character) else character for character in name)
    name = _DRIVE.sub(r"\1_", name)
    return _shortened("_" if name in {"", ".", ".."} else name)


def numbered(name: str, number: int) -> str:
    """``name (1).ext``; without an extension the number comes last (rest.md 10.3)."""
    stem, extension = _split(name)
    return f"{stem} ({number}){extension}"


def last_segment(url: str) -> str:
    """What a file without a name is called (rest.md 10.3)."""
    return unquote(urlsplit(url).path.rsplit("/", 1)[-1])


def one_line(text: str) -> str:
    """A foreign text without anything that would break a line of text in two."""
    return " ".join(
        "".join(" " if _is_harmful(character) else character for character in text).split()
    )


def _is_harmful(character: str) -> bool:
    return character in _MISLEADING or unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"}


def _split(name: str) -> tuple[str, str]:
    """Stem and extension with its dot; a leading dot begins no extension."""
    at = name.rfind(".")
    return (name[:at], name[at:]) if at > 0 else (name, "")


def _shortened(name: str) -> str:
    if len(name.encode()) <= MAX_NAME_BYTES:
        return name
    stem, extension = _split(name)
    if len(extension.encode()) >= MAX_NAME_BYTES:
        stem, extension = name, ""
    room = MAX_NAME_BYTES - len(extension.encode())
    return stem.encode()[:room].decode(errors="ignore") + extension


class _HashSet:
    """64-bit hashes at 11 to 27 bytes each, where a set of Python's takes 70."""

    _FREE: Final = 0

    def __init__(self) -> None:
        self._slots = array("q", [self._FREE]) * 1024
        self._used = 0

    def add(self, value: int) -> bool:
        """Whether the value is new; it is in the set afterwards."""
        value = value or 1
        slot = self._slot_of(value)
        if self._slots[slot] == value:
            return False
        self._slots[slot] = value
        self._used += 1
        if self._used * 4 > len(self._slots) * 3:
            self._grow()
        return True

    def _slot_of(self, value: int) -> int:
        """Where the value is, or belongs."""
        slots, last = self._slots, len(self._slots) - 1
        slot = value & last
        while slots[slot] not in (self._FREE, value):
            slot = (slot + 1) & last
        return slot

    def _grow(self) -> None:
        values = self._slots
        self._slots = array("q", [self._FREE]) * (2 * len(values))
        for value in values:
            if value != self._FREE:
                self._slots[self._slot_of(value)] = value
