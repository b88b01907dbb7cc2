"""Registers endpoints, always with their resource, and limits the bodies of requests."""

from collections.abc import Callable, Coroutine, Mapping
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request, Response, params
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.types import Message

from rs_order.domain.identity import Caller
from rs_order.ports import Resource
from rs_order.rest.access import Access
from rs_order.rest.authentication import (
    IN_MAINTENANCE,
    admitted,
    authenticated,
    authorised,
    of_served_tenant,
    out_of_maintenance,
)
from rs_order.rest.errors import HttpError, Messages

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
        HttpError: 415 for another type, or for none.
    """
    if wanted == JSON and not _has_body(request):
        return
    said = request.headers.get("Content-Type", "")
    kind = said.partition(";")[0].strip().lower()
    of_json = kind.startswith("application/") and kind.endswith("+json")
    if kind != wanted and not (wanted == JSON and of_json):
        raise HttpError(415, f"The body must be {wanted}, not {said or 'of no type'}")


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


MAX_BODY: Final = 2**20
"""Bytes of a JSON body; the largest that peers send has some kilobytes."""

Responses = Mapping[int, str]
"""What the statuses of an endpoint mean, for its documentation."""

Documented = Mapping[int | str, Mapping[str, Any]]
"""Statuses (or ``default``) as OpenAPI has them, for those whose body isn't a ``{"messages": …}``."""

BAD_BODY: Final[Responses] = {
    400: "The body is missing or can't be read",
    413: "The body is too long",
    415: "The body isn't JSON",
}
STORE_TROUBLE: Final[Responses] = {503: "The database gave no answer; nothing was changed"}

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


def _caller(request: Request) -> Caller:
    caller: Caller = request.state.caller
    return caller


AuthorisedCaller = Annotated[Caller, Depends(_caller)]
"""Who calls, once the endpoint's resource was found to be allowed to him."""


class Endpoints:
    """A router whose endpoints are resources; the caller is judged before the body is read."""

    def __init__(self, access: Access, *, tag: str) -> None:
        self.router = APIRouter(tags=[tag])
        self._access = access

    def serve(
        self,
        resource: Resource,
        *,
        verb: str | None = None,
        success: int = 200,
        model: Any = None,
        responses: Responses | None = None,
        documented: Documented | None = None,
        max_body: int = MAX_BODY,
    ) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Decorate the function that answers a resource.

        Args:
            resource: verb, template and who may call.
            verb: another than the resource's: HEAD is for whoever may GET.
            success: the status of a success.
            model: of the body of a success; None: it has none, or none in JSON.
            responses: further statuses with a ``{"messages": …}`` body, and what they mean.
            documented: further statuses as OpenAPI has them, for those with another body or none.
            max_body: bytes; larger bodies are answered 413.
        """

        def add(handler: Callable[..., Any]) -> Callable[..., Any]:
            self.router.add_api_route(
                resource.template,
                handler,
                methods=[verb or resource.verb],
                status_code=success,
                response_model=model,
                response_class=Response,
                summary=resource.description,
                responses=_documented(
                    {**_always(resource, verb or resource.verb), **(responses or {})},
                    documented or {},
                    model,
                    success,
                ),
                route_class_override=_guarded(self._access, resource, max_body),
                operation_id=handler.__name__,
            )
            return handler

        return add


def _guarded(access: Access, resource: Resource, max_body: int) -> type[APIRoute]:
    class Guarded(APIRoute):
        """Lets in who may use the resource, and nobody else."""

        def get_route_handler(self) -> Handler:
            handle = super().get_route_handler()
            media_type = media_type_of(self)

            async def guarded(request: Request) -> Response:
                caller = authenticated(request, access)
                if resource.of_tenant:
                    await of_served_tenant(access, caller)
                await admitted(request, access, caller)
                await out_of_maintenance(access, caller, resource, request.method)
                request.state.caller = authorised(access, caller, resource)
                if media_type is not None:
                    require_media_type(request, media_type)
                return await handle(limited(request, max_body))

            return guarded

    return Guarded


def _always(resource: Resource, verb: str) -> Responses:
    """What every endpoint can answer, without its doing."""
    always = {
        401: "No token that can be trusted, or the role may not be used from the caller's address",
        403: "The caller's role, or the caller himself, isn't allowed",
        503: "The database or another service gave no answer; nothing was changed",
    }
    if resource.of_tenant:
        always[404] = "This deployment doesn't serve the caller's project"
    if verb != "GET":
        always[IN_MAINTENANCE] = "The caller's project is in maintenance"
    return always


def _documented(
    responses: Responses,
    documented: Documented,
    model: Any,
    success: int,
) -> dict[int | str, dict[str, Any]]:
    messages: dict[int | str, dict[str, Any]] = {
        status: {"description": meaning, "model": Messages} for status, meaning in responses.items()
    }
    if model is not None:
        messages[success] = {"model": model}
    return {**messages, **{status: dict(one) for status, one in documented.items()}}
