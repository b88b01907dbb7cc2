"""The arguments of an endpoint are those that the framework would pass."""

from contextlib import AsyncExitStack
from typing import Any

import pytest
from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.dependencies.utils import solve_dependencies
from fastapi.routing import APIRoute

from rs_order.app.rest import absent_services, create_app
from rs_order.rest.arguments import Arguments, Unreadable

VALUES = [
    "",
    "7",
    "-1",
    "x",
    "1e3",
    "true",
    "DONE",
    "owner,desc",
    "2026-01-23T09:21:50Z",
    "é",
    "9" * 30,
]


def routes() -> list[APIRoute]:
    app = create_app(absent_services())
    return [route for route in app.routes if isinstance(route, APIRoute)]


def parameters(dependant: Dependant, kind: str) -> list[Any]:
    own: list[Any] = getattr(dependant, kind)
    return own + [one for inner in dependant.dependencies for one in parameters(inner, kind)]


def request_of(dependant: Dependant, value: str | None, times: int = 1) -> Request:
    """Return a request in which each parameter has the value, so many times; None: in the path only."""
    given = [] if value is None else [value] * times
    query = [(one.alias, each) for one in parameters(dependant, "query_params") for each in given]
    headers = [
        (one.alias, each) for one in parameters(dependant, "header_params") for each in given
    ]
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/",
        "query_string": "&".join(f"{name}={each}" for name, each in query).encode(),
        "headers": [(name.lower().encode(), each.encode()) for name, each in headers],
        "path_params": {one.alias: value or "7" for one in parameters(dependant, "path_params")},
        "state": {"caller": "a caller", "visit": "a visit"},
    }
    return Request(scope)


async def of_the_framework(dependant: Dependant, request: Request) -> dict[str, Any] | None:
    """Return the arguments, or None if one can't be read."""
    async with AsyncExitStack() as stack:
        request.scope.update(fastapi_inner_astack=stack, fastapi_function_astack=stack)
        solved = await solve_dependencies(
            request=request, dependant=dependant, async_exit_stack=stack, embed_body_fields=False
        )
    return None if solved.errors else solved.values


async def ours(arguments: Arguments, request: Request) -> dict[str, Any] | None:
    try:
        return await arguments.read(request)
    except Unreadable:
        return None


@pytest.mark.parametrize("times", [1, 2], ids=["once", "twice"])
async def test_arguments_are_those_of_the_framework(times: int) -> None:
    """For each endpoint without a body, with values of many kinds in each of its parameters."""
    compared = 0
    for route in routes():
        arguments = Arguments.of(route.dependant)
        if arguments is None:
            continue
        for value in (None, *VALUES):
            request = request_of(route.dependant, value, times)
            expected = await of_the_framework(route.dependant, request)

            assert await ours(arguments, request) == expected, (route.path, value)
            compared += 1

    assert compared > 100 * len(VALUES)


def test_every_endpoint_without_a_body_is_read_directly() -> None:
    """One that isn't has a parameter of a kind that ``arguments.py`` doesn't know."""
    left = [
        route.path
        for route in routes()
        if Arguments.of(route.dependant) is None and not route.dependant.body_params
    ]

    assert left == []
