"""Reads one file to its end, in a task that outlives the request that began it."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Final

from prometheus_client import Counter

from rs_order.downloads.fetching import ContentCheck
from rs_order.downloads.gathering import GatheredPieces
from rs_order.ports import FetchError, FileToDownload, OpenFile

_dropped: Final = Counter(
    "rs_order_download_dropped_bytes", "Bytes read of files before the part that is sent"
)


class FileReading:
    """A file that is being read. While nobody takes its pieces, its source waits."""

    def __init__(
        self,
        file: FileToDownload,
        source: AbstractAsyncContextManager[OpenFile],
        *,
        hashed: bool,
        kept: int,
        check: Callable[[int], ContentCheck],
    ) -> None:
        """Start to read. The caller must call ``stop``.

        Args:
            file: the file.
            source: opened and closed by the task.
            hashed: whether the checksum is verified. It can't be if the file isn't read to its end.
            kept: bytes before the place that are kept; what was taken last is kept anyway.
            check: returns the check of the bytes from the one on with which the source begins.
        """
        self.file = file
        self.hashed = hashed
        self.check = check(0)
        self.headers: Mapping[str, str] = {}
        """The headers of the source, once it is open."""
        self.is_open = False
        """True once the source was open."""
        self.failed = False
        """True once a request was told of a failure."""
        self.refused = False
        """True if storage refused to deliver it now, because of the user's quota."""
        self.position = 0
        """The place: the first byte that nobody took yet."""
        self._check_from = check
        self._most_kept = kept
        self._kept: deque[Sequence[bytes]] = deque()
        self._kept_bytes = 0
        self._opening = asyncio.Event()
        self._arrived = GatheredPieces()
        self._task = asyncio.create_task(self._read(source))

    @property
    def first(self) -> int:
        """The first byte that it still has."""
        return self.position - self._kept_bytes

    @property
    def at_end(self) -> bool:
        """True once all of the file was taken, and so verified."""
        return self._arrived.at_end

    async def opened(self) -> None:
        """Wait until the source is open.

        Raises:
            FetchError: it can't be opened.
        """
        await self._opening.wait()
        if not self.is_open:
            await self._next()

    async def skip_to(self, at: int) -> None:
        """Take all pieces up to the one that holds the byte ``at``, which is kept.

        It may be cancelled, and called again.

        Raises:
            FetchError: as for ``pieces``.
        """
        while self.position <= at:
            before = self.position
            if not await self._next():
                return
            _dropped.inc(min(self.position, at) - before)

    async def pieces(self, at: int) -> AsyncGenerator[Sequence[bytes], None]:
        """Yield the bytes from ``at`` on, some pieces at a time; the last once size and checksum are right.

        Raises:
            FetchError: the transfer broke, or the content isn't that of the catalog.
        """
        await self.skip_to(at)
        position = self.first
        for pieces in tuple(self._kept):
            wanted = []
            for piece in pieces:
                if position + len(piece) > at:
                    wanted.append(piece[max(0, at - position) :])
                position += len(piece)
            if wanted:
                yield wanted
        while following := await self._next():
            yield following

    async def stop(self) -> None:
        """Close the source."""
        if not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _next(self) -> Sequence[bytes]:
        """Return the next pieces, or none behind the last. If it is cancelled, nothing is lost."""
        try:
            pieces = await self._arrived.take()
        except Exception:
            self.failed = True
            raise
        if pieces:
            self._keep(pieces)
        return pieces

    def _keep(self, pieces: Sequence[bytes]) -> None:
        length = _length(pieces)
        self.position += length
        self._kept.append(pieces)
        self._kept_bytes += length
        while len(self._kept) > 1:
            oldest = _length(self._kept[0])
            if self._kept_bytes - oldest < self._most_kept:
                break
            self._kept.popleft()
            self._kept_bytes -= oldest

    async def _read(self, source: AbstractAsyncContextManager[OpenFile]) -> None:
        try:
            async with source as opened:
                self.check, self.position = self._check_from(opened.start), opened.start
                self.headers, self.is_open = opened.headers, True
                self._opening.set()
                await self._put_all(opened)
        except Exception as error:  # noqa: BLE001 - raised where the file is taken
            self.refused = isinstance(error, FetchError) and error.quota_exceeded
            self._arrived.end(error=error)
            self._opening.set()

    async def _put_all(self, opened: OpenFile) -> None:
        """Put each piece once the next has arrived, and the last one once the content is verified."""
        pending: bytes | None = None
        async for chunk in opened.chunks:
            if not await self.check.accept(chunk):
                break
            if pending:
                await self._arrived.put(pending)
            pending = chunk
        problem = await self.check.problem()
        if problem is not None:
            raise problem
        self._arrived.end(pending)


def _length(pieces: Sequence[bytes]) -> int:
    return sum(map(len, pieces))
