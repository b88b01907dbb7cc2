"""Fetches files from their sources, the next ones ahead of the reader, and checks their bytes."""

import asyncio
import time
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Final

from rs_order.domain import failure_reasons
from rs_order.domain.archives import FIRST_BYTE, Checkpoint
from rs_order.domain.ids import Checksum, DataFileId, Tenant
from rs_order.downloads.checksums import ConcurrentHashes, Crc32, algorithm_of
from rs_order.ports import (
    ContentHashes,
    FetchError,
    FileSources,
    FileToDownload,
    OpenFile,
    PartsDiffer,
    TooShort,
    WrongContent,
)

CHUNKS_AHEAD: Final = 4
"""Chunks of at most 384 KiB that wait for the reader; while the queue is full, the source waits."""
SMALL: Final = 16 * 2**20
"""Bytes. Files are opened ahead if no more than this has to be read before them."""


class Transfer:
    """Fetches one file in its own task, which opens and closes the source."""

    def __init__(self, file: FileToDownload, source: AbstractAsyncContextManager[OpenFile]) -> None:
        """Start to fetch at once. The caller must call ``stop``."""
        self.file = file
        self.size = file.size
        """Bytes; that of the source, once it is open, if the catalog has none. None: unknown."""
        self._source = source
        self._chunks: asyncio.Queue[bytes | Exception | None] = asyncio.Queue(CHUNKS_AHEAD)
        self._arrived: list[bytes | Exception | None] = []
        """The next chunk, error or end, once it has arrived."""
        self._task = asyncio.create_task(self._fetch())

    async def arrived(self, seconds: float) -> bool:
        """Wait for the next bytes, the end or an error; return False if none of them arrives in time."""
        if not self._arrived and self._chunks.empty():
            try:
                async with asyncio.timeout(seconds):
                    self._arrived.append(await self._chunks.get())
            except TimeoutError:
                return False
        return True

    def take(self) -> bytes | None:
        """Return the next bytes, which have arrived, or None at the end of the file.

        Raises:
            FetchError: the source failed, on opening or later.
        """
        chunk = self._peek()
        self._arrived.clear()
        if isinstance(chunk, Exception):
            raise chunk
        return chunk

    @property
    def quota_exceeded(self) -> bool:
        """True if the source has answered 429."""
        error = self._peek()
        return isinstance(error, FetchError) and error.quota_exceeded

    def _peek(self) -> bytes | Exception | None:
        if not self._arrived:
            self._arrived.append(self._chunks.get_nowait())
        return self._arrived[0]

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
    """The running transfers: that of the file being read, and a few ahead."""

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

    async def arrived(self, file: FileToDownload, seconds: float) -> bool:
        """Wait for the next bytes of a file; return False if they don't arrive in time.

        Storage may limit the downloads that a user has at once (remote-services.md 3.6). If it answers 429
        while several are open, the file is requested again alone, and so are all that follow.
        """
        until = time.monotonic() + seconds
        transfer = self._transfer(file)
        if not await transfer.arrived(seconds):
            return False
        if self._one_at_a_time or not transfer.quota_exceeded:
            return True
        self._one_at_a_time = True
        await self.stop_all()
        return await self._transfer(file).arrived(max(until - time.monotonic(), 0))

    def take(self, file: FileToDownload) -> bytes | None:
        """Return the bytes that have arrived, or None at the end of the file.

        Raises:
            FetchError: the source failed, on opening or later.
        """
        return self._transfer(file).take()

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


class ContentCheck:
    """Checks the bytes of a file while they are transferred, and computes the hashes that are kept of it.

    Once the bytes of a file were proven, its SHA-256 is known. Then that alone is computed, in a third of the
    time: other bytes would have another one, and the same bytes have the same MD5 and CRC-32.

    If it goes on where an earlier read was, only CRC-32 can go on too. So nothing is proven then.
    """

    def __init__(
        self,
        file: FileToDownload,
        *,
        hashed: bool = True,
        crc32: Crc32 | None = None,
    ) -> None:
        """Set what is checked.

        Args:
            file: the file.
            hashed: whether hashes are computed. They can't be if the file isn't read to its end.
            crc32: computes that, and leaves checkpoints; what it begins with was read before.
        """
        self._file = file
        self._algorithm = algorithm_of(file)
        self._proven = file.hashes if file.proven_sha256 is not None else None
        self._crc32 = crc32
        self._begun = crc32.begun if crc32 else FIRST_BYTE
        self._digests = ConcurrentHashes(self._algorithms() if hashed else (), crc32)
        self._hashed = hashed
        self.received = self._begun.position
        """Bytes, with those that were read before."""
        self.hashes: ContentHashes | None = None
        """The hashes of the content, once ``problem`` has found none; None if it was read in parts."""
        self.assembled_crc32: int | None = None
        """The CRC-32 of a content that was read in parts, once ``problem`` has found none."""

    @property
    def is_whole(self) -> bool:
        """True if it began with the first byte."""
        return self._begun.position == 0

    def take_checkpoints(self) -> Sequence[Checkpoint]:
        """Return the checkpoints that were passed since the last call."""
        return self._crc32.take_checkpoints() if self._crc32 else ()

    def _algorithms(self) -> Iterable[str]:
        if not self.is_whole:
            return ["crc32"]
        if self._proven is not None:
            return ["sha256"]
        of_catalog = [self._algorithm] if self._algorithm is not None else []
        return dict.fromkeys([*of_catalog, "sha256", "crc32"])

    async def accept(self, chunk: bytes) -> bool:
        """Add the next bytes; return False once they exceed the size of the file."""
        self.received += len(chunk)
        if self._file.size is not None and self.received > self._file.size:
            return False
        await self._digests.update(chunk)
        return True

    async def problem(self) -> FetchError | None:
        """Return the error for the bytes received, or None if they are those of the catalog."""
        size = self._file.size
        if size is not None and self.received > size:
            if not self.is_whole:
                return PartsDiffer(failure_reasons.PARTS_DIFFER)
            return WrongContent(failure_reasons.too_long(size))
        if size is not None and self.received < size:
            return TooShort(failure_reasons.short_read(self.received, size))
        if not self._hashed:
            return None
        digests = await self._digests.hexdigests()
        if not self.is_whole:
            return self._assemble(int(digests["crc32"], 16))
        problem = self._wrong_checksum(digests)
        if problem is None:
            self.hashes = self._proven or ContentHashes(
                crc32=int(digests["crc32"], 16), sha256=bytes.fromhex(digests["sha256"])
            )
        return problem

    def _assemble(self, crc32: int) -> FetchError | None:
        """Note the CRC-32 of the parts; return an error if that of the whole is known, and another one."""
        if self._file.hashes is not None and self._file.hashes.crc32 != crc32:
            return PartsDiffer(failure_reasons.PARTS_DIFFER)
        self.assembled_crc32 = crc32
        return None

    def _wrong_checksum(self, digests: Mapping[str, str]) -> FetchError | None:
        algorithm, checksum = self._algorithm, self._file.checksum
        if self._proven is not None:
            algorithm, checksum = "sha256", Checksum(self._proven.sha256.hex())
        if algorithm is None or checksum is None:
            return None
        received = digests[algorithm]
        # Some programs leave out the zeros at the beginning.
        if received == checksum.lower().zfill(len(received)):
            return None
        return WrongContent(failure_reasons.wrong_checksum(algorithm.upper(), received, checksum))
