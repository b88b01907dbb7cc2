"""Lists for wget, curl, aria2, md5sum, spreadsheets and scripts (faces.md M-7, M-8).

Names come from catalogs, so each format guards against names that its reader would take for something else.
Names in lists are portable (``entry_names.py``): they contain no line ends, quotes, backslashes or controls.
"""

import csv
import io
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import datetime
from enum import StrEnum
from typing import IO, Any, Final

import orjson

from rs_order.domain.instants import wire_instant
from rs_order.downloads.checksums import known_digests
from rs_order.downloads.entry_names import one_line
from rs_order.downloads.metalink import IANA_NAMES
from rs_order.downloads.order_lists import Addresses, Entry, Layout, ListFormat, product_of
from rs_order.ports import ListedFile, OrderToDownload
from rs_order.rest.answers import formula_free

FAILURES_IN_MEMORY: Final = 4 * 2**20
"""Bytes of a manifest's failures kept in memory until the files are written; the rest is on disk."""


class ListKind(StrEnum):
    """The kinds of lists, which are the suffixes of their addresses."""

    TXT = "txt"
    """Addresses, for ``wget -i``."""
    ARIA2 = "aria2"
    CURL = "curl"
    """A configuration of curl, for ``curl -K``."""
    MD5 = "md5"
    """For ``md5sum -c``."""
    SHA256 = "sha256"
    JSON = "json"
    """The manifest."""
    CSV = "csv"


_PLAIN: Final = "text/plain; charset=utf-8"
MEDIA_TYPES: Final = {
    **dict.fromkeys(ListKind, _PLAIN),
    ListKind.JSON: "application/json",
    ListKind.CSV: "text/csv; charset=utf-8",
}


class _Urls(ListFormat):
    """An address a line."""

    def part(self, entries: Sequence[Entry]) -> bytes:
        return "".join(f"{entry.url}\n" for entry in entries).encode()


class _Aria2(ListFormat):
    """An input file of aria2: an address, and its options on lines that begin with spaces."""

    def part(self, entries: Sequence[Entry]) -> bytes:
        return "".join(self._entry(entry) for entry in entries).encode()

    @staticmethod
    def _entry(entry: Entry) -> str:
        # One connection for each file: each reads the file from its first byte.
        lines = [entry.url, f"  out={_path(entry.name)}", "  split=1"]
        digests = known_digests(entry.file)
        if digests:
            algorithm = "sha256" if "sha256" in digests else next(iter(digests))
            lines.append(f"  checksum={IANA_NAMES[algorithm]}={digests[algorithm]}")
        return "\n".join(lines) + "\n"


class _Curl(ListFormat):
    """A configuration of curl. It resumes, and saves no error as a file."""

    def __init__(self, *, only_available: bool, layout: Layout) -> None:
        super().__init__(only_available=only_available, layout=layout)
        self._begun = False

    def part(self, entries: Sequence[Entry]) -> bytes:
        if not entries:
            return b""
        text = "next\n".join(self._entry(entry) for entry in entries)
        begun, self._begun = self._begun, True
        return (f"next\n{text}" if begun else text).encode()

    @staticmethod
    def _entry(entry: Entry) -> str:
        # Without globoff, curl replaces "#1" in names, and brackets in addresses.
        return (
            f"url = {_quoted(entry.url)}\n"
            f"output = {_quoted(_path(entry.name))}\n"
            'create-dirs\ncontinue-at = "-"\nfail\ngloboff\n'
        )


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _path(name: str) -> str:
    """Return a path that no tool takes for an option, for standard output, or without its first space."""
    return name if name[0].isalnum() or name[0] == "_" else f"./{name}"


class _Checksums(ListFormat):
    """A checksum and a name a line."""

    def __init__(self, algorithm: str, layout: Layout) -> None:
        super().__init__(only_available=True, layout=layout)
        self._algorithm = algorithm
        self._without = 0

    def part(self, entries: Sequence[Entry]) -> bytes:
        lines = []
        for entry in entries:
            digest = known_digests(entry.file).get(self._algorithm)
            if digest is None:
                self._without += 1
            else:
                lines.append(f"{digest}  {_path(entry.name)}\n")
        return "".join(lines).encode()

    def foot(self) -> Iterator[bytes]:
        """Yield a comment, which checkers ignore, if files are left out."""
        if self._without:
            yield f"# Files left out, because their {self._algorithm} is unknown: {self._without}\n".encode()


class _Manifest(ListFormat):
    """All files of an order as JSON: first those that didn't fail, then those that did."""

    def __init__(self, at: datetime, layout: Layout) -> None:
        super().__init__(only_available=False, layout=layout)
        self._at = at
        self._begun = False
        self._held = ExitStack()
        self._failures: IO[bytes]
        """Those of the files so far. It is opened with the head."""

    def head(self, order: OrderToDownload, addresses: Addresses) -> bytes:  # noqa: ARG002 - as overridden
        self._failures = self._held.enter_context(
            tempfile.SpooledTemporaryFile(max_size=FAILURES_IN_MEMORY)  # noqa: SIM115 - held
        )
        return f'{{"order":{order.id},"generated":"{wire_instant(self._at)}","files":['.encode()

    def part(self, entries: Sequence[Entry]) -> bytes:
        for entry in entries:
            if entry.listed.state.failed:
                comma = b"," if self._failures.tell() else b""
                self._failures.write(comma + b"\n" + orjson.dumps(_failure(entry)))
        files = [
            b"\n" + orjson.dumps({**described(entry.name, entry.listed), "url": entry.url})
            for entry in entries
            if not entry.listed.state.failed
        ]
        if not files:
            return b""
        begun, self._begun = self._begun, True
        return (b"," if begun else b"") + b",".join(files)

    def foot(self) -> Iterator[bytes]:
        yield b'\n],"failed":['
        self._failures.seek(0)
        while piece := self._failures.read(64 * 1024):
            yield piece
        yield b"\n]}\n"

    def close(self) -> None:
        self._held.close()


def described(name: str, listed: ListedFile) -> dict[str, Any]:
    """Return the members of a manifest that describe a file."""
    file, digests = listed.file, known_digests(listed.file)
    proven = file.verified_at is not None and file.hashes is not None
    return {
        "name": name,
        "product": product_of(file),
        "size": file.size,
        "md5": digests.get("md5"),
        "sha256": digests.get("sha256"),
        "crc32": f"{file.hashes.crc32:08x}" if proven and file.hashes else None,
        "state": listed.state,
        "verified": wire_instant(file.verified_at) if file.verified_at else None,
    }


def _failure(entry: Entry) -> dict[str, Any]:
    listed = entry.listed
    return {
        "name": entry.name,
        "product": product_of(entry.file),
        "code": listed.reason_code,
        "detail": one_line(listed.reason) if listed.reason else None,
    }


class _Table(ListFormat):
    """A table for spreadsheets (RFC 4180). No cell is a formula."""

    def head(self, order: OrderToDownload, addresses: Addresses) -> bytes:  # noqa: ARG002 - as overridden
        return b"name,size,md5,sha256,state,product,address\r\n"

    def part(self, entries: Sequence[Entry]) -> bytes:
        text = io.StringIO(newline="")
        csv.writer(text).writerows(_row(entry) for entry in entries)
        return text.getvalue().encode()


def _row(entry: Entry) -> tuple[object, ...]:
    digests = known_digests(entry.file)
    return (
        formula_free(entry.name),
        entry.file.size,
        digests.get("md5"),
        digests.get("sha256"),
        entry.listed.state,
        formula_free(one_line(product_of(entry.file))),
        entry.url,
    )


_WRITERS: Final[Mapping[ListKind, Callable[[datetime, Layout], ListFormat]]] = {
    ListKind.TXT: lambda _, layout: _Urls(only_available=True, layout=layout),
    ListKind.ARIA2: lambda _, layout: _Aria2(only_available=True, layout=layout),
    ListKind.CURL: lambda _, layout: _Curl(only_available=True, layout=layout),
    ListKind.MD5: lambda _, layout: _Checksums("md5", layout),
    ListKind.SHA256: lambda _, layout: _Checksums("sha256", layout),
    ListKind.JSON: _Manifest,
    ListKind.CSV: lambda _, layout: _Table(only_available=False, layout=layout),
}


def list_format(kind: ListKind, at: datetime, layout: Layout) -> ListFormat:
    """Return a writer of one list. ``at``: now."""
    return _WRITERS[kind](at, layout)
