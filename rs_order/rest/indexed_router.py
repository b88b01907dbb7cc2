"""Finds the endpoint of a request by the beginning of its path, instead of trying one after the other."""

from collections.abc import Mapping, Sequence
from typing import Final

from fastapi import APIRouter
from starlette.routing import BaseRoute, Match, Route
from starlette.types import Receive, Scope, Send

_Beginning = tuple[str, str, str]
"""A verb, and the first two segments of a path."""
_ANY: Final = "{}"
"""Stands for a segment that is a variable."""


class IndexedRouter(APIRouter):
    """A router that tries only the routes whose verb and first two segments may be those of the request.

    Of several routes that match, the first one is used, as in any router. A request that no route serves is
    left to the framework, which tries them all to find out why.
    """

    _index: Mapping[_Beginning, Sequence[BaseRoute]] | None = None
    """Made when the first request arrives: all routes are known then."""

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            for route in self._candidates(scope):
                match, found = route.matches(scope)
                if match is Match.FULL:
                    scope.update(found)
                    await route.handle(scope, receive, send)
                    return
        await super().app(scope, receive, send)

    def _candidates(self, scope: Scope) -> Sequence[BaseRoute]:
        if self._index is None:
            self._index = _indexed(self.routes)
        verb: str = scope["method"]
        path: str = scope["path"]
        first, second = _segments(path.removeprefix(scope.get("root_path", "")))
        for beginning in ((verb, first, second), (verb, first, _ANY), (verb, _ANY, _ANY)):
            found = self._index.get(beginning)
            if found is not None:
                return found
        return ()


def _segments(path: str) -> tuple[str, str]:
    """Return the first two segments of a path; one that isn't there is empty."""
    parts = path.split("/", 3)
    return (parts[1] if len(parts) > 1 else ""), (parts[2] if len(parts) > 2 else "")  # noqa: PLR2004


def _indexed(routes: Sequence[BaseRoute]) -> dict[_Beginning, list[BaseRoute]]:
    """Return the routes that may match a request, in their order, by what it begins with."""
    beginnings = [(route, one) for route in routes for one in _beginnings(route)]
    return {
        wanted: [route for route, one in beginnings if _covers(one, wanted)]
        for _, wanted in beginnings
    }


def _beginnings(route: BaseRoute) -> list[_Beginning]:
    """Return the beginnings of the requests that a route serves, one for each verb."""
    if not isinstance(route, Route) or not route.methods:
        raise TypeError(f"a route without verbs can't be found by its beginning: {route!r}")
    first, second = _segments(route.path)
    if "{" in first:
        first = second = _ANY
    elif "{" in second:
        second = _ANY
    return [(verb, first, second) for verb in sorted(route.methods)]


def _covers(one: _Beginning, wanted: _Beginning) -> bool:
    """True if a route with a beginning may serve requests with the other."""
    verb, first, second = one
    return verb == wanted[0] and (
        first == _ANY or (first == wanted[1] and second in (_ANY, wanted[2]))
    )
