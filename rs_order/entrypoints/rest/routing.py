"""How an endpoint comes into being: always with its resource, so that none is open by mistake."""

from collections.abc import Callable, Coroutine, Mapping
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request, Response
from fastapi.routing import APIRoute

from rs_order.domain.identity import Caller
from rs_order.entrypoints.rest.authentication import (
    IN_MAINTENANCE,
    admitted,
    authenticated,
    authorised,
    of_served_tenant,
    out_of_maintenance,
)
from rs_order.entrypoints.rest.bodies import limited, media_type_of, require_media_type
from rs_order.entrypoints.rest.errors import Messages
from rs_order.entrypoints.rest.resources import Resource
from rs_order.entrypoints.rest.services import RestServices

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

    def __init__(self, services: RestServices, *, tag: str) -> None:
        self.router = APIRouter(tags=[tag])
        self._services = services

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
                route_class_override=_guarded(self._services, resource, max_body),
                operation_id=handler.__name__,
            )
            return handler

        return add


def _guarded(services: RestServices, resource: Resource, max_body: int) -> type[APIRoute]:
    class Guarded(APIRoute):
        """Lets in who may use the resource, and nobody else."""

        def get_route_handler(self) -> Handler:
            handle = super().get_route_handler()
            media_type = media_type_of(self)

            async def guarded(request: Request) -> Response:
                caller = authenticated(request, services)
                if resource.of_tenant:
                    await of_served_tenant(services, caller)
                await admitted(request, services, caller)
                await out_of_maintenance(services, caller, resource, request.method)
                request.state.caller = authorised(services, caller, resource)
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
