"""The router finds the endpoint that a search through all of them finds."""

import re

import pytest
from fastapi import APIRouter
from starlette.routing import BaseRoute, Match, Mount, Route
from starlette.types import Receive, Scope, Send

from rs_order.app.rest import absent_services, create_app
from rs_order.rest.addresses import PUBLIC_PREFIX
from rs_order.rest.indexed_router import IndexedRouter

VERBS = ("GET", "HEAD", "POST", "PUT", "DELETE")


def scope_of(verb: str, path: str, prefix: str = "") -> Scope:
    return {"type": "http", "method": verb, "path": prefix + path, "root_path": prefix}


def first_of(routes: list[BaseRoute], scope: Scope) -> BaseRoute | None:
    return next((one for one in routes if one.matches(dict(scope))[0] is Match.FULL), None)


@pytest.mark.parametrize("prefix", ["", PUBLIC_PREFIX])
async def test_every_request_finds_the_first_route_that_matches(
    prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each path with each verb; the variables have the values of other routes' segments, too."""
    found: list[BaseRoute | None] = []

    async def handle(route: Route, _: Scope, __: Receive, ___: Send) -> None:
        found.append(route)

    async def give_up(*_: object) -> None:
        found.append(None)

    monkeypatch.setattr("fastapi.routing.APIRoute.handle", handle)
    monkeypatch.setattr(Route, "handle", handle)
    monkeypatch.setattr(APIRouter, "app", give_up)
    router = create_app(absent_services()).router
    assert isinstance(router, IndexedRouter)
    paths = {
        re.sub(r"{\w+}", value, route.path)
        for route in router.routes
        if isinstance(route, Route)
        for value in ("7", "orders", "public", "metalink")
    }
    for verb in VERBS:
        for path in sorted(paths | {"", "/nowhere", "//user/orders"}):
            scope = scope_of(verb, path, prefix)
            await router.app(dict(scope), None, None)  # type: ignore[arg-type] # nobody is served

            assert found.pop() is first_of(router.routes, scope), (verb, path)


async def test_a_route_without_a_verb_is_refused() -> None:
    """It could match anything, before a route that the index knows."""
    router = IndexedRouter()
    router.routes.append(Mount("/files", routes=[]))
    with pytest.raises(TypeError, match="without verbs"):
        await router.app(scope_of("GET", "/files/1"), None, None)  # type: ignore[arg-type] # as above
