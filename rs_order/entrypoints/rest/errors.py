"""Failures as answers: a status, and ``{"messages": […]}`` where a body is due (rest.md 4)."""

from typing import Final

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

ACCESS_DENIED: Final = "Access is denied"


class Refused(Exception):
    """A request that is answered with a status; without messages, the body is empty."""

    code = "refused"

    def __init__(self, status: int, *messages: str) -> None:
        super().__init__(status, *messages)
        self.status = status
        self.messages = messages


def messages_answer(status: int, *messages: str) -> Response:
    """The body every REGARDS service gives with a failure (rest.md 4.1)."""
    if not messages:
        return Response(status_code=status)
    return JSONResponse({"messages": list(messages)}, status)


def install_error_answers(app: FastAPI) -> None:
    """Answer everything that isn't a success the REGARDS way."""

    @app.exception_handler(Refused)
    async def refused(_: Request, refusal: Refused) -> Response:
        return messages_answer(refusal.status, *refusal.messages)

    @app.exception_handler(RequestValidationError)
    async def bad_request(_: Request, error: RequestValidationError) -> Response:
        return messages_answer(400, *(_sentence(problem) for problem in error.errors()))

    @app.exception_handler(HTTPException)
    async def unserved(request: Request, error: HTTPException) -> Response:
        """Unknown route, wrong verb (decisions.md, Q2)."""
        answer = messages_answer(
            error.status_code, f"{error.detail}: {request.method} {request.url.path}"
        )
        answer.headers.update(error.headers or {})
        return answer


def _sentence(problem: dict[str, object]) -> str:
    location = problem["loc"]
    names = location[1:] if isinstance(location, tuple) else ()
    return f"{'.'.join(str(name) for name in names)}: {problem['msg']}"
