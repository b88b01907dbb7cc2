"""Registers endpoints. Each has a resource, and its caller is checked before its body is read."""

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request, Response, params
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.types import Message

from rs_order.contracts.platform_names import ADMINISTRATORS
from rs_order.core.errors import InMaintenance
from rs_order.domain.identity import Caller
from rs_order.ports import Resource
from rs_order.rest.access import (
    Access,
    authenticate,
    require_allowed_address,
    require_allowed_rate,
    require_allowed_role,
    require_no_maintenance,
    require_served_tenant,
)
from rs_order.rest.arguments import handler_of
from rs_order.rest.errors import IN_MAINTENANCE, HttpError, Messages
from rs_order.rest.forwarded import header_of
from rs_order.rest.keyed_requests import (
    KEY_HEADER,
    KeyedAnswers,
    documented_key,
    with_key_responses,
)
from rs_order.rest.problems import answer_with_problems, documented_problem
from rs_order.rest.rate_limits import add_rate_fields
from rs_order.store.errors import StoreError

MAX_BODY: Final = 2**20
"""Largest JSON body in bytes. The largest one that peers send has some kilobytes."""

Responses = Mapping[int, str]
"""Descriptions of responses with a ``{"messages": …}`` body, by status."""

Documented = Mapping[int | str, Mapping[str, Any]]
"""OpenAPI response objects by status or ``default``, for responses with another body or none."""

BAD_BODY: Final[Responses] = {
    400: "The body is missing or can't be read",
    413: "The body is too long",
    415: "The body isn't JSON",
}
STORE_UNAVAILABLE: Final[Responses] = {503: "The database doesn't answer; nothing was changed"}

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


async def _caller(request: Request) -> Caller:
    """Return the caller. It is a coroutine because FastAPI runs plain functions in a thread."""
    caller: Caller = request.state.caller
    return caller


AuthorisedCaller = Annotated[Caller, Depends(_caller)]
"""The caller of an endpoint, whose role may use its resource."""


class Endpoints:
    """A router whose endpoints are resources."""

    def __init__(
        self,
        access: Access,
        *,
        tag: str,
        problems: bool = False,
        keyed: KeyedAnswers | None = None,
    ) -> None:
        """Make an empty router.

        Args:
            access: the dependencies of the checks before each endpoint.
            tag: groups the endpoints in the OpenAPI document.
            problems: failures are problems with ``messages`` (faces.md C-3), not only messages.
            keyed: answers requests with an ``Idempotency-Key``, for endpoints that create; None: they are
                only described.
        """
        self.router = APIRouter(tags=[tag])
        self._access = access
        self._problems = problems
        self._keyed = keyed

    def serve(
        self,
        resource: Resource,
        *,
        verb: str | None = None,
        success: int = 200,
        model: Any = None,
        media_type: str | None = None,
        responses: Responses | None = None,
        documented: Documented | None = None,
        max_body: int = MAX_BODY,
        creates: bool = False,
        finds_maintenance: bool = False,
    ) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Decorate the function that serves a resource.

        Args:
            resource: the path template, the verb and the roles that may use it.
            verb: used instead of the resource's: whoever may GET may also HEAD.
            success: the status of a success.
            model: the model of a success's JSON body, or None if it has no such body.
            media_type: of a success's body; None: JSON.
            responses: further failures, with a ``{"messages": …}`` body or a problem.
            documented: further responses with another body or none.
            max_body: the largest body in bytes. A larger one gets 413.
            creates: it creates something each time, so an ``Idempotency-Key`` counts, and the answer has the
                caller's rate (faces.md I-1, H-1).
            finds_maintenance: its use case reads with its first statement whether the tenant is in
                maintenance, and raises ``InMaintenance`` then, so no statement reads that before.
        """
        used = verb or resource.verb
        failures = {**_common_responses(resource, used), **(responses or {})}
        if self._problems:
            failures.setdefault(400, "A parameter can't be read")
        described = _described(failures, documented or {}, model, success, problems=self._problems)
        route = _protected_route(
            _Protection(
                access=self._access,
                resource=resource,
                max_body=max_body,
                keyed=self._keyed,
                creates=creates,
                finds_maintenance=finds_maintenance,
                problems=self._problems,
            )
        )
        extra = {"parameters": [documented_key()]} if creates else None
        if creates:
            described = with_key_responses(described, success)

        def add(handler: Callable[..., Any]) -> Callable[..., Any]:
            options = {
                "responses": described,
                "status_code": success,
                "openapi_extra": extra,
            }
            self._add(handler, resource, used, route, _response_class(media_type), **options)
            return handler

        return add

    def _add(
        self,
        handler: Callable[..., Any],
        resource: Resource,
        verb: str,
        route: type[APIRoute],
        response_class: type[Response],
        **options: Any,
    ) -> None:
        self.router.add_api_route(
            resource.template,
            handler,
            methods=[verb],
            response_class=response_class,
            summary=resource.description,
            route_class_override=route,
            operation_id=handler.__name__,
            **options,
        )


def _response_class(media_type: str | None) -> type[Response]:
    """Return the class by which a body of this type is documented: JSON by its model, others as text."""
    base = JSONResponse if media_type is not None and media_type.endswith("+json") else Response
    return type("TypedResponse", (base,), {"media_type": media_type})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Protection:
    """The checks before an endpoint reads its body. ``Endpoints.serve`` explains the members."""

    access: Access
    resource: Resource
    max_body: int
    keyed: KeyedAnswers | None
    creates: bool
    finds_maintenance: bool
    problems: bool

    async def answer(self, request: Request, handle: Handler, media_type: str | None) -> Response:
        """Return the answer of the handler if all checks allow the request."""
        access, resource = self.access, self.resource
        if self.problems:
            answer_with_problems(request.scope)
        caller = authenticate(request, access)
        rate = require_allowed_rate(request, access, caller, resource)
        if resource.of_tenant:
            await require_served_tenant(access, caller)
        await require_allowed_address(request, access, caller)
        if not self.finds_maintenance:
            await require_no_maintenance(access, caller, resource, request.method)
        try:
            require_allowed_role(access, caller, resource)
            request.state.caller = caller
            if media_type is not None:
                require_media_type(request, media_type)
            answer = await self._handled(limited(request, self.max_body), caller, handle)
        except (InMaintenance, StoreError):
            raise
        except Exception:
            if self.finds_maintenance:
                # Whatever else is wrong with a request, maintenance is what it is told.
                await require_no_maintenance(access, caller, resource, request.method)
            raise
        if self.creates:
            add_rate_fields(answer, rate)
        return answer

    async def _handled(self, request: Request, caller: Caller, handle: Handler) -> Response:
        if self.creates and self.keyed is not None and KEY_HEADER in request.headers:
            return await self.keyed.answer(request, caller, self.resource, handle)
        return await handle(request)


def _protected_route(protection: _Protection) -> type[APIRoute]:
    class ProtectedRoute(APIRoute):
        """Rejects callers that may not use the resource, and bodies that the endpoint can't read."""

        def get_route_handler(self) -> Handler:
            handle = handler_of(self, super().get_route_handler())
            media_type = media_type_of(self)

            async def protected(request: Request) -> Response:
                return await protection.answer(request, handle, media_type)

            return protected

    return ProtectedRoute


JSON: Final = "application/json"
MULTIPART: Final = "multipart/form-data"


def media_type_of(route: APIRoute) -> str | None:
    """Return the media type of the body that an endpoint reads, or None if it reads no body."""
    if route.body_field is None:
        return None
    return MULTIPART if isinstance(route.body_field.field_info, params.Form) else JSON


def require_media_type(request: Request, wanted: str) -> None:
    """Check the media type of the body. A JSON body may be absent, and then needs no type (rest.md 3.1).

    Raises:
        HttpError: 415 if the type is another one or missing.
    """
    if wanted == JSON and not _has_body(request):
        return
    header = header_of(request.scope, b"content-type") or ""
    media_type = header.partition(";")[0].strip().lower()
    is_json = media_type.startswith("application/") and media_type.endswith("+json")
    if media_type != wanted and not (wanted == JSON and is_json):
        raise HttpError(415, f"The body must be {wanted}, not {header or 'of no type'}")


def _has_body(request: Request) -> bool:
    length = header_of(request.scope, b"content-length")
    if length is not None:
        return length != "0"
    return header_of(request.scope, b"transfer-encoding") is not None


def limited(request: Request, most: int) -> Request:
    """Return the request with a body that raises a 413 as soon as more than ``most`` bytes are read.

    Raises:
        HTTPException: 413 if the header Content-Length already exceeds the limit.
    """
    length = header_of(request.scope, b"content-length") or ""
    if length.isdecimal() and int(length) > most:
        raise _too_large(most)
    read = 0

    async def receive() -> Message:
        nonlocal read
        message = await request.receive()
        read += len(message.get("body", b""))
        if read > most:
            raise _too_large(most)
        return message

    return Request(request.scope, receive)


def _too_large(most: int) -> HTTPException:
    return HTTPException(413, f"The body is larger than {most} bytes")


def _common_responses(resource: Resource, verb: str) -> Responses:
    """Return the responses common to all endpoints of this kind."""
    common = {
        401: "The token is missing or invalid, or the role may not be used from the caller's address",
        403: "The caller's role may not use the endpoint, or the caller may not access the object",
        503: "The database or another service doesn't answer; nothing was changed",
    }
    if resource.default_role not in ADMINISTRATORS:
        common[429] = "The caller sent too many requests; `Retry-After` says when to try again"
    if resource.of_tenant:
        common[404] = "This deployment doesn't serve the caller's project"
    if verb != "GET":
        common[IN_MAINTENANCE] = "The caller's project is in maintenance"
    return common


def _described(
    responses: Responses, documented: Documented, model: Any, success: int, *, problems: bool
) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI response objects of an endpoint."""
    described: dict[int | str, dict[str, Any]] = {
        status: documented_problem(text) if problems else {"description": text, "model": Messages}
        for status, text in responses.items()
    }
    if model is not None:
        described[success] = {"model": model}
    return {**described, **{status: dict(one) for status, one in documented.items()}}
