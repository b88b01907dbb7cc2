"""Writes the metalink of an order: a list of its files for download tools (rest.md 10.4, domain.md 11.4).

Version 3 is that of REGARDS and stays as it is. Version 4 is RFC 5854 (faces.md M-1 to M-4).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Final
from urllib.parse import urlsplit
from xml.sax.saxutils import escape, quoteattr

from rs_order import __version__
from rs_order.domain.instants import wire_instant
from rs_order.domain.states import OrderStatus
from rs_order.downloads.checksums import known_digests, well_formed_checksum
from rs_order.downloads.entry_names import name_of
from rs_order.downloads.order_lists import Addresses, Entry, Layout, ListFormat, product_of
from rs_order.ports import FileToDownload, OrderToDownload

WITHOUT_METALINK: Final = frozenset(
    {OrderStatus.DELETED, OrderStatus.EXPIRED, OrderStatus.PENDING, OrderStatus.FAILED}
)

_IN_VERSION_3: Final = frozenset({"md5", "sha1", "sha256", "sha384", "sha512"})
"""The algorithms that Metalink 3 names."""
IANA_NAMES: Final[Mapping[str, str]] = {
    "md5": "md5",
    "sha1": "sha-1",
    "sha224": "sha-224",
    "sha256": "sha-256",
    "sha384": "sha-384",
    "sha512": "sha-512",
}
"""The names of algorithms in Metalink 4 (IANA's "Hash Function Textual Names"), which aria2 uses too."""

_ILLEGAL: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that no XML document may contain, escaped or not."""


class MetalinkVersion(StrEnum):
    """The versions of the format."""

    V3 = "3"
    """The version that REGARDS writes and its download tool reads."""
    V4 = "4"
    """RFC 5854."""


class Metalink3(ListFormat):
    """Writes version 3. The identity of a file is its name in the catalog."""

    def head(self, order: OrderToDownload, addresses: Addresses) -> bytes:  # noqa: ARG002 - as overridden
        return (
            b'<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
            b'<metalink xmlns="http://www.metalinker.org/">\n'
            b"    <files>\n"
        )

    def part(self, entries: Sequence[Entry]) -> bytes:
        return "".join(_file_3(entry) for entry in entries).encode()

    def foot(self) -> Iterator[bytes]:
        yield b"    </files>\n</metalink>\n"


def _file_3(entry: Entry) -> str:
    # The format's default for the type is the scheme of the URL, but aria2 requires the attribute.
    # One connection for each file: each reads the file from its first byte, so splitting makes it slower.
    scheme = urlsplit(entry.url).scheme
    lines = [
        f"        <file name={quoteattr(_legal(entry.name))}>",
        f"            <identity>{_text(name_of(entry.file))}</identity>",
        *_optional("mimetype", entry.file.mime_type),
        '            <resources maxconnections="1">',
        f"                <url type={quoteattr(scheme)}>{_text(entry.url)}</url>",
        "            </resources>",
        *_optional("size", entry.file.size),
        *_verification(entry.file),
        "        </file>",
    ]
    return "\n".join(lines) + "\n"


def _optional(tag: str, value: object | None) -> list[str]:
    return [] if value is None else [f"            <{tag}>{_text(str(value))}</{tag}>"]


def _verification(file: FileToDownload) -> list[str]:
    """Return the checksum if a tool can check it; REGARDS itself lists none (decisions.md, rule 3)."""
    known = well_formed_checksum(file)
    if known is None or known[0] not in _IN_VERSION_3:
        return []
    algorithm, checksum = known
    return [
        "            <verification>",
        f'                <hash type="{algorithm}">{checksum}</hash>',
        "            </verification>",
    ]


class Metalink4(ListFormat):
    """Writes version 4. The identity of a file is its product."""

    def __init__(self, at: datetime, *, only_available: bool, layout: Layout) -> None:
        """``at``: now."""
        super().__init__(only_available=only_available, layout=layout)
        self._at = at

    def head(self, order: OrderToDownload, addresses: Addresses) -> bytes:
        expires = wire_instant(order.expires_at) if order.expires_at else "never"
        return (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            f"<!-- The addresses are valid until the order expires: {expires}. -->\n"
            '<metalink xmlns="urn:ietf:params:xml:ns:metalink">\n'
            f"  <generator>rs_order/{__version__}</generator>\n"
            f'  <origin dynamic="true">{_text(addresses.metalink_4())}</origin>\n'
            f"  <published>{wire_instant(self._at)}</published>\n"
        ).encode()

    def part(self, entries: Sequence[Entry]) -> bytes:
        return "".join(_file_4(entry) for entry in entries).encode()

    def foot(self) -> Iterator[bytes]:
        yield b"</metalink>\n"


def _file_4(entry: Entry) -> str:
    file = entry.file
    lines = [
        f"  <file name={quoteattr(_legal(entry.name))}>",
        f"    <identity>{_text(product_of(file))}</identity>",
        *([] if file.size is None else [f"    <size>{file.size}</size>"]),
        *(
            f'    <hash type="{IANA_NAMES[algorithm]}">{digest}</hash>'
            for algorithm, digest in known_digests(file).items()
        ),
        f'    <url priority="1">{_text(entry.url)}</url>',
        "  </file>",
    ]
    return "\n".join(lines) + "\n"


def _text(text: str) -> str:
    return escape(_legal(text))


def _legal(text: str) -> str:
    return _ILLEGAL.sub("_", text)
