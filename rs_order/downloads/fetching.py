"""Fetches files from their sources, and opens the next one while the one before it is read."""

import asyncio
from collections.abc import Coroutine
from contextlib import AbstractAsyncContextManager
from typing import Any, Final

from rs_order.domain.ids import DataFileId, Tenant
from rs_order.ports import FetchError, FileSources, FileToDownload, OpenFile


async def finish_anyway(work: Coroutine[Any, Any, None]) -> None:
    """Finish what was begun although nobody waits for it any more."""
    task = asyncio.create_task(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await task
        raise


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


class Fetching:
    """The transfers under way: that of the file being read, and at most one ahead."""

    def __init__(self, sources: FileSources, tenant: Tenant, email: str) -> None:
        self._sources = sources
        self._tenant = tenant
        self._email = email
        self._alone = False
        self._transfers: dict[DataFileId, Transfer] = {}

    def start(self, file: FileToDownload) -> None:
        """Open a file, unless it was opened ahead."""
        self._transfer(file)

    def start_ahead(self, file: FileToDownload) -> None:
        """Open a file before it is read, unless storage has shown that it minds."""
        if not self._alone:
            self.start(file)

    async def first_chunk(self, file: FileToDownload) -> bytes | None:
        """Wait until a file begins to come; None for an empty one.

        Storage may limit how many downloads a user has at once (remote-services.md 3.6). A 429 to
        one of two therefore says nothing yet: it is asked again alone, and so are all that follow.

        Raises:
            FetchError: the file can't be had.
        """
        try:
            return await self.next_chunk(file)
        except FetchError as error:
            if self._alone or not error.quota_exceeded:
                raise
        self._alone = True
        await self.stop_all()
        return await self.next_chunk(file)

    async def next_chunk(self, file: FileToDownload) -> bytes | None:
        """The next bytes of a file, None at its end.

        Raises:
            FetchError: the source gave up; nothing more is read of this file.
        """
        try:
            return await self._transfer(file).next_chunk()
        except FetchError:
            await self.stop(file)
            raise

    async def stop(self, file: FileToDownload) -> None:
        """Let go of a file's source; nothing happens when it has been done before."""
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
