"""Failures as the pages say them: what happened, to what, and what to do next (console.md C9)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from rs_order.core.errors import ActionRejected
from rs_order.ports import RemoteUnavailable
from rs_order.rest.errors import IN_MAINTENANCE, HttpError, messages_of, status_of
from rs_order.store.errors import StoreConflict, StoreTimeout, StoreUnavailable

_UNAVAILABLE: Final = 503
_TOO_MANY: Final = 429


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a page or an act isn't answered."""

    status: int
    kind: str
    """The key of its texts: ``failure.<kind>.title`` and ``failure.<kind>.advice``."""
    messages: Sequence[str] = ()
    """Sentences, or codes of rest.md 4.4, that say more."""
    passes: bool = False
    """True if the same page may be answered a moment later."""
    wait: int | None = None
    """Seconds until it is worth to try again."""

    @classmethod
    def of_defect(cls) -> "Failure":
        return cls(500, "defect")


_KINDS: Final = {
    400: "unreadable",
    401: "refused",
    403: "forbidden",
    404: "absent",
    409: "conflict",
    413: "too-large",
    422: "invalid",
    429: "too-many",
    IN_MAINTENANCE: "maintenance",
}


class ForeignForm(HttpError):
    """A form isn't of a page of ours, or is of another session; nothing was changed."""

    code = "foreign-form"

    def __init__(self) -> None:
        super().__init__(403)


class UnservedProject(HttpError):
    """The project of the visitor isn't served by this deployment, or not any more."""

    code = "unserved-project"

    def __init__(self, project: str) -> None:
        super().__init__(404, project)


def failure_of(error: Exception) -> Failure | None:
    """Return the failure that an error means, or None if it is a defect."""
    match error:
        case StoreUnavailable() | StoreTimeout() | StoreConflict():
            failure = Failure(_UNAVAILABLE, "database", passes=True)
        case RemoteUnavailable():
            failure = Failure(_UNAVAILABLE, "remote", (error.service,), passes=True)
        case ActionRejected():
            failure = Failure(409, "refused", messages_of(error))
        case RequestValidationError():
            failure = Failure(400, "unreadable")
        case HTTPException():
            failure = Failure(error.status_code, kind_of(error.status_code))
        case ForeignForm():
            failure = Failure(403, "foreign-form")
        case UnservedProject():
            failure = Failure(error.status, "no-project", error.messages)
        case HttpError():
            failure = _of_http(error)
        case _:
            return _of_use_case(error)
    return failure


def _of_use_case(error: Exception) -> Failure | None:
    status = status_of(error)
    if status is None:
        return None
    return Failure(status, kind_of(status), messages_of(error), passes=status == _UNAVAILABLE)


def _of_http(error: HttpError) -> Failure:
    wait = error.headers.get("Retry-After")
    return Failure(
        error.status,
        kind_of(error.status),
        error.messages if error.status != _TOO_MANY else (),
        passes=error.status in (_UNAVAILABLE, _TOO_MANY),
        wait=int(wait) if wait else None,
    )


def kind_of(status: int) -> str:
    """Return the kind of failure that a status of REST means."""
    return _KINDS.get(status, "remote")
