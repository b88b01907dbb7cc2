"""The filter of the files that are ordered (domain.md 1.4, B13)."""

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any

import re2

from rs_order.domain.errors import PatternRejectedError
from rs_order.domain.files import CatalogFile, DataType, FileType


class FileKind(StrEnum):
    """The kinds of file in a filter; QUICKLOOK stands for all three sizes."""

    RAWDATA = "RAWDATA"
    QUICKLOOK = "QUICKLOOK"


def kind_of(data_type: FileType) -> FileKind:
    return FileKind.RAWDATA if data_type is DataType.RAWDATA else FileKind.QUICKLOOK


@lru_cache(maxsize=256)
def compile_pattern(pattern: str) -> Any:
    """Compile a file-name pattern with RE2, which needs linear time for any pattern.

    Raises:
        PatternRejectedError: RE2 rejects it.
    """
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options=options)
    except re2.error as error:
        reason = error.args[0] if error.args else "not a regular expression"
        text = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
        raise PatternRejectedError(text) from error


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
        return compile_pattern(self.name_pattern).fullmatch(file.name) is not None
