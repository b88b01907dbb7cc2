"""Keeps the places of readers whose clients were cut off (faces.md R-33).

Storage promises whole files only, so a part of one costs a read of all that is before it. Nothing is sent
meanwhile, and a gateway cuts a response that is silent for 60 s. Two things keep large files resumable: a
reader whose client was cut off stays at its place for a while, and a reader that takes too long to get to a
place goes there without a client. Neither is needed where storage takes ranges, and the CRC-32 of what is
before the part is known from a checkpoint (R-21).
"""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

import structlog
from prometheus_client import Gauge

from rs_order.domain.archives import FIRST_BYTE, Checkpoint
from rs_order.domain.ids import Tenant
from rs_order.downloads.checksums import Crc32
from rs_order.downloads.fetching import ContentCheck, finish_anyway
from rs_order.downloads.file_reading import FileReading
from rs_order.ports import FetchError, FileSources, FileToDownload, PartsDiffer, WrongContent

SHORTEST_RETRY: Final = 5.0
LONGEST_RETRY: Final = 300.0
"""Seconds between which a client is asked to wait (faces.md C-5)."""
_RETRY_WITHOUT_PLACE: Final = 60.0
"""The pause if other readers of the user have to get to their places first."""
_LEAST_MEASURED: Final = 0.5
"""Seconds of skipping that tell a throughput; shorter ones say little."""

_parked_readers: Final = Gauge(
    "rs_order_parked_readers", "Readers that keep their places without clients"
)
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ParkingLimits:
    """How many readers keep their places, how long, and from where on."""

    seconds: float = 300.0
    """How long a reader stays at its place."""
    of_user: int = 2
    """Readers of one user. Each holds one of their downloads at storage."""
    of_process: int = 50
    least: int = 64 * 2**20
    """Bytes that a reader must have read. Fewer are read again."""
    kept: int = 4 * 2**20
    """Bytes before its place that a reader of a large file keeps. They were sent, but may not have reached
    the client, because they were in the buffers of the network when the connection broke."""
    patience: float = 40.0
    """Seconds that a client waits for its first byte. The gateway cuts after 60."""


@dataclass(frozen=True, slots=True)
class CheckpointLimits:
    """Of which files checkpoints are kept, and how many."""

    least: int = 2**30
    """Bytes of a file. Smaller ones are read from their first byte, and verified."""
    every: int = 256 * 2**20
    """Bytes from one checkpoint to the next, which are read again at most."""


@dataclass(frozen=True, slots=True)
class Reader:
    """A user in whose name files are read, and whose quota at storage they are charged to."""

    tenant: Tenant
    email: str


class SkippingAhead(Exception):
    """A client would wait too long for its first byte; meanwhile a reader goes there without it."""

    code = "skipping-ahead"

    def __init__(self, file: FileToDownload, seconds: float) -> None:
        super().__init__(
            f"Storage is reading {file.name or file.url} up to where you go on. Ask again later."
        )
        self.seconds = min(max(seconds, SHORTEST_RETRY), LONGEST_RETRY)
        """The pause before the client should ask again."""


@dataclass(eq=False, slots=True)
class _Parked:
    """A reading that is kept, at its place or on the way to it."""

    reader: Reader
    reading: FileReading
    target: int
    """The byte that it goes to; -1 if it stays."""
    task: asyncio.Task[None] = field(init=False)

    @property
    def has_arrived(self) -> bool:
        return self.reading.position > self.target


class Readings:
    """Opens files at any place, for all downloads of a process."""

    def __init__(
        self,
        sources: FileSources,
        limits: ParkingLimits | None = None,
        checkpoints: CheckpointLimits | None = None,
    ) -> None:
        self._sources = sources
        self.limits = limits or ParkingLimits()
        self.checkpoints = checkpoints or CheckpointLimits()
        self._parked: list[_Parked] = []
        """The newest last."""
        self._bytes_per_second: float | None = None
        """The throughput of storage when last something was skipped."""
        self._closed = False

    @asynccontextmanager
    async def open(
        self,
        reader: Reader,
        file: FileToDownload,
        at: int = 0,
        *,
        hashed: bool = True,
        begun: Checkpoint = FIRST_BYTE,
        ahead: FileReading | None = None,
        cut_off: Callable[[], bool],
    ) -> AsyncIterator["OpenReading"]:
        """Open a file at a byte, with a reader that is there or before it, or else from the first byte.

        Args:
            reader: in whose name.
            file: the file.
            at: the first byte that is wanted.
            hashed: whether the checksum is verified.
            begun: a checkpoint at or before the byte. If the file is read from there, it isn't verified.
            ahead: the reading of the file, if it was begun before.
            cut_off: asked when the context is cancelled: whether the client still wants something.

        Raises:
            FetchError: the file can't be opened.
        """
        opened = OpenReading(self, reader, file, at, hashed=hashed, begun=begun)
        await opened.begin(ahead)
        interrupted = False
        try:
            yield opened
        except (asyncio.CancelledError, GeneratorExit):
            interrupted = True
            raise
        finally:
            await finish_anyway(opened.leave(park=interrupted and cut_off()))

    def start(
        self,
        reader: Reader,
        file: FileToDownload,
        *,
        hashed: bool = True,
        begun: Checkpoint = FIRST_BYTE,
    ) -> FileReading:
        """Begin to read a file without waiting for it. The caller must stop it, or give it to ``open``."""
        source = self._sources.open(reader.tenant, reader.email, file, start=begun.position)
        large = (file.size or 0) >= self.limits.least and file.checksum is not None
        every = self.checkpoints.every if self.has_checkpoints(file) else None

        def check(start: int) -> ContentCheck:
            crc32 = Crc32(every, begun if start else FIRST_BYTE) if every else None
            return ContentCheck(file, hashed=hashed, crc32=crc32)

        kept = self.limits.kept if large else 0
        return FileReading(file, source, hashed=hashed, kept=kept, check=check)

    def has_checkpoints(self, file: FileToDownload) -> bool:
        """Return whether checkpoints of a file are kept."""
        return (file.size or 0) > self.checkpoints.least

    async def aclose(self) -> None:
        """End all readers that are parked, and park no others."""
        self._closed = True
        while self._parked:
            await self._end(self._parked[0])

    def take(
        self, reader: Reader, file: FileToDownload, at: int, *, hashed: bool, begun: Checkpoint
    ) -> FileReading | None:
        """Return the parked reading nearest to a byte, which isn't parked then; None if none is near enough.

        One that began at a checkpoint is only for who has one, because it doesn't verify the file.
        """
        usable = [
            parked
            for parked in self._parked
            if (parked.reader, parked.reading.file.id) == (reader, file.id)
            and parked.reading.first <= at
            and (parked.reading.hashed or not hashed)
            and (parked.reading.check.is_whole or begun.position)
        ]
        if not usable:
            return None
        nearest = max(usable, key=lambda parked: parked.reading.position)
        if nearest.reading.position < begun.position and self._sources.takes_ranges(file):
            return None
        self._forget(nearest)
        nearest.task.cancel()
        return nearest.reading

    async def begin(
        self, reader: Reader, file: FileToDownload, *, hashed: bool, begun: Checkpoint
    ) -> FileReading:
        """Begin to read a file, from a checkpoint if its source takes ranges.

        Parked readings count against the limit that a user has at storage, so they make room.

        Raises:
            FetchError: it can't be opened.
        """
        try:
            return await self._opened(reader, file, hashed=hashed, begun=begun)
        except FetchError as error:
            theirs = [parked for parked in self._parked if parked.reader == reader]
            if not (error.quota_exceeded and theirs):
                raise
        for parked in theirs:
            if parked in self._parked:  # it may have left meanwhile
                await self._end(parked)
        return await self._opened(reader, file, hashed=hashed, begun=begun)

    async def reach(self, reading: FileReading, at: int) -> bool:
        """Bring a reading to a byte. Return False if that takes longer than a client can wait.

        Raises:
            FetchError: it failed.
        """
        if self.seconds_to(reading, at) > self.limits.patience:
            return False
        try:
            async with asyncio.timeout(self.limits.patience):
                await self._skip(reading, at)
        except TimeoutError:
            return False
        return True

    async def send_ahead(self, reader: Reader, reading: FileReading, at: int) -> float:
        """Let a reading go to a byte by itself. Return the seconds after which a client should ask again."""
        seconds = self.seconds_to(reading, at)
        return seconds if await self._park(reader, reading, at) else _RETRY_WITHOUT_PLACE

    async def park(self, reader: Reader, reading: FileReading) -> None:
        """Keep a reading at its place if that spares much, or stop it."""
        await self._park(reader, reading, target=-1)

    async def _park(self, reader: Reader, reading: FileReading, target: int) -> bool:
        """Keep a reading that goes to a byte. Return False if it isn't kept, but stopped.

        It takes the places of readings that wait, but not of those on their way: they would never arrive.
        """
        worth_it = reading.position <= target or reading.position >= self.limits.least
        kept = worth_it and not reading.failed and await self._make_room(reader)
        if not kept or self._closed:
            await reading.stop()
            return False
        parked = _Parked(reader, reading, target)
        self._parked.append(parked)
        _parked_readers.inc()
        parked.task = asyncio.create_task(self._keep(parked))
        return True

    async def _opened(
        self, reader: Reader, file: FileToDownload, *, hashed: bool, begun: Checkpoint
    ) -> FileReading:
        reading = self.start(reader, file, hashed=hashed, begun=begun)
        try:
            await reading.opened()
        except BaseException:
            await finish_anyway(reading.stop())
            raise
        return reading

    async def _make_room(self, reader: Reader) -> bool:
        """End the oldest waiting readings until there is a place; return False if there is none."""
        limits = self.limits
        while True:
            theirs = [parked for parked in self._parked if parked.reader == reader]
            crowded = theirs if len(theirs) >= limits.of_user else self._parked
            if len(theirs) < limits.of_user and len(self._parked) < limits.of_process:
                return True
            waiting = [parked for parked in crowded if parked.has_arrived]
            if not waiting:
                return False
            await self._end(waiting[0])

    async def _keep(self, parked: _Parked) -> None:
        """Bring a reading to its place, keep it there for a while, and stop it, unless it is taken before."""
        try:
            await self._skip(parked.reading, parked.target)
            await asyncio.sleep(self.limits.seconds)
        except FetchError as error:
            # Whoever asks next reads the file again, and sees what is wrong.
            log.info("reader-failed", file=parked.reading.file.id, reason=error.reason)
        finally:
            if parked in self._parked:
                await self._end(parked)

    async def _skip(self, reading: FileReading, at: int) -> None:
        before, began = reading.position, time.monotonic()
        try:
            await reading.skip_to(at)
        finally:
            seconds = time.monotonic() - began
            if seconds >= _LEAST_MEASURED:
                self._bytes_per_second = (reading.position - before) / seconds

    def seconds_to(self, reading: FileReading, at: int) -> float:
        """Return how long it takes to get to a byte; 0 if nothing was measured."""
        if self._bytes_per_second is None:
            return 0
        return max(0, at - reading.position) / max(self._bytes_per_second, 1)

    async def _end(self, parked: _Parked) -> None:
        self._forget(parked)
        if parked.task is not asyncio.current_task():
            parked.task.cancel()
        await parked.reading.stop()

    def _forget(self, parked: _Parked) -> None:
        self._parked.remove(parked)
        _parked_readers.dec()


class OpenReading:
    """A file, opened where a request goes on."""

    check: ContentCheck
    """The check of the content."""
    headers: Mapping[str, str]
    """The headers of the source that describe the file."""

    def __init__(
        self,
        readings: Readings,
        reader: Reader,
        file: FileToDownload,
        at: int,
        *,
        hashed: bool,
        begun: Checkpoint,
    ) -> None:
        self._readings = readings
        self._reader = reader
        self._file = file
        self._at = at
        self._hashed = hashed
        self._begun = begun
        self._reading: FileReading | None = None
        """None if it isn't this request's any more."""

    async def begin(self, ahead: FileReading | None = None) -> None:
        """Take a reading that was begun before, or one that is parked, or begin one.

        Storage may limit the downloads that a user has at once. So a file that couldn't be opened while
        another was read is opened once more.

        Raises:
            FetchError: the file can't be opened.
        """
        taken = await _if_open(ahead) or self._readings.take(
            self._reader, self._file, self._at, hashed=self._hashed, begun=self._begun
        )
        self._begun_before = taken is not None
        await self._use(taken)

    @property
    def at_end(self) -> bool:
        """True once all pieces were taken: size and checksum of the file are right."""
        return self._reading is not None and self._reading.at_end

    async def pieces(self) -> AsyncGenerator[Sequence[bytes], None]:
        """Yield the bytes from the wanted one on, some pieces at a time.

        The last follow once size and checksum are right.

        Raises:
            FetchError: the transfer broke, or the content isn't that of the catalog.
            SkippingAhead: it takes too long to get to the first byte.
        """
        while self._reading is not None:
            try:
                await self._reach(self._reading)
                async with aclosing(self._reading.pieces(self._at)) as arriving:
                    async for pieces in arriving:
                        yield pieces
                        self._at += sum(map(len, pieces))
            except FetchError as error:
                hopeless = isinstance(error, WrongContent | PartsDiffer)
                if hopeless or not self._begun_before:
                    raise
            else:
                return
            # A source may close a connection that waits for minutes. Then the file is read again.
            self._begun_before = False
            await self._reading.stop()
            await self._use(None)

    async def leave(self, *, park: bool) -> None:
        """Stop to read, or keep the place."""
        reading, self._reading = self._reading, None
        if reading is None:
            return
        if park:
            await self._readings.park(self._reader, reading)
        else:
            await reading.stop()

    async def _use(self, taken: FileReading | None) -> None:
        self._reading = taken or await self._readings.begin(
            self._reader, self._file, hashed=self._hashed, begun=self._begun
        )
        self.check, self.headers = self._reading.check, self._reading.headers

    async def _reach(self, reading: FileReading) -> None:
        if not await self._readings.reach(reading, self._at):
            self._reading = None
            seconds = await self._readings.send_ahead(self._reader, reading, self._at)
            raise SkippingAhead(self._file, seconds)


async def _if_open(ahead: FileReading | None) -> FileReading | None:
    """Return a reading once its source is open; stop it if that fails, or if the caller is cancelled."""
    if ahead is None:
        return None
    try:
        await ahead.opened()
    except FetchError:
        await finish_anyway(ahead.stop())
        return None
    except BaseException:
        await finish_anyway(ahead.stop())
        raise
    return ahead
