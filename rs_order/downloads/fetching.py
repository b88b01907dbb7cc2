"""Fetches files from their sources, and opens the next file while the previous one is read."""

import asyncio
from collections.abc import Coroutine
from contextlib import AbstractAsyncContextManager
from typing import Any, Final

from rs_order.domain.ids import DataFileId, Tenant
from rs_order.ports import FetchError, FileSources, FileToDownload, OpenFile

CHUNKS_AHEAD: Final = 8
"""Chunks of at most 64 KiB that wait for the reader; while the queue is full, the source waits."""


class Transfer:
    """Fetches one file in its own task, which opens and closes the source."""

    def __init__(self, file: FileToDownload, source: AbstractAsyncContextManager[OpenFile]) -> None:
        """Start to fetch at once. The caller must call ``stop``."""
        self.file = file
        self.size = file.size
        """Bytes; that of the source, once it is open, if the catalog has none. None: unknown."""
        self._source = source
        self._chunks: asyncio.Queue[bytes | Exception | None] = asyncio.Queue(CHUNKS_AHEAD)
        self._task = asyncio.create_task(self._fetch())

    async def next_chunk(self) -> bytes | None:
        """Return the next bytes, or None at the end of the file.

        Raises:
            FetchError: the source failed, on opening or later.
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
                if self.size is None:
                    self.size = source.announced_size
                async for chunk in source.chunks:
                    await self._chunks.put(chunk)
        except Exception as error:  # noqa: BLE001 - raised where the file is read
            await self._chunks.put(error)
        else:
            await self._chunks.put(None)


class Fetching:
    """The running transfers: that of the file being read, and at most one ahead."""

    def __init__(self, sources: FileSources, tenant: Tenant, email: str) -> None:
        self._sources = sources
        self._tenant = tenant
        self._email = email
        self._one_at_a_time = False
        self._transfers: dict[DataFileId, Transfer] = {}

    def start(self, file: FileToDownload) -> None:
        """Open a file, unless it is open."""
        self._transfer(file)

    def start_ahead(self, file: FileToDownload) -> None:
        """Open a file before it is read, unless storage has rejected two downloads at once."""
        if not self._one_at_a_time:
            self.start(file)

    async def first_chunk(self, file: FileToDownload) -> bytes | None:
        """Return the first bytes of a file, or None if it is empty.

        Storage may limit the downloads that a user has at once (remote-services.md 3.6). If it answers 429
        while two are open, the file is requested again alone, and so are all that follow.

        Raises:
            FetchError: the source doesn't deliver the file.
        """
        try:
            return await self.next_chunk(file)
        except FetchError as error:
            if self._one_at_a_time or not error.quota_exceeded:
                raise
        self._one_at_a_time = True
        await self.stop_all()
        return await self.next_chunk(file)

    async def next_chunk(self, file: FileToDownload) -> bytes | None:
        """Return the next bytes of a file, or None at its end.

        Raises:
            FetchError: the source failed; the transfer is stopped.
        """
        try:
            return await self._transfer(file).next_chunk()
        except FetchError:
            await self.stop(file)
            raise

    def size_of(self, file: FileToDownload) -> int | None:
        """Return the size of an open file: that of the catalog, or else of its source; None if unknown."""
        return self._transfer(file).size

    async def stop(self, file: FileToDownload) -> None:
        """Close the source of a file; do nothing if it isn't open."""
        transfer = self._transfers.pop(file.id, None)
        if transfer is not None:
            await transfer.stop()

    async def stop_all(self) -> None:
        for transfer in list(self._transfers.values()):
            await self.stop(transfer.file)

    def _transfer(self, file: FileToDownload) -> Transfer:
        if file.id not in self._transfers:
            source = self._sources.open(self._tenant, self._email, file)
            self._transfers[file.id] = Transfer(file, source)
        return self._transfers[file.id]


async def finish_anyway(work: Coroutine[Any, Any, None]) -> None:
    """Wait until the work has ended, even if the caller is cancelled; then raise the cancellation."""
    task = asyncio.create_task(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await task
        raise
