"""Builds the application around the routers: middleware, error responses, the public prefix."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fastapi import APIRouter, FastAPI

from rs_order.rest.errors import install_error_answers
from rs_order.rest.forwarded import ForwardedHeaders, Network
from rs_order.rest.middleware import (
    CommonHeaders,
    HeadRequests,
    PublicPrefix,
    QueryToken,
    RequestLog,
)
from rs_order.rest.openapi import DescribedApp


@dataclass(frozen=True, slots=True)
class RestSettings:
    """Settings that apply to every endpoint."""

    token_in_query: bool = False
    """Accept ``?token=`` in place of the Authorization header, as the gateway does.

    Proxies log the tokens in addresses, so the default is off.
    """
    cross_origins: tuple[str, ...] = ()
    """Hosts or origins whose pages may call the service; if empty, all may (rest.md 2.5)."""
    trusted_proxies: Sequence[Network] = ()
    """Networks of the proxies whose forwarded headers are applied."""


def create_rest_app(
    routers: Callable[[FastAPI], Sequence[APIRouter]], settings: RestSettings
) -> FastAPI:
    """Return the application that serves the routers on ``/`` and on the public prefix.

    Args:
        routers: returns the routers of the application. The first route that matches is used.
        settings: settings that apply to every endpoint.
    """
    app = DescribedApp()
    for router in routers(app):
        # The framework's way to include a router builds each endpoint once more, with its models.
        app.router.routes.extend(router.routes)
    install_error_answers(app)
    # Starlette calls the middleware that was added last first.
    app.add_middleware(HeadRequests, routes=app.routes)
    app.add_middleware(PublicPrefix)
    if settings.token_in_query:
        app.add_middleware(QueryToken)
    app.add_middleware(CommonHeaders, origins=settings.cross_origins)
    app.add_middleware(RequestLog)
    app.add_middleware(ForwardedHeaders, trusted=settings.trusted_proxies)
    return app
