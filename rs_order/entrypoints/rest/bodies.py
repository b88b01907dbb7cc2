"""Bodies that aren't read: in another form than the endpoint takes, or too large (decisions.md, Q2)."""

from email.message import Message
from typing import Final

from fastapi import HTTPException, Request
from fastapi.params import Form
from fastapi.routing import APIRoute
from starlette.types import Message as AsgiMessage

from rs_order.entrypoints.rest.errors import Refused

JSON: Final = "application/json"
MULTIPART: Final = "multipart/form-data"


def media_type_of(route: APIRoute) -> str | None:
    """What the body of a route's requests is written in; None: it has none."""
    if route.body_field is None:
        return None
    return MULTIPART if isinstance(route.body_field.field_info, Form) else JSON


def check_media_type(request: Request, takes: str | None) -> None:
    """Look at the header, before the body is read (rest.md 3.1).

    A request without a body is let through: whether one is needed is the endpoint's to say.

    Raises:
        Refused: 415 for a body that is written in something else, or doesn't say in what.
    """
    if takes is None or not _has_body(request):
        return
    given = request.headers.get("Content-Type", "")
    if not _fits(given, takes):
        what = f"not {given}" if given else "and must say so in its Content-Type"
        raise Refused(415, f"The body of {request.method} {request.url.path} is {takes}, {what}")


def limited(request: Request, most: int) -> Request:
    """The request, whose body may have so many bytes.

    FastAPI has such a limit too, which answers in plain text and even where the caller is refused.

    Raises:
        HTTPException: 413, now when the request says how long its body is, else once it is read.
    """
    if _announced(request) > most:
        raise _too_large(most)
    received = 0

    async def receive() -> AsgiMessage:
        nonlocal received
        message = await request.receive()
        received += len(message.get("body", b""))
        if received > most:
            # FastAPI lets this kind pass; another would be "an error parsing the body".
            raise _too_large(most)
        return message

    return Request(request.scope, receive)


def _too_large(most: int) -> HTTPException:
    return HTTPException(413, f"The body is larger than {most} bytes")


def _announced(request: Request) -> int:
    length = request.headers.get("Content-Length", "")
    return int(length) if length.isdecimal() else 0


def _has_body(request: Request) -> bool:
    return "Transfer-Encoding" in request.headers or _announced(request) > 0


def _fits(given: str, takes: str) -> bool:
    message = Message()
    message["Content-Type"] = given
    written = message.get_content_type() if given else ""
    return written == takes or (
        takes == JSON and written.startswith("application/") and written.endswith("+json")
    )
