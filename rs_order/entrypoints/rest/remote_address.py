"""Where a request comes from, for roles that may only be used from some addresses (rest.md 2.3)."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from fastapi import Request

Network = IPv4Network | IPv6Network
_FORWARDED_FOR = "X-Forwarded-For"


def remote_address(request: Request, trusted: Sequence[Network]) -> str:
    """The caller's IP address, empty when there is none.

    Each proxy adds the address it was called from at the end of ``X-Forwarded-For``, and whatever
    stands before that was written by the caller, who can write anything. So the header is read from
    its end, for as long as the one who wrote an entry is trusted: the first address that isn't a
    trusted proxy's is the caller. Without trusted proxies that is whoever opened the connection.
    """
    address = request.client.host if request.client else ""
    written = [
        entry.strip()
        for header in request.headers.getlist(_FORWARDED_FOR)
        for entry in header.split(",")
    ]
    while written and _is_one_of(address, trusted):
        address = written.pop()
    parsed = _parsed(address)
    return str(parsed) if parsed else address


def _is_one_of(address: str, trusted: Sequence[Network]) -> bool:
    parsed = _parsed(address)
    return parsed is not None and any(parsed in network for network in trusted)


def _parsed(address: str) -> IPv4Address | IPv6Address | None:
    """An IPv4 address stays one when it comes by way of IPv6 (``::ffff:10.0.0.1``)."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return None
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped:
        return parsed.ipv4_mapped
    return parsed
