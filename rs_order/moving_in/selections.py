"""The selections of baskets and dataset tasks: from JSON of the Java service to values of this one."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from rs_order.domain.errors import PatternRejectedError
from rs_order.domain.files import ORDERABLE, FileKind, compile_pattern
from rs_order.domain.instants import parse_instant, wire_instant
from rs_order.moving_in.rules import Rule, Tally

_KINDS: Final = frozenset(kind.value for kind in FileKind)
_Texts = list[str]


@dataclass(frozen=True, slots=True)
class Choice:
    """What a user has chosen beside a search: a filter or a process."""

    kinds: list[str] | None = None
    pattern: str | None = None
    process_id: UUID | None = None
    parameters: dict[str, str] | None = None

    @property
    def rejected_pattern(self) -> str | None:
        """Why RE2 refuses the pattern, if it does."""
        try:
            if self.pattern:
                compile_pattern(self.pattern)
        except PatternRejectedError as error:
            return str(error)
        return None


def choice_of(filters: Any, process: Any, tally: Tally, id_: int) -> Choice:
    """Return the filter or process of a row with this id; with both, the process (B9)."""
    process_id = _process_id(process)
    if process_id is not None:
        if isinstance(filters, Mapping):
            tally.found(Rule.PROCESS_AND_FILTER, id_)
        parameters = process.get("parameters") or {}
        return Choice(process_id=process_id, parameters=_texts_by_name(parameters))
    if not isinstance(filters, Mapping):
        return Choice()
    kinds = filters.get("fileTypes") or ()
    choice = Choice(
        kinds=sorted(_KINDS & {kind for kind in kinds if isinstance(kind, str)}),
        pattern=filters.get("fileNamePattern") or None,
    )
    if choice.rejected_pattern:
        tally.found(Rule.FILTER_NOT_RE2, id_)
    return choice


def _process_id(process: Any) -> UUID | None:
    if not isinstance(process, Mapping):
        return None
    try:
        return UUID(str(process.get("processBusinessId")))
    except ValueError:
        return None


def _texts_by_name(parameters: Any) -> dict[str, str]:
    if not isinstance(parameters, Mapping):
        return {}
    return {str(name): str(value) for name, value in parameters.items()}


def totals_of(counts: Any, sizes: Any) -> dict[str, dict[str, int]]:
    """Return the totals by data type of the two maps of a selection (domain.md 1.4)."""
    return {
        kind.value: {
            "files": _number(counts, kind.value),
            "bytes": _number(sizes, kind.value),
            "external_files": _number(counts, f"{kind.value}_ref"),
        }
        for kind in ORDERABLE
        if _number(counts, kind.value) or _number(sizes, kind.value)
    }


def _number(values: Any, name: str) -> int:
    found = values.get(name) if isinstance(values, Mapping) else None
    return found if isinstance(found, int) and found > 0 else 0


def request_of(record: Any, selected_at: datetime) -> dict[str, Any] | None:
    """Return a search as it is stored here; None if it can't be read."""
    if not isinstance(record, Mapping) or not isinstance(record.get("engineType"), str):
        return None
    parameters = record.get("searchParameters") or {}
    if not isinstance(parameters, Mapping):
        return None
    request: dict[str, Any] = {
        "engineType": record["engineType"],
        "searchParameters": {str(name): _texts(value) for name, value in parameters.items()},
        "selectionDate": _instant(record.get("selectionDate"), selected_at),
    }
    if isinstance(record.get("datasetUrn"), str):
        request["datasetUrn"] = record["datasetUrn"]
    for name in ("entityIdsToInclude", "entityIdsToExclude"):
        if ids := _texts(record.get(name)):
            request[name] = ids
    return request


def _texts(value: Any) -> _Texts:
    if isinstance(value, list):
        return [one for one in value if isinstance(one, str)]
    return [value] if isinstance(value, str) else []


def _instant(text: Any, otherwise: datetime) -> str:
    try:
        return (
            wire_instant(parse_instant(text)) if isinstance(text, str) else wire_instant(otherwise)
        )
    except ValueError:
        return wire_instant(otherwise)
