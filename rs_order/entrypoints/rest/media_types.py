"""Bodies in another form than an endpoint takes: 415 (rest.md 3.1; decisions.md, Q2)."""

from email.message import Message
from typing import Final

from fastapi import Request
from fastapi.params import Form
from fastapi.routing import APIRoute

from rs_order.entrypoints.rest.errors import Refused

JSON: Final = "application/json"
MULTIPART: Final = "multipart/form-data"


def media_type_of(route: APIRoute) -> str | None:
    """What the body of a route's requests is written in; None: it has none."""
    if route.body_field is None:
        return None
    return MULTIPART if isinstance(route.body_field.field_info, Form) else JSON


def check_media_type(request: Request, takes: str | None) -> None:
    """Look at the header, before the body is read.

    A request without a body is let through: whether one is needed is the endpoint's to say.

    Raises:
        Refused: 415 for a body that is written in something else, or doesn't say in what.
    """
    if takes is None or not _has_body(request):
        return
    given = request.headers.get("Content-Type", "")
    if not _fits(given, takes):
        what = f"not {given}" if given else "and says so in its Content-Type"
        raise Refused(415, f"The body of {request.method} {request.url.path} is {takes}, {what}")


def _has_body(request: Request) -> bool:
    return "Transfer-Encoding" in request.headers or request.headers.get(
        "Content-Length", "0"
    ) not in ("", "0")


def _fits(given: str, takes: str) -> bool:
    message = Message()
    message["Content-Type"] = given
    written = message.get_content_type() if given else ""
    return written == takes or (
        takes == JSON and written.startswith("application/") and written.endswith("+json")
    )
