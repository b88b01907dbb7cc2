"""What the body of a request may be: of the media type its endpoint takes, and not too large."""

from typing import Final

from fastapi import Request, params
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.types import Message

from rs_order.entrypoints.rest.errors import Refused

JSON: Final = "application/json"
MULTIPART: Final = "multipart/form-data"


def media_type_of(route: APIRoute) -> str | None:
    """What an endpoint takes; None when it takes no body."""
    if route.body_field is None:
        return None
    return MULTIPART if isinstance(route.body_field.field_info, params.Form) else JSON


def require_media_type(request: Request, wanted: str) -> None:
    """Look at what the body is said to be; of an absent JSON body nothing has to be said (rest.md 3.1).

    Raises:
        Refused: 415 for another type, or for none.
    """
    if wanted == JSON and not _has_body(request):
        return
    said = request.headers.get("Content-Type", "")
    kind = said.partition(";")[0].strip().lower()
    of_json = kind.startswith("application/") and kind.endswith("+json")
    if kind != wanted and not (wanted == JSON and of_json):
        raise Refused(415, f"The body must be {wanted}, not {said or 'of no type'}")


def limited(request: Request, most: int) -> Request:
    """The request, whose body ends with a 413 where it has more bytes than allowed.

    Raises:
        HTTPException: 413, at once for a body that announces its size.
    """
    too_large = HTTPException(413, f"The body is larger than {most} bytes")
    length = request.headers.get("Content-Length", "")
    if length.isdecimal() and int(length) > most:
        raise too_large
    read = 0

    async def receive() -> Message:
        nonlocal read
        message = await request.receive()
        read += len(message.get("body", b""))
        if read > most:
            raise too_large
        return message

    return Request(request.scope, receive)


def _has_body(request: Request) -> bool:
    length = request.headers.get("Content-Length")
    return length != "0" if length is not None else "Transfer-Encoding" in request.headers
