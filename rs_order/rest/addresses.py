"""Under which address the caller sees the service (rest.md 1.2)."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

from fastapi import Request
from starlette.datastructures import URL

from rs_order.domain.identity import SERVICE
from rs_order.rest.forwarded import forwarded_prefix

PUBLIC_PREFIX: Final = f"/api/v1/{SERVICE}"
"""Where the gateway puts the service; served too, for when there is none (rest.md 1.1)."""


def base_address(request: Request) -> str:
    """Return scheme, host, port and prefix for links, as the caller sees them."""
    prefix = forwarded_prefix(request.scope)
    if not prefix and request.url.path.startswith(f"{PUBLIC_PREFIX}/"):
        prefix = PUBLIC_PREFIX
    return f"{request.url.scheme}://{request.url.netloc}{prefix}"


def service_path(request: Request) -> str:
    """The path of the request below the prefix."""
    path = quote(request.url.path, safe="/:,@")
    return path.removeprefix(PUBLIC_PREFIX) if path.startswith(f"{PUBLIC_PREFIX}/") else path


def own_address(request: Request) -> URL:
    """The address of the request itself, as the caller sees it, query included."""
    address = URL(f"{base_address(request)}{service_path(request)}")
    return address.replace(query=request.url.query)


def filled(template: str, variables: Mapping[str, object]) -> str:
    """A path template with its variables filled in."""
    path = template
    for name, value in variables.items():
        path = path.replace(f"{{{name}}}", quote(str(value), safe=":"))
    return path
