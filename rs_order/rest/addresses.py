"""Addresses of the service as the caller sees them (rest.md 1.2)."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Final
from urllib.parse import quote

from fastapi import Request
from starlette.datastructures import URL

from rs_order.domain.identity import SERVICE
from rs_order.rest.forwarded import forwarded_prefix, header_of

PUBLIC_PREFIX: Final = f"/api/v1/{SERVICE}"
"""The path prefix under which the gateway publishes the service.

The service serves it too, so that it also works without a gateway (rest.md 1.1).
"""


def base_address(request: Request) -> str:
    """Return scheme, host, port and prefix for links, as the caller sees them."""
    scope = request.scope
    prefix = forwarded_prefix(scope)
    if not prefix and scope["path"].startswith(f"{PUBLIC_PREFIX}/"):
        prefix = PUBLIC_PREFIX
    server = scope.get("server")
    host = header_of(scope, b"host")
    return _origin(scope["scheme"], host, tuple(server) if server else None) + prefix


@lru_cache
def _origin(scheme: str, host: str | None, server: tuple[str, int] | None) -> str:
    """Return scheme, host and port of a request to a server with a header ``Host``."""
    headers = [] if host is None else [(b"host", host.encode("latin-1"))]
    address = URL(scope={"scheme": scheme, "path": "/", "server": server, "headers": headers})
    return f"{address.scheme}://{address.netloc}"


def service_path(request: Request) -> str:
    """Return the path of the request without the public prefix."""
    path = quote(request.scope["path"], safe="/:,@")
    return path.removeprefix(PUBLIC_PREFIX) if path.startswith(f"{PUBLIC_PREFIX}/") else path


def own_address(request: Request) -> URL:
    """Return the full URL of the request as the caller sees it, with its query."""
    address = URL(f"{base_address(request)}{service_path(request)}")
    return address.replace(query=request.url.query)


def expand(template: str, variables: Mapping[str, object]) -> str:
    """Return a path template with its variables replaced by their values."""
    path = template
    for name, value in variables.items():
        path = path.replace(f"{{{name}}}", quoted(value))
    return path


def quoted(value: object) -> str:
    """Return the value of a variable as part of a path."""
    if isinstance(value, int):
        return str(value)
    text = str(value)
    return text if text.isalnum() and text.isascii() else quote(text, safe=":")
