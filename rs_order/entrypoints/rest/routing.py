"""How an endpoint comes into being: always with its resource, so that none is open by mistake."""

from collections.abc import Callable, Coroutine, Mapping
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request, Response
from fastapi.params import Form
from fastapi.routing import APIRoute

from rs_order.domain.identity import Caller
from rs_order.entrypoints.rest.authentication import authenticated, authorised, of_served_tenant
from rs_order.entrypoints.rest.errors import Messages, Refused
from rs_order.entrypoints.rest.resources import Resource
from rs_order.entrypoints.rest.services import RestServices

MAX_BODY: Final = 2**20
"""Bytes of a JSON body; the largest that peers send has some kilobytes."""

Responses = Mapping[int, str]
"""What the statuses of an endpoint mean, for its documentation."""

Documented = Mapping[int, Mapping[str, Any]]
"""Statuses as OpenAPI has them, for those whose body isn't a ``{"messages": …}``."""

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
        otherwise: str | None = None,
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
            otherwise: what any other status means, where the answer may be somebody else's.
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
                responses=_documented(responses or {}, documented or {}, model, success)
                | _of_others(otherwise),
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
            takes_json = self.body_field is not None and not isinstance(
                self.body_field.field_info, Form
            )

            async def guarded(request: Request) -> Response:
                caller = authenticated(request, services)
                request.state.caller = authorised(services, caller, resource)
                if resource.of_tenant:
                    await of_served_tenant(services, caller)
                if takes_json:
                    _judge_media_type(request)
                return await handle(request)

            return guarded

    return Guarded


def _judge_media_type(request: Request) -> None:
    """Look at what the body is said to be; without a body, nothing has to be said (rest.md 3.1).

    Raises:
        Refused: 415 for anything but JSON.
    """
    if request.headers.get("Content-Length", "0") == "0" and not _is_chunked(request):
        return
    said = request.headers.get("Content-Type", "")
    kind = said.partition(";")[0].strip().lower()
    if kind != "application/json" and not (
        kind.startswith("application/") and kind.endswith("+json")
    ):
        raise Refused(415, f"The body must be application/json, not {said or 'of no type'}")


def _is_chunked(request: Request) -> bool:
    return "Transfer-Encoding" in request.headers


_ALWAYS: Final[Responses] = {
    401: "No token that can be trusted",
    403: "The caller's role, or the caller himself, isn't allowed",
}


def _documented(
    responses: Responses,
    documented: Documented,
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


def _of_others(meaning: str | None) -> dict[int | str, dict[str, Any]]:
    return {} if meaning is None else {"default": {"description": meaning}}
