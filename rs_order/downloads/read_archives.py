"""Reads archives for their directories, if nobody downloads their files (faces.md R-19)."""

import asyncio
import time
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog

from rs_order.core.steps import Step, StepQueue
from rs_order.domain.archives import Archive, ArchiveId
from rs_order.domain.ids import Tenant
from rs_order.domain.parts import Part
from rs_order.downloads.archive_failures import ArchiveFailures
from rs_order.downloads.archive_reader import (
    ArchiveGone,
    ArchiveReader,
    ArchiveRequest,
    EntryFailed,
)
from rs_order.downloads.range_places import RangeBusy, RangePlaces
from rs_order.downloads.readings import ParkingLimits, Readings, SkippingAhead
from rs_order.ports import Clock, FileSources
from rs_order.store.archives import Archives
from rs_order.store.unit_of_work import Store

LOST_AFTER: Final = timedelta(minutes=10)
"""A chain of steps that didn't go on for so long is begun again by the next request."""
_NO_PARKING: Final = ParkingLimits(of_user=0, of_process=0)
"""No client comes back to a reader of a step."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class ReadArchiveStep(Step, name="read-archive", queue=StepQueue.REMOTE):
    """Read the next files of an archive whose CRC-32 isn't known."""

    archive_id: ArchiveId
    slice: int
    """The number of the slice. A step with another one than the archive has is outdated."""
    page: int
    """The page of the archive that may have such files; all before it are known."""


@dataclass(frozen=True, slots=True)
class ReadingLimits:
    """How much a step reads, and how many read at once."""

    seconds: float = 20.0
    """The time of a slice. It ends with the file that is read then."""
    longest: float = 25 * 60.0
    """Seconds after which a file is given up. The broker gives a step to another process after 30 minutes."""
    at_once: int = 2
    """Slices that a process reads at the same time, so that other steps find a place."""
    pause: timedelta = timedelta(seconds=20)
    """The pause before a slice without a place is tried again."""
    kept_every: float = 30.0
    """Seconds after which hashes are kept, and the slice is found to be at work."""


class ReadArchives:
    """Reads the files of archives in steps, in the names of their owners."""

    def __init__(  # noqa: PLR0917 - the parts that it is made of
        self,
        archives: Archives,
        failures: ArchiveFailures,
        store: Store,
        sources: FileSources,
        clock: Clock,
        stopping: asyncio.Event,
        limits: ReadingLimits | None = None,
    ) -> None:
        """``stopping``: once it is set, a slice ends at once, and another process goes on."""
        self._archives = archives
        self._failures = failures
        self._store = store
        self._clock = clock
        self._stopping = stopping
        self._limits = limits or ReadingLimits()
        self._readings = Readings(sources, _NO_PARKING)
        # Of its own: clients never wait for a step.
        self._places = RangePlaces()
        self._at_work = 0

    async def begin(self, tenant: Tenant, archive: Archive) -> None:
        """Let steps read an archive, unless they do already, or somebody downloads it.

        ``archive``: as it was when its directory was asked for.
        """
        now = self._clock.now()
        async with self._store.unit_of_work(tenant) as uow:
            number = await uow.archive_slices.begin(archive, now, now - LOST_AFTER)
            if number is not None:
                await uow.messages.send([ReadArchiveStep(archive.id, number, 0).to(tenant)])

    async def handle(self, tenant: Tenant, step: ReadArchiveStep) -> None:
        """Read a slice of an archive, and send the step of the next one.

        No step follows if all is known, if the archive or its order has ended, or if a file can't be read.
        """
        archive = await self._archives.find(tenant, step.archive_id)
        if archive is None or not await self._is_current(tenant, step):
            return
        if self._at_work >= self._limits.at_once:
            await self._follow(tenant, step, step.page, self._clock.now() + self._limits.pause)
            return
        self._at_work += 1
        try:
            rest = await self._read(tenant, archive, step)
        finally:
            self._at_work -= 1
        if rest is None:
            await self._end(tenant, step)
        else:
            await self._follow(tenant, step, rest)

    async def _read(self, tenant: Tenant, archive: Archive, step: ReadArchiveStep) -> int | None:
        """Read files for a while. Return the page to go on with; None if there is nothing to go on with."""
        request = ArchiveRequest(tenant, archive, archive.owner, Part(0, archive.length))
        reader = ArchiveReader(self._archives, self._readings, self._places, self._clock, request)
        try:
            async with asyncio.timeout(self._limits.longest):
                return await self._read_slice(tenant, step, reader)
        except EntryFailed as failed:
            _log_unread(tenant, archive, f"{failed.file.name}: {failed.error.reason}")
            await self._failures.settle(tenant, archive, failed)
        except (ArchiveGone, RangeBusy, SkippingAhead) as error:
            _log_unread(tenant, archive, error.code)
        except TimeoutError:
            _log_unread(tenant, archive, f"a file takes more than {self._limits.longest:g} s")
        return None

    async def _read_slice(
        self, tenant: Tenant, step: ReadArchiveStep, reader: ArchiveReader
    ) -> int | None:
        began = kept = time.monotonic()
        page = step.page
        async with aclosing(reader.prove_from(page)) as places:
            async for place in places:
                now = time.monotonic()
                page = page if place is None else place
                if self._stopping.is_set():
                    return page
                if place is not None and now - began >= self._limits.seconds:
                    return page
                if now - kept >= self._limits.kept_every:
                    kept = now
                    await reader.keep()
                    if not await self._is_current(tenant, step):
                        return None
        return None

    async def _is_current(self, tenant: Tenant, step: ReadArchiveStep) -> bool:
        """Note that the slice is at work. Return False if it is outdated."""
        async with self._store.unit_of_work(tenant) as uow:
            return await uow.archive_slices.keep(step.archive_id, step.slice, self._clock.now())

    async def _follow(
        self, tenant: Tenant, step: ReadArchiveStep, page: int, due_at: datetime | None = None
    ) -> None:
        async with self._store.unit_of_work(tenant) as uow:
            following = await uow.archive_slices.follow(
                step.archive_id, step.slice, self._clock.now()
            )
            if following is not None:
                message = ReadArchiveStep(step.archive_id, following, page).to(tenant, due_at)
                await uow.messages.send([message])

    async def _end(self, tenant: Tenant, step: ReadArchiveStep) -> None:
        async with self._store.unit_of_work(tenant) as uow:
            await uow.archive_slices.end(step.archive_id, step.slice)


def _log_unread(tenant: Tenant, archive: Archive, cause: str) -> None:
    log.info("archive-unread", tenant=tenant, archive=f"a{archive.id}", cause=cause)
