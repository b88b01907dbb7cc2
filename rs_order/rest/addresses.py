"""Addresses of the service as the caller sees them (rest.md 1.2)."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

from fastapi import Request
from starlette.datastructures import URL

from rs_order.domain.identity import SERVICE
from rs_order.rest.forwarded import forwarded_prefix

PUBLIC_PREFIX: Final = f"/api/v1/{SERVICE}"
"""The path prefix under which the gateway publishes the service.

The service serves it too, so that it also works without a gateway (rest.md 1.1).
"""


def base_address(request: Request) -> str:
    """Return scheme, host, port and prefix for links, as the caller sees them."""
    prefix = forwarded_prefix(request.scope)
    if not prefix and request.url.path.startswith(f"{PUBLIC_PREFIX}/"):
        prefix = PUBLIC_PREFIX
    return f"{request.url.scheme}://{request.url.netloc}{prefix}"


def service_path(request: Request) -> str:
    """Return the path of the request without the public prefix."""
    path = quote(request.url.path, safe="/:,@")
    return path.removeprefix(PUBLIC_PREFIX) if path.startswith(f"{PUBLIC_PREFIX}/") else path


def own_address(request: Request) -> URL:
    """Return the full URL of the request as the caller sees it, with its query."""
    address = URL(f"{base_address(request)}{service_path(request)}")
    return address.replace(query=request.url.query)


def expand(template: str, variables: Mapping[str, object]) -> str:
    """Return a path template with its variables replaced by their values."""
    path = template
    for name, value in variables.items():
        text = str(value)
        quoted = text if text.isalnum() and text.isascii() else quote(text, safe=":")
        path = path.replace(f"{{{name}}}", quoted)
    return path
