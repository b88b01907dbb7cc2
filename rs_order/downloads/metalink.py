"""Writes the metalink of an order: a list of its files for download tools (rest.md 10.4, domain.md 11.4)."""

import re
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit
from xml.sax.saxutils import escape, quoteattr

from rs_order.core.links import DownloadLinks, Links
from rs_order.domain.ids import DataFileId, OrderId, Tenant
from rs_order.domain.states import OrderStatus
from rs_order.downloads.checksums import algorithm_of
from rs_order.downloads.entry_names import FreeNames, name_of
from rs_order.ports import Downloads, FileToDownload, OrderToDownload, OrderTokens, TokenHolder

PAGE: Final = 500
"""Files in one piece of the document, read from the store at once: about 400 KiB."""

_HEX_DIGITS: Final = {"md5": 32, "sha1": 40, "sha256": 64, "sha384": 96, "sha512": 128}
"""The algorithms that Metalink 3 names, and the lengths of their checksums."""

_HEAD: Final = (
    b'<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
    b'<metalink xmlns="http://www.metalinker.org/">\n'
    b"    <files>\n"
)
_FOOT: Final = b"    </files>\n</metalink>\n"
_ILLEGAL: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that no XML document may contain, escaped or not."""

_WITHOUT_METALINK: Final = frozenset(
    {OrderStatus.DELETED, OrderStatus.EXPIRED, OrderStatus.PENDING, OrderStatus.FAILED}
)


@dataclass(frozen=True, slots=True)
class _Addresses:
    """The links to the files of one order."""

    tenant: Tenant
    order_token: str
    links: DownloadLinks

    def of(self, file: FileToDownload) -> str:
        return self.links.public_file(file.id, self.order_token, self.tenant)


class Metalinks:
    """Writes metalinks, whose links open the files of their order until it expires."""

    def __init__(self, downloads: Downloads, tokens: OrderTokens, links: Links) -> None:
        self._downloads = downloads
        self._tokens = tokens
        self._links = links

    async def of(
        self, tenant: Tenant, order: OrderToDownload
    ) -> AsyncGenerator[bytes, None] | None:
        """Return the document of an order piece by piece, or None if it has nothing to list (D6).

        It lists files in any state, by ascending id. Tools save files under the names given here, so the
        names are as portable and unique as in a zip. The identity is the name in the catalog. The links are
        in the owner's name for every caller (W24).

        Raises:
            OrderTokensUnset: the key of order tokens is not set.
            RemoteUnavailable: the address of the project is neither stored nor available now.
        """
        if order.status in _WITHOUT_METALINK or order.expires_at is None or not order.has_files:
            return None
        holder = TokenHolder(order.id, order.owner, order.role, order.expires_at)
        token = self._tokens.issue(tenant, holder)
        addresses = _Addresses(tenant, token, await self._links.current(tenant))
        return self._document(order.id, addresses)

    async def _document(
        self, order_id: OrderId, addresses: _Addresses
    ) -> AsyncGenerator[bytes, None]:
        names = FreeNames()
        after = DataFileId(0)
        yield _HEAD
        while files := await self._downloads.all_files(
            addresses.tenant, order_id, after=after, limit=PAGE
        ):
            yield _page(files, names, addresses)
            after = files[-1].id
        yield _FOOT


def _page(files: Sequence[FileToDownload], names: FreeNames, addresses: _Addresses) -> bytes:
    return "".join(_file(file, names.choose(file), addresses) for file in files).encode()


def _file(file: FileToDownload, name: str, addresses: _Addresses) -> str:
    url = addresses.of(file)
    # The format's default for the type is the scheme of the URL, but aria2 requires the attribute.
    # One connection for each file: the service serves no ranges, so a tool that splits a file would fail.
    scheme = urlsplit(url).scheme
    lines = [
        f"        <file name={quoteattr(_legal(name))}>",
        f"            <identity>{_text(name_of(file))}</identity>",
        *_optional("mimetype", file.mime_type),
        '            <resources maxconnections="1">',
        f"                <url type={quoteattr(scheme)}>{_text(url)}</url>",
        "            </resources>",
        *_optional("size", file.size),
        *_verification(file),
        "        </file>",
    ]
    return "\n".join(lines) + "\n"


def _optional(tag: str, value: object | None) -> list[str]:
    return [] if value is None else [f"            <{tag}>{_text(str(value))}</{tag}>"]


def _verification(file: FileToDownload) -> list[str]:
    """Return the checksum if a tool can check it; REGARDS itself lists none (decisions.md, rule 3)."""
    algorithm = algorithm_of(file)
    if file.checksum is None or algorithm not in _HEX_DIGITS:
        return []
    if not re.fullmatch(f"[0-9a-fA-F]{{{_HEX_DIGITS[algorithm]}}}", file.checksum):
        return []
    return [
        "            <verification>",
        f'                <hash type="{algorithm}">{file.checksum.lower()}</hash>',
        "            </verification>",
    ]


def _text(text: str) -> str:
    return escape(_legal(text))


def _legal(text: str) -> str:
    return _ILLEGAL.sub("_", text)
