"""Error responses: a status, and a body ``{"messages": […]}`` unless the status has none (rest.md 4).

Endpoints that the reference doesn't have answer with problems, which have ``messages`` too (``problems.py``).
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import Field
from starlette.exceptions import HTTPException

from rs_order.contracts.wire import WireModel
from rs_order.core import errors
from rs_order.domain.errors import PatternRejectedError
from rs_order.ports import OrderTokensUnset, RemoteUnavailable, RightsUnknown
from rs_order.rest.problems import (
    LONG_PAUSE,
    PROBLEMS,
    RETRY_SECONDS,
    ProblemCode,
    answers_with_problems,
    problem_answer,
)
from rs_order.store.errors import StoreConflict, StoreTimeout, StoreUnavailable

ACCESS_DENIED: Final = "Access is denied"
IN_MAINTENANCE: Final = 515
"""The status of a change that is rejected because its project is in maintenance."""

STATUS: Final[dict[type[Exception], int]] = {
    errors.NotFound: 404,
    errors.ForbiddenToCaller: 403,
    errors.InMaintenance: IN_MAINTENANCE,
    errors.EmptyBasket: 204,
    errors.EmptySelection: 204,
    errors.InvalidInput: 422,
    errors.FilterAndProcess: 400,
    errors.TooManyItems: 409,
    errors.TooManyLines: 413,
    errors.UnreadableUpload: 400,
    errors.ProcessUnusable: 500,
    errors.CatalogSearchFailed: 422,
    errors.QuoteRejected: 409,
    errors.ItemsRejected: 422,
    errors.ProductsNotListed: 503,
    errors.TooManySubscriptions: 409,
    errors.WebhookRejected: 422,
    errors.ActionRejected: 401,
    errors.DeadLetterRejected: 409,
    PatternRejectedError: 400,
    OrderTokensUnset: 503,
    RemoteUnavailable: 503,
    RightsUnknown: 503,
    StoreConflict: 503,
    StoreTimeout: 503,
    StoreUnavailable: 503,
}
"""The status of each error that a use case can raise (rest.md 4.2). A subclass has its base's status."""

_BODILESS: Final = frozenset({204, 304})
_PAUSES: Final = {503: RETRY_SECONDS, IN_MAINTENANCE: LONG_PAUSE}
"""``Retry-After`` of failures that pass, in seconds."""


class Messages(WireModel):
    """The reasons of a failure: sentences, or the codes of rest.md 4.4 where it has one."""

    messages: list[str] = Field(examples=[["There is no order 12"]])


class HttpError(Exception):
    """Ends a request with a status and messages. Without messages the response has no body."""

    code = "refused"

    def __init__(
        self, status: int, *messages: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(status, *messages)
        self.status = status
        self.messages = messages
        self.headers = headers or {}


class Problem(HttpError):
    """Ends a request that the reference doesn't know, with one of the codes of failures."""

    def __init__(
        self,
        code: ProblemCode,
        *messages: str,
        headers: Mapping[str, str] | None = None,
        members: Mapping[str, Any] | None = None,
    ) -> None:
        """``messages``: sentences that stand alone; ``members``: further members of the body."""
        super().__init__(PROBLEMS[code].status, *messages, headers=headers)
        self.code = code
        self.members = members or {}


def messages_answer(status: int, *messages: str) -> Response:
    """Return the error response that all REGARDS services use (rest.md 4.1)."""
    if not messages or status in _BODILESS:
        return Response(status_code=status)
    pause = _PAUSES.get(status)
    return JSONResponse(
        {"messages": [_encodable(message) for message in messages]},
        status,
        None if pause is None else {"Retry-After": str(pause)},
    )


def _encodable(text: str) -> str:
    """Return the text with ``?`` for half surrogate pairs, which JSON can escape but UTF-8 can't encode."""
    return text.encode(errors="replace").decode()


def install_error_answers(app: FastAPI) -> None:
    """Install the exception handlers that turn every error into a response of rest.md 4.1."""

    async def answer(request: Request, error: Exception) -> Response:
        failure = failure_answer(request, error)
        if failure is None:
            raise error
        return failure

    for kind in (HttpError, RequestValidationError, HTTPException, *STATUS):
        app.add_exception_handler(kind, answer)


def failure_answer(request: Request, error: Exception) -> Response | None:
    """Return the response to an error that ended a request, or None if the error is a defect."""
    match error:
        case HttpError():
            answer = _answer(request, error, error.status, error.messages)
            answer.headers.update(error.headers)
            return answer
        case RequestValidationError():
            messages = [_sentence(problem) for problem in error.errors()]
            return _answer(request, error, 400, messages, ProblemCode.MALFORMED_REQUEST)
        case HTTPException():
            # An unknown route, a wrong verb or media type, or a too large body (decisions.md, Q2).
            text = f"{error.detail}: {request.method} {request.url.path}"
            answer = _answer(request, error, error.status_code, [text])
            answer.headers.update(error.headers or {})
            return answer
    status = status_of(error)
    return None if status is None else _answer(request, error, status, messages_of(error))


def _answer(
    request: Request,
    error: Exception,
    status: int,
    messages: Sequence[str],
    code: str | None = None,
) -> Response:
    """Return the response in the form of the endpoint; a Problem has its own. A known code is used."""
    as_problem = isinstance(error, Problem) or answers_with_problems(request.scope)
    if status in _BODILESS or not as_problem:
        return messages_answer(status, *messages)
    members = error.members if isinstance(error, Problem) else {}
    texts = [_encodable(text) for text in messages]
    return problem_answer(request, status, texts, code or getattr(error, "code", None), members)


def expected_cause(error: Exception) -> Exception | None:
    """Return the error of a use case that ended a response under way, or None if it is a defect.

    Starlette has no use for a handler then, and raises an error of its own from it.
    """
    cause = error.__cause__ if isinstance(error, RuntimeError) else None
    return cause if isinstance(cause, Exception) and isinstance(cause, tuple(STATUS)) else None


def status_of(error: Exception) -> int | None:
    """Return the status of an error of a use case, or None if it is a defect."""
    return next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), None)


def messages_of(error: Exception) -> tuple[str, ...]:
    """Return the sentences of an error of a use case."""
    match error:
        case errors.InvalidInput():
            return tuple(error.messages)
        case StoreConflict() | StoreTimeout() | StoreUnavailable():
            return ("The database gave no answer; nothing was changed. Try again.",)
        case RemoteUnavailable():
            return (f"{error.service} gave no answer; nothing was changed. Try again.",)
    return (str(error),)


def _sentence(problem: dict[str, object]) -> str:
    location = problem["loc"]
    names = location[1:] if isinstance(location, tuple) else ()
    return f"{'.'.join(str(name) for name in names)}: {problem['msg']}"
