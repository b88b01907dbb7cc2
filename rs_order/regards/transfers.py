"""Reads the headers and bodies of HTTP downloads."""

from collections.abc import AsyncIterator, Mapping
from typing import Final

import httpx

CHUNK: Final = 64 * 1024
"""Bytes in one piece of a file, at most."""

DOWNLOAD_HEADERS: Final = {
    "Accept": "application/octet-stream",
    # The bytes as stored: the checksum is that of the file, not of an encoding of it.
    "Accept-Encoding": "identity",
}

_OF_THE_FILE: Final = (
    "Content-Type",
    "Content-Length",
    "Content-Language",
    "ETag",
    "Last-Modified",
    "Retry-After",
)
"""Headers that describe the file, or when to retry. All others are left out: they concern the connection,
caches, cookies or origins of the other server, or an encoding that the delivered bytes don't have."""


def headers_of(response: httpx.Response) -> Mapping[str, str]:
    """Return the headers of a source that may be passed on: printable ASCII that describes the file."""
    found = {name: response.headers.get(name, "") for name in _OF_THE_FILE}
    return {
        name: value
        for name, value in found.items()
        if value and value.isascii() and value.isprintable()
    }


async def chunks_of(response: httpx.Response) -> AsyncIterator[bytes]:
    """Yield the body undecoded, in chunks of at most 64 KiB."""
    async for piece in response.aiter_raw():
        if len(piece) <= CHUNK:
            yield piece
            continue
        for start in range(0, len(piece), CHUNK):
            yield piece[start : start + CHUNK]


async def bounded_body(response: httpx.Response, most: int) -> bytes:
    """Return at most ``most`` bytes of a body; none if the transfer breaks, as half a text may mislead."""
    body = bytearray()
    try:
        async for chunk in chunks_of(response):
            body += chunk
            if len(body) >= most:
                break
    except httpx.HTTPError:
        # The caller has the status, which is enough.
        return b""
    return bytes(body[:most])


def announced_size(response: httpx.Response) -> int | None:
    """Return ``Content-Length`` in bytes, or None if the server sent none."""
    length = response.headers.get("Content-Length", "")
    return int(length) if length.isdecimal() else None
