"""What all downloads of bytes have in common."""

from collections.abc import AsyncIterator, Mapping
from typing import Final

import httpx

CHUNK: Final = 64 * 1024
"""Bytes in one piece of a file, at most."""

DOWNLOAD_HEADERS: Final = {
    "Accept": "application/octet-stream",
    # The bytes as they are stored: their checksum is that of the file, not of an encoding of it.
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
"""Headers that speak of the file, or of when to come again. The others speak of the connection, or of
caching, cookies and origins of another server, and an encoding would spoil the bytes."""


def headers_of(response: httpx.Response) -> Mapping[str, str]:
    """What may be passed on of a source's headers: plain text, of the file alone."""
    said = {name: response.headers.get(name, "") for name in _OF_THE_FILE}
    return {
        name: value
        for name, value in said.items()
        if value and value.isascii() and value.isprintable()
    }


async def chunks_of(response: httpx.Response) -> AsyncIterator[bytes]:
    """The body as it comes, undecoded."""
    async for piece in response.aiter_raw():
        if len(piece) <= CHUNK:
            yield piece
            continue
        for start in range(0, len(piece), CHUNK):
            yield piece[start : start + CHUNK]


async def bounded_body(response: httpx.Response, most: int) -> bytes:
    """The beginning of a body; nothing of one that breaks off: half a sentence may mislead."""
    body = bytearray()
    try:
        async for chunk in chunks_of(response):
            body += chunk
            if len(body) >= most:
                break
    except httpx.HTTPError:
        # The status alone says enough.
        return b""
    return bytes(body[:most])


def announced_size(response: httpx.Response) -> int | None:
    """``Content-Length`` in bytes, None when the server didn't say."""
    length = response.headers.get("Content-Length", "")
    return int(length) if length.isdecimal() else None
