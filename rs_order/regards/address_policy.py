"""Decides to which addresses the service may connect for others: no URL of theirs may reach inside."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

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
_NOT_PUBLIC: Final = _networks(
    "64:ff9b:1::/48",  # NAT64 of an organisation
    "192.88.99.0/24",  # relays of 6to4
    "3fff::/20",  # documentation
    "5f00::/16",  # segment routing
    "fec0::/10",  # site-local
)
"""Networks that Python 3.11 counts as public, although they are not."""
_NAT64: Final = ip_network("64:ff9b::/96")


class AddressRefused(Exception):
    """A host may not be reached. The text doesn't name its address: it must not help to explore a network."""

    code = "address-refused"


def refuse_disguised(host: str) -> None:
    """Refuse a number that isn't written as an address but is taken for one, such as 2130706433 or 127.1.

    Raises:
        AddressRefused: the host is such a number.
    """
    if host.replace(".", "").isdecimal():
        try:
            IPv4Address(host)
        except ValueError as error:
            raise AddressRefused("the host is a number that isn't an address") from error


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
