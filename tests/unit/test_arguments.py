"""The arguments of an endpoint are those that the framework would pass."""

import json
from collections import Counter
from contextlib import AsyncExitStack
from typing import Any

import pytest
from fastapi import Request, params
from fastapi.dependencies.models import Dependant
from fastapi.dependencies.utils import solve_dependencies
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from rs_order.app.rest import absent_services, create_app
from rs_order.rest.arguments import Arguments, Unreadable
from rs_order.rest.routing import limited

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


async def of_the_framework(
    dependant: Dependant, request: Request, body: Any = None
) -> dict[str, Any] | None:
    """Return the arguments, or None if one can't be read."""
    async with AsyncExitStack() as stack:
        request.scope.update(fastapi_inner_astack=stack, fastapi_function_astack=stack)
        solved = await solve_dependencies(
            request=request,
            dependant=dependant,
            body=body,
            async_exit_stack=stack,
            embed_body_fields=False,
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
        if arguments is None or arguments.body is not None:
            continue
        for value in (None, *VALUES):
            request = request_of(route.dependant, value, times)
            expected = await of_the_framework(route.dependant, request)

            assert await ours(arguments, request) == expected, (route.path, value)
            compared += 1

    assert compared > 100 * len(VALUES)


BODIES = [
    b"",
    b"{}",
    b"null",
    b"[]",
    b"7",
    b'{"engineType": "legacy", "label": 7, "name": "a", "value": 1}',
    b'{"engineType": 18446744073709551616, "statuses": {"mode": "INCLUDE", "values": ["DONE", null]}}',
    b'{"engineType": [1]}',
    b'{"queries": ["a"], "searchParameters": {"q": [NaN, null]}, "quoteId": "q-1"}',
    b'{"reason": "\\ud800"}',
    b"{",
    b"\xff",
    b"[" * 100_000,
]
MEDIA_TYPES = ["application/json", "Application/JSON; charset=utf-8", "application/x+json"]


def with_body(request: Request, media_type: str, body: bytes) -> Request:
    received = {"type": "http.request", "body": body, "more_body": False}

    async def receive() -> Any:
        return received

    headers = [*request.scope["headers"], (b"content-type", media_type.encode())]
    return Request({**request.scope, "headers": headers}, receive)


@pytest.mark.parametrize("media_type", MEDIA_TYPES)
async def test_bodies_are_those_of_the_framework(media_type: str) -> None:
    """The framework reads what the fast path doesn't, and nothing else."""
    outcomes = Counter[str]()
    for route in routes():
        arguments = Arguments.of(route.dependant)
        if arguments is None or arguments.body is None:
            continue
        for body in BODIES:
            request = with_body(request_of(route.dependant, None), media_type, body)
            direct = await ours(arguments, request)
            outcomes["direct" if direct else "left"] += 1
            if direct is not None:
                expected = await of_the_framework(route.dependant, request, json.loads(body))

                assert direct == expected, (route.path, body)

    assert outcomes["left"] > 100
    assert (outcomes["direct"] > 50) == (media_type != "application/x+json")


async def test_a_body_that_is_too_long_is_no_unreadable_one() -> None:
    """Its 413 isn't left to the framework, which would read on."""
    (route,) = [one for one in routes() if one.path == "/order/basket/selection"]
    arguments = Arguments.of(route.dependant)
    request = with_body(request_of(route.dependant, None), "application/json", b"{}" * 10)

    assert arguments is not None
    with pytest.raises(HTTPException) as rejection:
        await arguments.read(limited(request, 5))
    assert rejection.value.status_code == 413


def test_every_endpoint_without_a_form_is_read_directly() -> None:
    """Two aren't, because a parameter of theirs is a literal, a kind that ``arguments.py`` doesn't know."""
    left = {
        route.path
        for route in routes()
        if Arguments.of(route.dependant) is None
        and not any(isinstance(one.field_info, params.Form) for one in route.dependant.body_params)
    }

    assert left == {"/subscriptions", "/subscriptions/{subscriptionId}"}
