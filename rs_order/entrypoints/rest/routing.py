"""How an endpoint comes into being: always with its resource, so that none is open by mistake."""

from collections.abc import Callable, Coroutine, Mapping
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request, Response
from fastapi.routing import APIRoute

from rs_order.domain.identity import Caller
from rs_order.entrypoints.rest.authentication import (
    admitted,
    authenticated,
    authorised,
    of_served_tenant,
)
from rs_order.entrypoints.rest.errors import Messages
from rs_order.entrypoints.rest.resources import Resource
from rs_order.entrypoints.rest.services import RestServices

MAX_BODY: Final = 2**20
"""Bytes of a JSON body; the largest that peers send has some kilobytes."""

Responses = Mapping[int, str]
"""What the statuses of an endpoint mean, for its documentation."""

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
        success: int = 200,
        model: Any = None,
        responses: Responses | None = None,
        documented: Mapping[int | str, Mapping[str, Any]] | None = None,
        max_body: int = MAX_BODY,
    ) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Decorate the function that answers a resource.

        Args:
            resource: verb, template and who may call.
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
                methods=[resource.verb],
                status_code=success,
                response_model=model,
                response_class=Response,
                summary=resource.description,
                responses=_documented(responses or {}, documented or {}, model, success),
                route_class_override=_guarded(self._services, resource),
                operation_id=handler.__name__,
                max_body_size=max_body,
            )
            return handler

        return add


def _guarded(services: RestServices, resource: Resource) -> type[APIRoute]:
    class Guarded(APIRoute):
        """Lets in who may use the resource, and nobody else."""

        def get_route_handler(self) -> Handler:
            handle = super().get_route_handler()

            async def guarded(request: Request) -> Response:
                caller = authenticated(request, services)
                if resource.of_tenant:
                    await of_served_tenant(services, caller)
                await admitted(request, services, caller)
                request.state.caller = authorised(services, caller, resource)
                return await handle(request)

            return guarded

    return Guarded


_ALWAYS: Final[Responses] = {
    401: "No token that can be trusted, or the role may not be used from the caller's address",
    403: "The caller's role, or the caller himself, isn't allowed",
    404: "This deployment doesn't serve the caller's project",
    503: "What the roles of the project may do isn't known yet",
}


def _documented(
    responses: Responses,
    documented: Mapping[int | str, Mapping[str, Any]],
    model: Any,
    success: int,
) -> dict[int | str, dict[str, Any]]:
    messages: dict[int | str, dict[str, Any]] = {
        status: {"description": meaning, "model": Messages}
        for status, meaning in {**_ALWAYS, **responses}.items()
    }
    if model is not None:
        messages[success] = {"content": {"application/json": {}}}
    return {**messages, **{status: dict(one) for status, one in documented.items()}}
