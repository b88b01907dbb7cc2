"""Client of rs-processing: processes and batches of executions (remote-services.md 4)."""

import re
from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final, TypeVar
from uuid import UUID

from rs_order.domain.identity import Caller
from rs_order.domain.process import Cardinality, Forecast, LimitKind, Process, Scope
from rs_order.ports import NewBatch, RemoteRejection, UnreadableProcess
from rs_order.regards.http import RemoteService, TokenIssuer

_FORECAST: Final = re.compile(
    r"\*(?P<factor>[0-9]+(\.[0-9]+)?)|(?P<size>[0-9]+(\.[0-9]+)?)(?P<unit>[bkmg])"
)
_NO_PROCESS: Final = UUID(int=0)
_UNITS: Final = {"b": 1, "k": 1024, "m": 1024**2, "g": 1024**3}
_MAX_DIGITS: Final = 18
"""The most digits of a number; a larger one is no usable size."""
_DATA_TYPES: Final = frozenset(
    {
        "RAWDATA",
        "QUICKLOOK_SD",
        "QUICKLOOK_MD",
        "QUICKLOOK_HD",
        "DOCUMENT",
        "THUMBNAIL",
        "OTHER",
        "AIP",
        "DESCRIPTION",
    }
)
_FLAGS: Final = {"true": True, "false": False}
_BATCH: Final = "/batch"

Choice = TypeVar("Choice", bound=StrEnum)


class MalformedProcess(ValueError):
    """The description of a process can't be read; the text names the member."""


class RegardsProcesses:
    """Implements :class:`rs_order.ports.Processes`."""

    def __init__(self, service: RemoteService, tokens: TokenIssuer) -> None:
        self._service = service
        self._tokens = tokens

    async def find(self, caller: Caller, process_id: UUID) -> Process | None:
        path = f"/process/{process_id}"
        token = self._tokens.on_behalf(caller)
        answer = await self._service.get(path, token, empty_is_absent=True)
        if answer is None:
            return None
        info = answer.get("processInfo") if isinstance(answer, dict) else None
        if not isinstance(info, dict):
            raise self._service.bad_response(path, "the answer has no object processInfo")
        try:
            return process_of(process_id, info)
        except MalformedProcess as error:
            raise UnreadableProcess(self._service.name, f"{path}: {error}") from error

    async def create_batch(self, caller: Caller, batch: NewBatch) -> UUID:
        body = {
            "correlationId": batch.correlation_id,
            "processBusinessId": str(batch.process_id),
            "tenant": caller.tenant,
            "user": caller.email,
            "userRole": caller.role,
            "parameters": dict(batch.parameters),
            "filesetsByDataset": {
                batch.dataset: {
                    "dataset": batch.dataset,
                    "executionCount": 1,
                    "totalBytes": batch.total_bytes,
                }
            },
        }
        answer = await self._service.post(_BATCH, self._tokens.on_behalf(caller), body)
        if answer is None:
            raise RemoteRejection(self._service.name, 404, f"{_BATCH}: status 404")
        try:
            return UUID(answer["batchId"])
        except (TypeError, KeyError, ValueError, AttributeError) as error:
            raise self._service.bad_response(_BATCH, "the answer has no batchId") from error


def process_of(process_id: UUID, info: Any) -> Process:
    """Parse a ``processInfo``; members other than the seven are ignored.

    Raises:
        MalformedProcess: one of the seven is missing or can't be read.
    """
    if not isinstance(info, dict):
        raise MalformedProcess("processInfo isn't an object")
    return Process(
        id=process_id,
        scope=_choice(info, "scope", Scope),
        cardinality=_choice(info, "cardinality", Cardinality),
        data_types=_data_types(_text(info, "datatypes")),
        limit_kind=_choice(info, "sizeLimitType", LimitKind),
        limit=_limit(_text(info, "sizeLimitValue")),
        forecast=forecast_of(_text(info, "sizeForecast")),
        forbids_split=_flag(_text(info, "forbidSplitInSuborders")),
    )


def cardinality_of(info: Mapping[str, Any]) -> Cardinality:
    """Return the cardinality of a result's process; the whole ``processInfo`` must be readable.

    Raises:
        MalformedProcess: one of the seven is missing or can't be read.
    """
    return process_of(_NO_PROCESS, info).cardinality


def forecast_of(text: str) -> Forecast:
    """Parse ``*<factor>``, or ``<n>`` with one of the units b, k, m, g; ignore blanks and case.

    Raises:
        MalformedProcess: the text is neither.
    """
    found = _FORECAST.fullmatch("".join(text.lower().split()))
    if found is None or sum(map(str.isdigit, text)) > _MAX_DIGITS:
        raise MalformedProcess(f"sizeForecast {text!r} isn't *<factor> or <n> with b, k, m or g")
    if found["factor"]:
        return Forecast(factor=float(found["factor"]))
    return Forecast(size=int(Decimal(found["size"]) * _UNITS[found["unit"]]))


def _text(info: Mapping[str, Any], name: str) -> str:
    value = info.get(name)
    if not isinstance(value, str):
        raise MalformedProcess(f"processInfo has no text {name}")
    return value.strip()


def _choice(info: Mapping[str, Any], name: str, choices: type[Choice]) -> Choice:
    value = _text(info, name)
    try:
        return choices(value)
    except ValueError as error:
        raise MalformedProcess(f"{name} {value!r} is none of {', '.join(choices)}") from error


def _data_types(text: str) -> frozenset[str]:
    """Parse a list of data types; unknown ones are ignored (domain.md 5.1), one at least must be known."""
    types = frozenset(part.strip() for part in text.split(",")) & _DATA_TYPES
    if not types:
        raise MalformedProcess(f"datatypes {text!r} names no known type")
    return types


def _limit(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS):
        raise MalformedProcess(f"sizeLimitValue {text!r} isn't a whole number from 0 on")
    return int(text)


def _flag(text: str) -> bool:
    flag = _FLAGS.get(text.lower())
    if flag is None:
        raise MalformedProcess(f"forbidSplitInSuborders {text!r} is neither true nor false")
    return flag
