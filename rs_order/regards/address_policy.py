"""Decides to which addresses the service may connect for others: no URL of theirs may reach inside.

A name is resolved for each connection, all its addresses are checked, and the connection goes to one of the
checked addresses. So neither a redirect nor a second answer of a name server leads elsewhere (faces.md 4.4).
"""

import asyncio
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

import httpcore
import httpx

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


def _networks(*networks: str) -> tuple[Network, ...]:
    return tuple(ip_network(network) for network in networks)


_INSIDE: Final = _networks(
    "0.0.0.0/8",  # unspecified
    "127.0.0.0/8",  # loopback
    "169.254.0.0/16",  # link-local, with the metadata of most clouds
    "192.0.0.0/24",  # protocol assignments, with the metadata of a cloud
    "224.0.0.0/4",  # multicast
    "240.0.0.0/4",  # reserved, broadcast
    "100.100.100.200/32",  # metadata of clouds
    "168.63.129.16/32",
    "fd00:ec2::/64",
    "fd20:ce::254/128",
    "::/96",  # unspecified, loopback, IPv4-compatible
    "fe80::/10",  # link-local
    "ff00::/8",  # multicast
    "2001::/32",  # Teredo
    "2002::/16",  # 6to4
)
"""Networks that are refused unless the operator allows them."""
_NOT_PUBLIC: Final = _networks("64:ff9b:1::/48", "3fff::/20", "5f00::/16")
"""Networks that Python 3.11 counts as public, although they are not."""
_NAT64: Final = ip_network("64:ff9b::/96")


class AddressRefused(Exception):
    """A host may not be reached. The text doesn't name its address: it must not help to explore a network."""

    code = "address-refused"


@dataclass(frozen=True, slots=True)
class AddressPolicy:
    """The addresses that may be reached."""

    allowed: Sequence[Network] = ()
    """Networks that are allowed whatever else is refused."""
    private: bool = True
    """Allow private networks, in which archives often lie."""

    def permits(self, address: str) -> bool:
        """True if a connection to this IP address is allowed."""
        parsed = _unwrapped(ip_address(address))
        if self.allows(address):
            return True
        if _in(parsed, _INSIDE):
            return False
        return self.private or (parsed.is_global and not _in(parsed, _NOT_PUBLIC))

    def allows(self, address: str) -> bool:
        """True if the address lies in a network that is allowed explicitly."""
        parsed = ip_address(address)
        return _in(parsed, self.allowed) or _in(_unwrapped(parsed), self.allowed)


def _in(address: Address, networks: Iterable[Network]) -> bool:
    return any(address in network for network in networks)


def _unwrapped(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 address stands for, or the address itself."""
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped:
        return address.ipv4_mapped
    return IPv4Address(int(address) & 0xFFFF_FFFF) if address in _NAT64 else address


class GuardedTransport(httpx.AsyncHTTPTransport):
    """A transport of httpx that connects only where the policy permits.

    Raises:
        AddressRefused: the policy doesn't permit an address of the host.
    """

    def __init__(self, policy: AddressPolicy, limits: httpx.Limits) -> None:
        super().__init__(trust_env=False, limits=limits)
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=httpx.create_ssl_context(trust_env=False),
            max_connections=limits.max_connections,
            max_keepalive_connections=limits.max_keepalive_connections,
            keepalive_expiry=limits.keepalive_expiry,
            network_backend=_GuardedBackend(policy),
        )


class _GuardedBackend(httpcore.AsyncNetworkBackend):
    def __init__(self, policy: AddressPolicy) -> None:
        self._policy = policy
        self._backend = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the signature of httpcore
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        addresses = await _resolve(host, port, timeout)
        if not all(self._policy.permits(address) for address in addresses):
            raise AddressRefused("the host has an address that may not be reached")
        failure: httpcore.ConnectError | httpcore.ConnectTimeout | None = None
        for address in addresses:
            try:
                stream = await self._backend.connect_tcp(
                    address, port, timeout, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
                continue
            await self._require_other_machine(stream, address)
            return stream
        raise failure or httpcore.ConnectError("the host has no address")

    async def _require_other_machine(
        self, stream: httpcore.AsyncNetworkStream, address: str
    ) -> None:
        """Close a connection from an address of this machine to itself, such as to the service's own port."""
        here, there = stream.get_extra_info("client_addr"), stream.get_extra_info("server_addr")
        if here[0] == there[0] and not self._policy.allows(address):
            await stream.aclose()
            raise AddressRefused("the host is this machine")


async def _resolve(host: str, port: int, timeout: float | None) -> list[str]:  # noqa: ASYNC109 - httpcore's
    try:
        async with asyncio.timeout(timeout):
            found = await asyncio.get_running_loop().getaddrinfo(
                host, port, type=socket.SOCK_STREAM
            )
    except TimeoutError as error:
        raise httpcore.ConnectTimeout("the name of the host wasn't resolved in time") from error
    except (OSError, UnicodeError) as error:
        raise httpcore.ConnectError("the name of the host can't be resolved") from error
    return list(dict.fromkeys(str(address[0]) for *_, address in found))
