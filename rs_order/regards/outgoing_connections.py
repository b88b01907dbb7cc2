"""Opens the connections of HTTP clients, and only those that a policy of addresses permits.

A name is resolved for each connection, all its addresses are checked, and the connection goes to one of the
checked addresses. So neither a redirect nor a second answer of a name server leads elsewhere (faces.md 4.4).
"""

import asyncio
import socket
import ssl
from functools import cache
from ipaddress import ip_address
from typing import Final

import aiohttp
import certifi
from aiohttp.abc import AbstractResolver, ResolveResult

from rs_order.regards.address_policy import AddressPolicy, AddressRefused

IDLE_SECONDS: Final = 5.0
"""Seconds after which an idle connection is closed."""
NEXT_ADDRESS_SECONDS: Final = 0.25
"""Seconds until the next address of a name is tried beside the one before."""


def connections(
    most: int | None, connect_seconds: float, policy: AddressPolicy | None
) -> aiohttp.TCPConnector:
    """Return the connections of one client.

    Args:
        most: the most connections that are used at once; None: no limit.
        connect_seconds: the longest time to resolve a name.
        policy: the addresses that may be reached; None: all.
    """
    return aiohttp.TCPConnector(
        limit=most or 0,
        keepalive_timeout=IDLE_SECONDS,
        use_dns_cache=False,
        resolver=_Resolver(connect_seconds, policy),
        socket_factory=_Guard(policy).socket if policy is not None else None,
        # An address that is refused must not be one of several attempts.
        happy_eyeballs_delay=NEXT_ADDRESS_SECONDS if policy is None else None,
        ssl=_trusted_authorities(),
    )


@cache
def _trusted_authorities() -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=certifi.where())
    context.set_alpn_protocols(["http/1.1"])
    return context


class _Resolver(AbstractResolver):
    """Resolves names, all of whose addresses must be permitted."""

    def __init__(self, seconds: float, policy: AddressPolicy | None) -> None:
        self._seconds = seconds
        self._policy = policy

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses of a name.

        Raises:
            AddressRefused: the policy doesn't permit one of them.
            OSError: the name can't be resolved, or not in time.
        """
        addresses = await self._addresses(host, port, family)
        if self._policy is not None and not all(map(self._policy.permits, addresses)):
            raise AddressRefused("the host has an address that may not be reached")
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=family,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for address in addresses
        ]

    async def _addresses(self, host: str, port: int, family: socket.AddressFamily) -> list[str]:
        try:
            async with asyncio.timeout(self._seconds):
                found = await asyncio.get_running_loop().getaddrinfo(
                    host, port, family=family, type=socket.SOCK_STREAM
                )
        except TimeoutError as error:
            raise OSError("the name of the host wasn't resolved in time") from error
        except UnicodeError as error:
            raise OSError("the name of the host can't be resolved") from error
        return list(dict.fromkeys(str(address[0]) for *_, address in found))

    async def close(self) -> None:
        """Nothing is open."""


class _Guard:
    """Opens the sockets of connections, after it has checked the address they will be connected to."""

    def __init__(self, policy: AddressPolicy) -> None:
        self._policy = policy

    def socket(self, address: aiohttp.AddrInfoType) -> socket.socket:
        """Return a socket for an address.

        Raises:
            AddressRefused: the address isn't permitted, or is one of this machine.
            OSError: no network leads to the address.
        """
        family, kind, protocol, _, target = address
        if not self._policy.permits(str(target[0])):
            raise AddressRefused("the host has an address that may not be reached")
        self._require_other_machine(family, target)
        return socket.socket(family, kind, protocol)

    def _require_other_machine(self, family: int, target: tuple[object, ...]) -> None:
        """Refuse addresses of this machine, whose connections begin at the same address, as the own port.

        Connecting a datagram socket sends nothing, but shows from which address a connection would come.
        """
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect(target)
            here = ip_address(probe.getsockname()[0])
        if here == ip_address(str(target[0])) and not self._policy.allows(str(target[0])):
            raise AddressRefused("the host is this machine")
