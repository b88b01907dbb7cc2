"""Reads the arguments of endpoints in the way that FastAPI does, with a JSON body if they have one.

FastAPI finds out at each request what the parameters of an endpoint are. That took a quarter of the time
of a short request outside of the database, so it is done once here. Endpoints with a form, or with parameters
of other kinds, are left to FastAPI, and so are requests with an argument that can't be read: it answers why.
"""

import inspect
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from fastapi import Request, Response, params
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from rs_order.rest.forwarded import header_of

Handler = Callable[[Request], Coroutine[Any, Any, Response]]

_JSON: Final = "application/json"
_SIMPLE_DEFAULTS: Final = (NoneType, str, int, bool, timedelta)
"""FastAPI copies a default for each request. These need no copy."""


class Unreadable(Exception):
    """An argument is missing or invalid."""


def handler_of(route: APIRoute, handle: Handler) -> Handler:
    """Return the handler of a route, which uses the framework's handler as far as that is needed."""
    call, arguments = route.dependant.call, Arguments.of(route.dependant)
    if call is None or arguments is None or not _returns_response(call):
        return handle

    async def direct(request: Request) -> Response:
        try:
            values = await arguments.read(request)
        except Unreadable:
            return await handle(request)
        response: Response = await call(**values)
        return response

    return direct


def _returns_response(call: Callable[..., Any]) -> bool:
    returned = inspect.signature(call).return_annotation
    return isinstance(returned, type) and issubclass(returned, Response)


@dataclass(frozen=True, slots=True)
class _Parameter:
    """A parameter whose argument is part of the request."""

    name: str
    source: Literal["path", "query", "header"]
    alias: str
    """Its name in the request."""
    many: bool
    """True if it takes every value of that name."""
    field: Any
    """The framework's field, which validates."""
    default: Any
    required: bool

    @classmethod
    def of(cls, field: Any, source: Literal["path", "query", "header"]) -> "_Parameter | None":
        """Return the parameter, or None if it is of a kind that only the framework reads."""
        info = field.field_info
        many = _takes_many(info.annotation)
        default = None if info.is_required() else info.get_default(call_default_factory=False)
        if (
            many is None
            or field.validation_alias not in (None, field.alias)
            or info.validate_default
            or info.default_factory is not None
            or not isinstance(default, _SIMPLE_DEFAULTS)
        ):
            return None
        return cls(
            field.name, source, field.alias, many, field, default, required=info.is_required()
        )

    def read(self, given: Any) -> Any:
        """Return the argument.

        Args:
            given: the values of the path, the query or the header, by name.

        Raises:
            Unreadable: it is missing or invalid.
        """
        value = given.getlist(self.alias) if self.many else given.get(self.alias)
        if value is None or value == []:
            if self.required:
                raise Unreadable
            return self.default
        argument, errors = self.field.validate(value, {}, loc=())
        if errors:
            raise Unreadable
        return argument


def _takes_many(annotation: Any) -> bool | None:
    """True if a parameter of this type takes a list of values, False if one; None if it isn't known."""
    united = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else [annotation]
    kinds = [get_args(one)[0] if get_origin(one) is Annotated else one for one in united]
    lists = [get_origin(kind) is list for kind in kinds if kind is not NoneType]
    if all(lists):
        return True
    plain = all(isinstance(kind, type) and not issubclass(kind, BaseModel) for kind in kinds)
    return False if plain and not any(lists) else None


@dataclass(frozen=True, slots=True)
class _Body:
    """A parameter that takes the whole JSON body."""

    name: str
    field: Any
    """The framework's field, which validates."""

    @classmethod
    def of(cls, fields: Sequence[Any]) -> "_Body | None":
        """Return the parameter, or None if the body is of a kind that only the framework reads."""
        if len(fields) != 1:
            return None
        (field,) = fields
        info = field.field_info
        whole = isinstance(info, params.Body) and not isinstance(info, params.Form)
        return cls(field.name, field) if whole and not info.embed else None

    async def read(self, request: Request) -> Any:
        """Return the argument.

        Raises:
            Unreadable: there is no body, it isn't JSON, or it is invalid.
            HTTPException: it is too long.
        """
        content = await self._content(request)
        if content is None:
            raise Unreadable
        argument, errors = self.field.validate(content, {}, loc=())
        if errors:
            raise Unreadable
        return argument

    @staticmethod
    async def _content(request: Request) -> Any:
        """Return the values of the JSON; the request keeps them, and the framework may read them again."""
        media_type = (header_of(request.scope, b"content-type") or "").partition(";")[0]
        if media_type.strip().lower() != _JSON:
            raise Unreadable
        try:
            return await request.json()
        except HTTPException:
            raise
        except Exception as error:
            raise Unreadable from error


@dataclass(frozen=True, slots=True)
class Arguments:
    """The parameters of a function."""

    request: str | None
    """The name of the parameter that takes the request."""
    parameters: Sequence[_Parameter]
    dependencies: Mapping[str, tuple[Callable[..., Awaitable[Any]], "Arguments"]]
    """By the name of the parameter that takes the result; each with its own parameters."""
    body: _Body | None = None

    @classmethod
    def of(cls, dependant: Dependant) -> "Arguments | None":
        """Return the parameters, or None if one of them is of a kind that only the framework reads."""
        others = (
            *(dependant.cookie_params, dependant.concurrency),
            *(dependant.response_param_name, dependant.background_tasks_param_name),
            *(dependant.security_scopes_param_name, dependant.own_oauth_scopes),
            *(dependant.http_connection_param_name, dependant.websocket_param_name),
        )
        parameters = [
            *[_Parameter.of(field, "path") for field in dependant.path_params],
            *[_Parameter.of(field, "query") for field in dependant.query_params],
            *[_Parameter.of(field, "header") for field in dependant.header_params],
        ]
        dependencies = {}
        for one in dependant.dependencies:
            known = cls.of(one)
            if known is None or known.body or one.call is None or one.name is None:
                return None
            dependencies[one.name] = _coroutine(one.call), known
        known_parameters = [one for one in parameters if one is not None]
        body = _Body.of(dependant.body_params)
        if (
            any(others)
            or (body is None and dependant.body_params)
            or len(known_parameters) < len(parameters)
            or not (inspect.iscoroutinefunction(dependant.call) or inspect.isclass(dependant.call))
        ):
            return None
        return cls(dependant.request_param_name, known_parameters, dependencies, body)

    async def read(self, request: Request) -> dict[str, Any]:
        """Return the arguments by name.

        Raises:
            Unreadable: one is missing or invalid.
            HTTPException: the body is too long.
        """
        values: dict[str, Any] = {}
        for name, (call, arguments) in self.dependencies.items():
            values[name] = await call(**await arguments.read(request))
        for parameter in self.parameters:
            values[parameter.name] = parameter.read(_values(request, parameter.source))
        if self.body is not None:
            values[self.body.name] = await self.body.read(request)
        if self.request is not None:
            values[self.request] = request
        return values


def _coroutine(call: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
    """Return a dependency as a coroutine. A class is called as it is: the framework would take a thread."""
    if not inspect.isclass(call):
        return call

    async def create(**values: Any) -> Any:
        return call(**values)

    return create


def _values(request: Request, source: Literal["path", "query", "header"]) -> Any:
    match source:
        case "path":
            return request.path_params
        case "query":
            return request.query_params
        case "header":
            return request.headers
