"""The download of a file, in chunks, with the faults of its checksum."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from urllib.parse import quote

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from rs_order.sandbox.faults import Faults, concerns
from rs_order.sandbox.http_server import hang_up
from rs_order.sandbox.products import DataFile

_INVERTED = bytes(255 - byte for byte in range(256))
"""A translation table that changes every byte."""
_LONGEST_PAUSE_SECONDS = 0.1


class Download(Response):
    def __init__(
        self,
        file: DataFile,
        faults: Faults,
        *,
        on_end: Callable[[], None] = lambda: None,
    ) -> None:
        """Create a response that streams a file.

        Args:
            file: the file to send.
            faults: checked now for the headers, and during the transfer for the content.
            on_end: called once after the download, whether it is complete or not.
        """
        super().__init__(media_type=file.mime_type)
        self._file = file
        self._faults = faults
        self._on_end = on_end
        self._sent_size = file.size // 2 if self._has(faults.truncated) else file.size
        del self.headers["content-length"]
        if not self._has(faults.without_length):
            self.headers["content-length"] = str(self._sent_size)
        self.headers["content-disposition"] = _attachment(file.filename)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._stream(scope, receive, send)
        finally:
            self._on_end()

    async def _stream(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        cut_at = self._file.size // 2 if self._has(self._faults.cut) else None
        async for chunk in self._chunks(cut_at if cut_at is not None else self._sent_size):
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        if cut_at is not None:
            await hang_up(scope, receive)
        else:
            await send({"type": "http.response.body", "body": b""})

    async def _chunks(self, size: int) -> AsyncIterator[bytes]:
        """Yield the first ``size`` bytes, changed and slowed down by the faults."""
        left = size
        for chunk in self._file.content.chunks():
            if left == 0:
                return
            taken = chunk[:left]
            left -= len(taken)
            await self._slow_down(len(taken))
            yield taken.translate(_INVERTED) if self._has(self._faults.wrong_bytes) else taken

    async def _slow_down(self, size: int) -> None:
        """Wait as long as so many bytes take. A change of the speed applies at once."""
        left = float(size)
        while left > 0 and (speed := self._faults.slow_bytes_per_second):
            pause = min(left / speed, _LONGEST_PAUSE_SECONDS)
            await asyncio.sleep(pause)
            left -= pause * speed

    def _has(self, checksums: set[str]) -> bool:
        return concerns(checksums, self._file.checksum)


def _attachment(filename: str) -> str:
    """Return the Content-Disposition of a download (RFC 6266), with the plain name if it is ASCII."""
    if filename.isascii() and '"' not in filename and "\\" not in filename:
        return f'attachment; filename="{filename}"'
    return f"attachment; filename*=UTF-8''{quote(filename)}"
