"""Names for delivered files: one path segment, valid on every system, unique in a download."""

import re
import unicodedata
from array import array
from typing import Final
from urllib.parse import unquote, urlsplit

from rs_order.downloads.checksums import algorithm_of
from rs_order.ports import FileToDownload

NOTICE: Final = "NOTICE.txt"
"""The entry that lists the failures; no file in an archive gets this name."""
MAX_NAME_BYTES: Final = 240
"""The longest name before it is numbered: file systems allow 255 bytes."""

_DRIVE: Final = re.compile(r"^([A-Za-z]):")
_MISLEADING: Final = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that change the direction of text, so that a name is displayed differently."""
_NOT_PORTABLE: Final = str.maketrans(dict.fromkeys('<>:"|?*\ufffe\uffff', "_"))
"""Characters that Windows doesn't allow in names, or XML in any text."""
_NOT_AT_THE_END: Final = re.compile(r"[. ]+$")
"""Windows silently removes dots and spaces from the end of a name."""
_DEVICE: Final = re.compile(
    r"^(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9\u00b9\u00b2\u00b3]) *(?=\.|$)", re.IGNORECASE
)
"""Names that Windows takes for devices, with any extension."""


_Content = tuple[str | None, str | None, int | None]


class FreeNames:
    """Gives each file a path of its own, also where case and normal form don't count.

    Only an 8-byte hash of each name is stored. If two names have the same hash, the second is numbered
    without need, which is harmless.
    """

    def __init__(self, *taken: str) -> None:
        """``taken``: names that no file gets."""
        self._taken = _HashSet()
        self._next_number: dict[str, int] = {}
        for name in taken:
            self.take(name)

    def take(self, name: str) -> None:
        """Let no file get this path."""
        self._taken.add(hash(_folded(name)))

    def choose(self, file: FileToDownload, folder: str = "") -> str:
        """Return a free path for the file: its own name, else ``name (1).ext``, ``name (2).ext`` and so on.

        Args:
            file: the file.
            folder: begins the path, with a slash at its end; empty for none.
        """
        name = candidate = portable_name(name_of(file))
        while not self._taken.add(hash(_folded(folder + candidate))):
            number = self._next_number.get(_folded(folder + name), 1)
            self._next_number[_folded(folder + name)] = number + 1
            candidate = numbered(name, number)
        return folder + candidate


class EntryNames:
    """The names in one archive, and the copies of files that it already contains.

    Copies are only looked for among files with a repeated name.
    """

    def __init__(self, repeated: frozenset[str]) -> None:
        """``repeated``: the names that more than one file of the order has."""
        self._repeated = repeated
        self._free = FreeNames(NOTICE)
        self._stored: dict[str, set[_Content]] = {}

    def may_have_copy(self, file: FileToDownload) -> bool:
        """True if another file of the order has the same name, and this one can be compared with it."""
        return file.name in self._repeated and file.checksum is not None

    def has_copy(self, file: FileToDownload) -> bool:
        """True if the archive already contains this file (decisions.md, 10.3)."""
        return self.may_have_copy(file) and _content_of(file) in self._stored.get(file.name, set())

    def stored(self, file: FileToDownload) -> None:
        """Record that the archive contains the file, complete and verified."""
        if self.may_have_copy(file):
            self._stored.setdefault(file.name, set()).add(_content_of(file))

    def take(self, name: str) -> None:
        """Record that the archive has an entry with this name."""
        self._free.take(name)

    def choose(self, file: FileToDownload) -> str:
        """Return a free name for the file."""
        return self._free.choose(file)


def _content_of(file: FileToDownload) -> _Content:
    """Return what the catalog knows of the content: files of one name are copies if it is equal."""
    return file.checksum and file.checksum.lower(), algorithm_of(file), file.size


def name_of(file: FileToDownload) -> str:
    """Return the name of a file as one safe path segment."""
    return safe_name(file.name or last_segment(file.url))


def safe_name(name: str) -> str:
    """Return the name as one safe path segment: no folders, drive, or control characters."""
    name = name.replace("\\", "/").rsplit("/", 1)[-1]
    name = "".join("_" if _is_harmful(character) else character for character in name)
    name = _DRIVE.sub(r"\1_", name)
    return _shortened("_" if name in {"", ".", ".."} else name)


def portable_name(name: str) -> str:
    """Return a safe name with which Windows, macOS and Linux can save a file."""
    name = unicodedata.normalize("NFC", name).translate(_NOT_PORTABLE)
    name = _DEVICE.sub(lambda device: device[0] + "_", _shortened(name))
    return _NOT_AT_THE_END.sub(lambda end: "_" * len(end[0]), name)


def numbered(name: str, number: int) -> str:
    """Return ``name (1).ext``; without an extension the number comes last (rest.md 10.3)."""
    stem, extension = _split(name)
    return f"{stem} ({number}){extension}"


def last_segment(url: str) -> str:
    """Return the name of a file without one (rest.md 10.3); empty if the URL has none or can't be read."""
    try:
        return unquote(urlsplit(url).path.rsplit("/", 1)[-1])
    except ValueError:
        return ""


def one_line(text: str) -> str:
    """Return a text of another service as one line, without control characters."""
    return " ".join(
        "".join(" " if _is_harmful(character) else character for character in text).split()
    )


def _folded(name: str) -> str:
    """Return the form in which names are equal on file systems that ignore case and normal form."""
    if name.isascii():
        return name.lower()
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", name).casefold())


def _is_harmful(character: str) -> bool:
    return character in _MISLEADING or unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"}


def _split(name: str) -> tuple[str, str]:
    """Return stem and extension with its dot; a leading dot begins no extension."""
    at = name.rfind(".")
    return (name[:at], name[at:]) if at > 0 else (name, "")


def _shortened(name: str) -> str:
    if len(name.encode()) <= MAX_NAME_BYTES:
        return name
    stem, extension = _split(name)
    if len(extension.encode()) >= MAX_NAME_BYTES:
        stem, extension = name, ""
    stem_bytes = MAX_NAME_BYTES - len(extension.encode())
    return stem.encode()[:stem_bytes].decode(errors="ignore") + extension


class _HashSet:
    """A set of 64-bit hashes that takes 11 to 27 bytes for each; a Python set takes 70."""

    _FREE: Final = 0

    def __init__(self) -> None:
        self._slots = array("q", [self._FREE]) * 1024
        self._used = 0

    def add(self, value: int) -> bool:
        """Add the value; return True if it is new."""
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
        """Return the index at which the value is, or belongs."""
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
