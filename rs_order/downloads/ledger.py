"""Records the outcome of each file of a download in little memory: there may be a million.

``NOTICE.txt`` has a line for each failure, and for each file whose checksum can't be checked for its kind.
"""

import struct
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from types import TracebackType
from typing import Final, Self

import orjson

from rs_order.domain.ids import DataFileId
from rs_order.downloads.checksums import algorithm_of, why_unverifiable
from rs_order.downloads.entry_names import one_line
from rs_order.downloads.notice_lines import failed_line, unverifiable_line
from rs_order.ports import ContentHashes, FetchError, FetchResult, FileOutcome, FileToDownload

MAX_OUTCOMES: Final = 5000
"""Outcomes that the store records at once."""
IN_MEMORY: Final = 4 * 2**20
"""Bytes of records kept in memory, of either kind; the rest is on disk."""

_DOWNLOADED: Final = struct.Struct("<q?L32s")
"""A downloaded file without a line in ``NOTICE.txt``: its id, whether its hashes are known, and these."""
_NO_HASHES: Final = ContentHashes(0, bytes(32))


class Ledger:
    """The outcomes of a download; a file takes 45 bytes, or about 200 with a line of ``NOTICE.txt``."""

    def __init__(self) -> None:
        self._downloaded = tempfile.SpooledTemporaryFile(  # noqa: SIM115 - closed by __exit__
            max_size=IN_MEMORY
        )
        self._noticed = tempfile.SpooledTemporaryFile(  # noqa: SIM115 - closed by __exit__
            max_size=IN_MEMORY
        )
        self.downloaded_files = 0
        self.failed_files = 0
        self.unverifiable_files = 0
        """Downloaded files without a checksum, or with one of a kind that can't be checked."""
        self.notice_bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._downloaded.close()
        self._noticed.close()

    def downloaded(self, file: FileToDownload, hashes: ContentHashes | None) -> None:
        """Record a file that was downloaded, and verified as far as its checksum can be checked.

        Args:
            file: the file.
            hashes: of its bytes; None for a copy of a file that the archive already contains.
        """
        self.downloaded_files += 1
        self.unverifiable_files += algorithm_of(file) is None
        reason = why_unverifiable(file)
        if reason is None:
            known = hashes or _NO_HASHES
            self._downloaded.write(
                _DOWNLOADED.pack(file.id, hashes is not None, known.crc32, known.sha256)
            )
        else:
            self._notice(file, FetchResult.DOWNLOADED, reason, hashes)

    def failed(self, file: FileToDownload, error: FetchError) -> None:
        """Record a file that could not be downloaded."""
        self.failed_files += 1
        self._notice(file, error.result, error.reason)

    def _notice(
        self,
        file: FileToDownload,
        result: FetchResult,
        reason: str,
        hashes: ContentHashes | None = None,
    ) -> None:
        record = _Record(
            file.id,
            result,
            one_line(file.name),
            one_line(reason),
            hashes.crc32 if hashes else None,
            hashes.sha256.hex() if hashes else None,
        )
        self._noticed.write(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE))
        self.notice_bytes += len(record.line()) + bool(self.notice_bytes)

    def notice(self) -> Iterator[bytes]:
        """Yield the text of ``NOTICE.txt``, in pieces, without a line feed after the last line."""
        for index, record in enumerate(self._records()):
            yield b"\n" + record.line() if index else record.line()

    def outcomes(self) -> Iterator[list[FileOutcome]]:
        """Yield all outcomes, in lists of at most 5000."""
        every = self._every_outcome()
        while outcomes := list(islice(every, MAX_OUTCOMES)):
            yield outcomes

    def _every_outcome(self) -> Iterator[FileOutcome]:
        self._downloaded.seek(0)
        while packed := self._downloaded.read(_DOWNLOADED.size):
            file_id, known, crc32, sha256 = _DOWNLOADED.unpack(packed)
            hashes = ContentHashes(crc32, sha256) if known else None
            yield FileOutcome(DataFileId(file_id), FetchResult.DOWNLOADED, hashes=hashes)
        for record in self._records():
            yield record.outcome()

    def _records(self) -> Iterator["_Record"]:
        self._noticed.seek(0)
        for line in self._noticed:
            yield _Record(**orjson.loads(line))


@dataclass(frozen=True, slots=True)
class _Record:
    """A file with a line in ``NOTICE.txt``."""

    file_id: int
    result: str
    name: str
    reason: str
    crc32: int | None
    sha256: str | None
    """In hexadecimal digits."""

    def line(self) -> bytes:
        if self.result == FetchResult.DOWNLOADED:
            return unverifiable_line(self.name, self.reason)
        return failed_line(self.name, self.reason)

    def outcome(self) -> FileOutcome:
        file_id, result = DataFileId(self.file_id), FetchResult(self.result)
        if result is FetchResult.DOWNLOADED:
            return FileOutcome(file_id, result, unverifiable=True, hashes=self._hashes())
        return FileOutcome(file_id, result, self.reason)

    def _hashes(self) -> ContentHashes | None:
        if self.crc32 is None or self.sha256 is None:
            return None
        return ContentHashes(self.crc32, bytes.fromhex(self.sha256))
