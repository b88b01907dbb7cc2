"""A file on its way from its source, a little ahead of whoever reads it."""

import asyncio
from contextlib import AbstractAsyncContextManager
from typing import Final

from rs_order.ports.downloads import FileToDownload, OpenFile

CHUNKS_AHEAD: Final = 8
"""Chunks of at most 64 KiB that wait for the reader; a full queue holds the source back."""


class Transfer:
    """Fetches one file in a task of its own, which opens the source and closes it."""

    def __init__(self, file: FileToDownload, source: AbstractAsyncContextManager[OpenFile]) -> None:
        """Start fetching at once; must be stopped, whatever happens."""
        self.file = file
        self._source = source
        self._chunks: asyncio.Queue[bytes | Exception | None] = asyncio.Queue(CHUNKS_AHEAD)
        self._task = asyncio.create_task(self._fetch())

    async def next_chunk(self) -> bytes | None:
        """The next bytes, None at the end of the file.

        Raises:
            FetchError: the source gave up, at the opening or later.
        """
        chunk = await self._chunks.get()
        if isinstance(chunk, Exception):
            raise chunk
        return chunk

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _fetch(self) -> None:
        try:
            async with self._source as source:
                async for chunk in source.chunks:
                    await self._chunks.put(chunk)
        except Exception as error:  # noqa: BLE001 - raised where the file is read
            await self._chunks.put(error)
        else:
            await self._chunks.put(None)
