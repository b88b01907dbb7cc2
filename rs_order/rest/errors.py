"""Failures as answers: a status, and ``{"messages": […]}`` where a body is due (rest.md 4)."""

from typing import Final

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import Field
from starlette.exceptions import HTTPException

from rs_order.contracts.wire import WireModel
from rs_order.core import errors
from rs_order.domain.errors import PatternRejectedError
from rs_order.ports import OrderTokensUnset, RemoteUnavailable, RightsUnknown
from rs_order.store.errors import StoreConflict, StoreUnavailable

ACCESS_DENIED: Final = "Access is denied"

STATUS: Final[dict[type[Exception], int]] = {
    errors.NotFound: 404,
    errors.ForbiddenToCaller: 403,
    errors.EmptyBasket: 204,
    errors.EmptySelection: 204,
    errors.InvalidInput: 422,
    errors.FilterAndProcess: 400,
    errors.TooManyItems: 409,
    errors.TooManyLines: 413,
    errors.UnreadableUpload: 400,
    errors.ProcessUnusable: 500,
    errors.CatalogSearchFailed: 422,
    errors.ActionRejected: 401,
    PatternRejectedError: 400,
    OrderTokensUnset: 503,
    RemoteUnavailable: 503,
    RightsUnknown: 503,
    StoreConflict: 503,
    StoreUnavailable: 503,
}
"""The status of each failure that a use case can end with (rest.md 4.2); subclasses have their base's."""

_BODILESS: Final = 204


class Messages(WireModel):
    """What went wrong, in sentences; the codes of rest.md 4.4 where that has one."""

    messages: list[str] = Field(examples=[["There is no order 12"]])


class HttpError(Exception):
    """A request that is answered with a status; without messages, the body is empty."""

    code = "refused"

    def __init__(self, status: int, *messages: str) -> None:
        super().__init__(status, *messages)
        self.status = status
        self.messages = messages


def messages_answer(status: int, *messages: str) -> Response:
    """The body every REGARDS service gives with a failure (rest.md 4.1)."""
    if not messages or status == _BODILESS:
        return Response(status_code=status)
    return JSONResponse({"messages": list(messages)}, status)


def install_error_answers(app: FastAPI) -> None:
    """Answer everything that isn't a success the REGARDS way."""

    @app.exception_handler(HttpError)
    async def refused(_: Request, refusal: HttpError) -> Response:
        return messages_answer(refusal.status, *refusal.messages)

    @app.exception_handler(RequestValidationError)
    async def bad_request(_: Request, error: RequestValidationError) -> Response:
        return messages_answer(400, *(_sentence(problem) for problem in error.errors()))

    @app.exception_handler(HTTPException)
    async def unserved(request: Request, error: HTTPException) -> Response:
        """Unknown route, wrong verb or media type, too large a body (decisions.md, Q2)."""
        answer = messages_answer(
            error.status_code, f"{error.detail}: {request.method} {request.url.path}"
        )
        answer.headers.update(error.headers or {})
        return answer

    async def not_carried_out(_: Request, error: Exception) -> Response:
        return messages_answer(_status_of(error), *_messages_of(error))

    for kind in STATUS:
        app.add_exception_handler(kind, not_carried_out)


def _status_of(error: Exception) -> int:
    return next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)


def _messages_of(error: Exception) -> tuple[str, ...]:
    match error:
        case errors.InvalidInput():
            return tuple(error.messages)
        case StoreConflict() | StoreUnavailable():
            return ("The database gave no answer; nothing was changed. Try again.",)
        case RemoteUnavailable():
            return (f"{error.service} gave no answer; nothing was changed. Try again.",)
    return (str(error),)


def _sentence(problem: dict[str, object]) -> str:
    location = problem["loc"]
    names = location[1:] if isinstance(location, tuple) else ()
    return f"{'.'.join(str(name) for name in names)}: {problem['msg']}"
