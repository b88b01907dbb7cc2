"""Limits how many parts of one archive, and of one large file in it, are sent at once (faces.md R-31).

A part that begins inside a file reads this from its first byte, and counts against the user's downloads at
storage. So more parts at once don't make a download faster. Others wait for a place. Each process counts for
itself.
"""

import asyncio
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from prometheus_client import Counter

from rs_order.domain.archives import ArchiveId
from rs_order.downloads.readings import Reader
from rs_order.ports import FileToDownload

_waits: Final = Counter(
    "rs_order_download_range_waits", "Parts of archives that waited for others to end", ["place"]
)


class RangeBusy(Exception):
    """So many parts of an archive, or of a file in it, are being sent that another one can't be begun."""

    code = "range-busy"


@dataclass(frozen=True, slots=True)
class PlaceLimits:
    of_archive: int = 4
    """Parts of one archive that a user may receive at once."""
    large: int = 256 * 2**20
    """Bytes of a file of which only one part is sent at once."""
    patience: float = 40.0
    """Seconds for which another part waits. The gateway cuts after 60."""


@dataclass
class _Place:
    free: asyncio.Semaphore
    users: int = field(default=0)
    """Those who hold it or wait for it."""


class RangePlaces:
    """The places of the parts that are sent at the same time."""

    def __init__(self, limits: PlaceLimits | None = None) -> None:
        self._limits = limits or PlaceLimits()
        self._places: dict[Hashable, _Place] = {}

    @asynccontextmanager
    async def in_archive(self, reader: Reader, archive: ArchiveId) -> AsyncIterator[None]:
        """Hold one of the places in an archive until the end of the block.

        Raises:
            RangeBusy: none became free in time.
        """
        async with self._place("archive", (reader, archive), self._limits.of_archive):
            yield

    @asynccontextmanager
    async def in_file(self, reader: Reader, file: FileToDownload) -> AsyncIterator[None]:
        """Hold the place in a large file until the end of the block. In other files there is room for all.

        Raises:
            RangeBusy: it didn't become free in time.
        """
        if (file.size or 0) <= self._limits.large:
            yield
            return
        async with self._place("file", (reader, file.id), 1):
            yield

    @asynccontextmanager
    async def _place(self, kind: str, key: Hashable, most: int) -> AsyncIterator[None]:
        key = (kind, key)
        place = self._places.setdefault(key, _Place(asyncio.Semaphore(most)))
        place.users += 1
        try:
            await self._acquire(kind, place)
            try:
                yield
            finally:
                place.free.release()
        finally:
            place.users -= 1
            if not place.users:
                del self._places[key]

    async def _acquire(self, kind: str, place: _Place) -> None:
        if place.free.locked():
            _waits.labels(kind).inc()
        try:
            async with asyncio.timeout(self._limits.patience):
                await place.free.acquire()
        except TimeoutError:
            raise RangeBusy(
                f"Other parts of this {kind} are being sent to you. Ask again later."
            ) from None
