"""Records the outcome of each file of a download in little memory: there may be a million."""

import tempfile
from array import array
from collections.abc import Iterator
from itertools import islice
from types import TracebackType
from typing import Final, Self

import orjson

from rs_order.domain.ids import DataFileId
from rs_order.downloads.entry_names import one_line
from rs_order.ports import FetchError, FetchResult, FileOutcome, FileToDownload

MAX_OUTCOMES: Final = 5000
"""Outcomes that the store records at once."""
FAILURES_IN_MEMORY: Final = 4 * 2**20
"""Bytes of failures kept in memory; the rest is on disk (about 200 per failure)."""


class Ledger:
    """The outcomes of a download; a downloaded file takes 8 bytes."""

    def __init__(self) -> None:
        self._downloaded = array("q")
        self._failures = tempfile.SpooledTemporaryFile(  # noqa: SIM115 - closed by __exit__
            max_size=FAILURES_IN_MEMORY
        )
        self.failed_files = 0
        self.unverifiable_files = 0
        self.notice_bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._failures.close()

    @property
    def downloaded_files(self) -> int:
        return len(self._downloaded)

    def downloaded(self, file: FileToDownload, *, verifiable: bool = True) -> None:
        """Record a downloaded file; ``verifiable`` is False if its checksum could not be checked."""
        self._downloaded.append(file.id)
        self.unverifiable_files += not verifiable

    def failed(self, file: FileToDownload, error: FetchError) -> None:
        """Record a file that could not be downloaded."""
        name, reason = one_line(file.name), one_line(error.reason)
        record = [file.id, error.result.value, name, reason]
        self._failures.write(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE))
        self.notice_bytes += len(_notice_line(self.failed_files, name, reason))
        self.failed_files += 1

    def notice(self) -> Iterator[bytes]:
        """Yield the text of ``NOTICE.txt``: a line per failure, without a line feed after the last."""
        for index, (_, _, name, reason) in enumerate(self._records()):
            yield _notice_line(index, name, reason)

    def outcomes(self) -> Iterator[list[FileOutcome]]:
        """Yield all outcomes, in lists of at most 5000."""
        every = self._every_outcome()
        while outcomes := list(islice(every, MAX_OUTCOMES)):
            yield outcomes

    def _every_outcome(self) -> Iterator[FileOutcome]:
        for file_id in self._downloaded:
            yield FileOutcome(DataFileId(file_id), FetchResult.DOWNLOADED)
        for file_id, result, _, reason in self._records():
            yield FileOutcome(DataFileId(file_id), FetchResult(result), reason)

    def _records(self) -> Iterator[tuple[int, str, str, str]]:
        self._failures.seek(0)
        for line in self._failures:
            file_id, result, name, reason = orjson.loads(line)
            yield file_id, result, name, reason


def _notice_line(index: int, name: str, reason: str) -> bytes:
    separator = "\n" if index else ""
    return f"{separator}Failed to download file ({name}): {reason}.".encode()
