"""Under which address the caller sees the service (rest.md 1.2)."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

from fastapi import Request
from starlette.datastructures import URL

PUBLIC_PREFIX: Final = "/api/v1/rs-order"
"""Where the gateway puts the service; served too, for when there is none (rest.md 1.1)."""


def base_address(request: Request) -> str:
    """Scheme, host, port and prefix for links, as a gateway forwards them, else the request's own."""
    forwarded = _forwarded(request)
    scheme = forwarded.get("proto") or _first(request, "X-Forwarded-Proto") or request.url.scheme
    host = forwarded.get("host") or _first(request, "X-Forwarded-Host") or request.url.netloc
    port = _first(request, "X-Forwarded-Port")
    if port.isdigit() and ":" not in host.rpartition("]")[2] and port != _DEFAULT_PORTS.get(scheme):
        host = f"{host}:{port}"
    prefix = _first(request, "X-Forwarded-Prefix").rstrip("/")
    if not prefix and request.url.path.startswith(f"{PUBLIC_PREFIX}/"):
        prefix = PUBLIC_PREFIX
    return f"{scheme}://{host}{prefix}"


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


_DEFAULT_PORTS: Final = {"http": "80", "https": "443"}


def _first(request: Request, header: str) -> str:
    """A header that proxies add to: the one nearest to the caller comes first."""
    return request.headers.get(header, "").split(",")[0].strip()


def _forwarded(request: Request) -> dict[str, str]:
    """The standard header, ``proto=https;host=example.org, …``."""
    pairs = (pair.partition("=") for pair in _first(request, "Forwarded").split(";"))
    return {name.strip().lower(): value.strip().strip('"') for name, _, value in pairs}
