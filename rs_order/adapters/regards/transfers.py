"""What all downloads of bytes have in common."""

from collections.abc import AsyncIterator
from typing import Final

import httpx

CHUNK: Final = 64 * 1024
"""Bytes in one piece of a file, at most."""

DOWNLOAD_HEADERS: Final = {
    "Accept": "application/octet-stream",
    # The bytes as they are stored: their checksum is that of the file, not of an encoding of it.
    "Accept-Encoding": "identity",
}


async def chunks_of(response: httpx.Response) -> AsyncIterator[bytes]:
    """The body as it comes, undecoded."""
    async for piece in response.aiter_raw():
        if len(piece) <= CHUNK:
            yield piece
            continue
        for start in range(0, len(piece), CHUNK):
            yield piece[start : start + CHUNK]


def announced_size(response: httpx.Response) -> int | None:
    """``Content-Length`` in bytes, None when the server didn't say."""
    length = response.headers.get("Content-Length", "")
    return int(length) if length.isdecimal() else None
