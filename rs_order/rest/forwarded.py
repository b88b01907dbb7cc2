"""Applies the headers in which proxies forward what the caller sent (rest.md 1.2, 2.3).

Headers from trusted proxies count (``RS_ORDER_TRUSTED_PROXIES``); from anyone else they are ignored.

uvicorn's ``ProxyHeadersMiddleware`` sets the client's address behind several proxies and the scheme. This
middleware also sets host, port and prefix, reads the standard header ``Forwarded``, and takes the scheme
from a trusted proxy's entry in a header with several entries.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

Network = IPv4Network | IPv6Network

_PREFIX: Final = "rs_order.prefix"
_SCHEMES: Final = frozenset({"http", "https"})
_DEFAULT_PORTS: Final = {"http": "80", "https": "443"}
_HOST: Final = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?")
_PATH: Final = re.compile(r"(?:/[A-Za-z0-9._~-]+)+")


def header_of(scope: Scope, name: bytes) -> str | None:
    """Return the first header of a request with a name in lower case, or None.

    ``starlette.datastructures.Headers`` decodes each name and value that it passes on its way.
    """
    for key, value in scope["headers"]:
        if key == name:
            return str(value, "latin-1")
    return None


def forwarded_prefix(scope: Scope) -> str:
    """Return the prefix that the gateway removed from the path, or an empty string."""
    prefix: str = scope.get(_PREFIX, "")
    return prefix


class ForwardedHeaders:
    """Middleware that sets client, scheme and host of a request to those that the caller sees.

    Each proxy adds an entry at the end of a header, and the caller can write anything before it. So an
    entry counts only if a trusted proxy wrote it: the last entry if the connection comes from a trusted
    proxy, the entry before it if the last address in ``X-Forwarded-For`` is also a trusted proxy's, and
    so on. Of the entries that count, the first one is used: the proxy closest to the caller wrote it.
    """

    def __init__(self, app: ASGIApp, trusted: Sequence[Network]) -> None:
        self._app = app
        self._trusted = trusted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope.get("client"):
            self._apply(scope)
        await self._app(scope, receive, send)

    def _apply(self, scope: Scope) -> None:
        peer, port = scope["client"]
        if not self._trusts(peer):
            scope["client"] = (_normal(peer), port)
            return
        headers = Headers(scope=scope)
        address, proxies = self._caller(peer, _entries(headers, "X-Forwarded-For"))
        scope["client"] = (address, 0)
        forwarded = _Forwarded.of(headers, proxies)
        if forwarded.scheme in _SCHEMES:
            scope["scheme"] = forwarded.scheme
        if host := forwarded.host_with_port(scope["scheme"], headers.get("Host", "")):
            others = [(name, value) for name, value in scope["headers"] if name != b"host"]
            scope["headers"] = [*others, (b"host", host.encode("latin-1"))]
        if _PATH.fullmatch(forwarded.prefix):
            scope[_PREFIX] = forwarded.prefix

    def _caller(self, peer: str, entries: list[str]) -> tuple[str, int]:
        """Return the caller's address and the number of trusted proxies between it and the service.

        ``peer`` is one of them. The caller's address is the first one, from the end, that is no trusted
        proxy's.
        """
        address, proxies = _normal(peer), 0
        while self._trusts(address):
            proxies += 1
            if not entries:
                break
            address = _normal(entries.pop())
        return address, proxies

    def _trusts(self, address: str) -> bool:
        parsed = _parsed(address)
        return parsed is not None and any(parsed in network for network in self._trusted)


@dataclass(frozen=True, slots=True)
class _Forwarded:
    """The values that the outermost trusted proxy forwarded. A missing value is an empty string."""

    scheme: str
    host: str
    port: str
    prefix: str

    @classmethod
    def of(cls, headers: Headers, proxies: int) -> "_Forwarded":
        def first(header: str) -> str:
            trusted = _entries(headers, header)[-proxies:]
            return trusted[0] if trusted else ""

        standard = _pairs(first("Forwarded"))
        return cls(
            scheme=(standard.get("proto") or first("X-Forwarded-Proto")).lower(),
            host=standard.get("host") or first("X-Forwarded-Host"),
            port=first("X-Forwarded-Port"),
            prefix=first("X-Forwarded-Prefix").rstrip("/"),
        )

    def host_with_port(self, scheme: str, own_host: str) -> str:
        """Return host and port as the caller wrote them, or an empty string if neither is forwarded."""
        host = self.host if _HOST.fullmatch(self.host) else ""
        if not self.port.isdigit():
            return host
        host = host or own_host
        has_port = ":" in host.rpartition("]")[2]
        return host if has_port or self.port == _DEFAULT_PORTS[scheme] else f"{host}:{self.port}"


def _entries(headers: Headers, name: str) -> list[str]:
    """Return the entries of a header, which may stand on several lines."""
    entries = [entry.strip() for line in headers.getlist(name) for entry in line.split(",")]
    return [entry for entry in entries if entry]


def _pairs(element: str) -> dict[str, str]:
    """Return the pairs of an element of the standard header, ``proto=https;host=example.org``."""
    pairs = (pair.partition("=") for pair in element.split(";"))
    return {name.strip().lower(): value.strip().strip('"') for name, _, value in pairs}


@lru_cache(maxsize=1024)
def _normal(address: str) -> str:
    parsed = _parsed(address)
    return str(parsed) if parsed else address


@lru_cache(maxsize=1024)
def _parsed(address: str) -> IPv4Address | IPv6Address | None:
    """Return the address, or None if it is invalid. An IPv4-mapped one (``::ffff:10.0.0.1``) becomes IPv4."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return None
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped:
        return parsed.ipv4_mapped
    return parsed
