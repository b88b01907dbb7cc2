"""The filter of the files that are ordered (domain.md 1.4, B13)."""

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final

import re2

from rs_order.domain.errors import PatternRejectedError
from rs_order.domain.files import CatalogFile, DataType, FileType

MAX_PATTERN: Final = 1000
"""Characters of a file-name pattern."""
_MAX_MEMORY: Final = 512 * 1024
"""Bytes of a compiled pattern. Time to compile grows with them."""
_EARLIER_MAX_MEMORY: Final = 8 * 1024 * 1024


class FileKind(StrEnum):
    """The kinds of file in a filter; QUICKLOOK stands for all three sizes."""

    RAWDATA = "RAWDATA"
    QUICKLOOK = "QUICKLOOK"


def kind_of(data_type: FileType) -> FileKind:
    return FileKind.RAWDATA if data_type is DataType.RAWDATA else FileKind.QUICKLOOK


def compile_pattern(pattern: str) -> Any:
    """Compile a file-name pattern with RE2, which needs linear time for any pattern.

    A pattern of a stranger may take a tenth of a second. So compile it in a thread, outside of transactions.

    Raises:
        PatternRejectedError: it is too long, RE2 rejects it, or it needs too much memory.
    """
    if len(pattern) > MAX_PATTERN:
        raise PatternRejectedError(f"the pattern is longer than {MAX_PATTERN} characters")
    return _compiled(pattern, _MAX_MEMORY)


def _compile_stored(pattern: str) -> Any:
    """Compile the pattern of an order. An earlier version may have accepted it without the limits."""
    try:
        return compile_pattern(pattern)
    except PatternRejectedError:
        return _compiled(pattern, _EARLIER_MAX_MEMORY)


@lru_cache(maxsize=64)
def _compiled(pattern: str, max_memory: int) -> Any:
    options = re2.Options()
    options.log_errors = False
    options.max_mem = max_memory
    try:
        return re2.compile(pattern, options=options)
    except re2.error as rejection:
        reason = rejection.args[0] if rejection.args else "not a regular expression"
        text = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
        raise PatternRejectedError(text) from rejection


@dataclass(frozen=True, slots=True)
class FileFilter:
    """The kinds and the name pattern of the files that pass; without kinds or pattern, all do."""

    kinds: frozenset[FileKind] = frozenset()
    name_pattern: str | None = None

    def passes(self, file: CatalogFile) -> bool:
        if self.kinds and kind_of(file.data_type) not in self.kinds:
            return False
        if not self.name_pattern or not self.name_pattern.strip():
            return True
        return _compile_stored(self.name_pattern).fullmatch(file.name) is not None
