"""Records the outcome of each file of a download in little memory: there may be a million.

``NOTICE.txt`` has a line for each failure, and for each file whose checksum can't be checked for its kind.
"""

import tempfile
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from types import TracebackType
from typing import Final, Self

import orjson

from rs_order.domain.ids import DataFileId
from rs_order.downloads.checksums import algorithm_of, why_unverifiable
from rs_order.downloads.entry_names import one_line
from rs_order.ports import FetchError, FetchResult, FileOutcome, FileToDownload

MAX_OUTCOMES: Final = 5000
"""Outcomes that the store records at once."""
NOTICES_IN_MEMORY: Final = 4 * 2**20
"""Bytes of records for ``NOTICE.txt`` kept in memory; the rest is on disk (about 200 per file)."""


class Ledger:
    """The outcomes of a download; a downloaded file that was verified takes 8 bytes."""

    def __init__(self) -> None:
        self._downloaded = array("q")
        self._noticed = tempfile.SpooledTemporaryFile(  # noqa: SIM115 - closed by __exit__
            max_size=NOTICES_IN_MEMORY
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
        self._noticed.close()

    def downloaded(self, file: FileToDownload) -> None:
        """Record a file that was downloaded, and verified as far as its checksum can be checked."""
        self.downloaded_files += 1
        self.unverifiable_files += algorithm_of(file) is None
        reason = why_unverifiable(file)
        if reason is None:
            self._downloaded.append(file.id)
        else:
            self._notice(file, FetchResult.DOWNLOADED, reason)

    def failed(self, file: FileToDownload, error: FetchError) -> None:
        """Record a file that could not be downloaded."""
        self.failed_files += 1
        self._notice(file, error.result, error.reason)

    def _notice(self, file: FileToDownload, result: FetchResult, reason: str) -> None:
        record = _Record(file.id, result, one_line(file.name), one_line(reason))
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
        for file_id in self._downloaded:
            yield FileOutcome(DataFileId(file_id), FetchResult.DOWNLOADED)
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

    def line(self) -> bytes:
        if self.result == FetchResult.DOWNLOADED:
            return f"Checksum of file ({self.name}) not checked: {self.reason}.".encode()
        return f"Failed to download file ({self.name}): {self.reason}.".encode()

    def outcome(self) -> FileOutcome:
        file_id, result = DataFileId(self.file_id), FetchResult(self.result)
        if result is FetchResult.DOWNLOADED:
            return FileOutcome(file_id, result, unverifiable=True)
        return FileOutcome(file_id, result, self.reason)
