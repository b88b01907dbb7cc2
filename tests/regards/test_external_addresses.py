"""External files can't make the service read addresses that only it can reach (F11, faces.md 4.4)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_network

import pytest

from rs_order.ports import FetchError
from rs_order.regards.address_policy import AddressPolicy
from rs_order.regards.file_sources import ExternalAccess, ExternalFiles
from tests.regards.raw_server import RawServer, answer

REFUSED = "The service may not read files at this address"
FAILED = "Error during file download"
ONE = AddressPolicy([ip_network("127.0.0.1")])
"""Allows the address of the server of a test, and no other loopback address."""


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.255.0.9",
        "0.0.0.0",  # noqa: S104 - an address that is refused
        "169.254.169.254",
        "169.254.170.2",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "224.0.0.1",
        "239.255.255.250",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "fe80::1",
        "fe80::1%eth0",
        "ff02::1",
        "fd00:ec2::254",
        "fd20:ce::254",
        "2002:7f00:1::",
        "2001::1",
    ],
)
def test_addresses_that_are_refused(address: str) -> None:
    assert not AddressPolicy().permits(address)
    assert not AddressPolicy(private=False).permits(address)
    assert AddressPolicy([ip_network(address.partition("%")[0])]).permits(address)


@pytest.mark.parametrize(
    "address",
    [
        "10.0.0.1",
        "172.16.3.4",
        "192.168.1.1",
        "100.64.0.1",
        "fd12:3456::1",
        "::ffff:10.0.0.1",
        "64:ff9b:1::1",
        "64:ff9b::a00:1",
        "192.88.99.1",
        "fec0::1",
    ],
)
def test_private_addresses(address: str) -> None:
    """Archives often lie in private networks. The operator can forbid them."""
    assert AddressPolicy().permits(address)
    assert not AddressPolicy(private=False).permits(address)


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1::1", "64:ff9b::5db8:d822"])
def test_public_addresses(address: str) -> None:
    assert AddressPolicy(private=False).permits(address)


@asynccontextmanager
async def files_with(policy: AddressPolicy) -> AsyncIterator[ExternalFiles]:
    files = ExternalFiles(ExternalAccess(policy=policy))
    try:
        yield files
    finally:
        await files.aclose()


async def read(policy: AddressPolicy, url: str) -> bytes:
    async with files_with(policy) as files, files.open(url) as source:
        return b"".join([chunk async for chunk in source.chunks])


async def failure(policy: AddressPolicy, url: str) -> str:
    with pytest.raises(FetchError) as raised:
        await read(policy, url)
    return str(raised.value)


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "0", "[::ffff:127.0.0.1]", "127.0.0.2"],
)
async def test_this_machine(host: str) -> None:
    """In every way to write it. The file has the reason, and the server was never asked."""
    async with RawServer.running(answer("200 OK", b"inside")) as server:
        port = server.url.rpartition(":")[2]
        assert await failure(AddressPolicy(), f"http://{host}:{port}/") == REFUSED
        assert server.requests == []


async def test_an_allowed_network() -> None:
    async with RawServer.running(answer("200 OK", b"content")) as server:
        assert await read(ONE, server.url) == b"content"


async def test_a_redirect_inside() -> None:
    """Each redirect is a connection of its own."""
    async with RawServer.running(
        answer("302 Found", b"", "Location: http://127.0.0.2:1/")
    ) as server:
        assert await failure(ONE, server.url) == REFUSED


def resolving(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> list[str]:
    """Make each name have these addresses. Return the names that are asked for, as they come."""
    asked: list[str] = []

    async def getaddrinfo(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        asked.append(host)
        return [(2, 1, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
    return asked


async def test_a_name_with_one_address_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    """One refused address refuses them all."""
    resolving(monkeypatch, "127.0.0.1", "127.0.0.2")

    assert await failure(ONE, "http://archive.example.org:1/") == REFUSED


async def test_the_connection_goes_to_the_checked_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name is resolved once for a connection; a second answer could lead inside."""
    async with RawServer.running(answer("200 OK", b"content")) as server:
        port = server.url.rpartition(":")[2]
        asked = resolving(monkeypatch, "127.0.0.1")
        assert await read(ONE, f"http://archive.example.org:{port}/x") == b"content"

    assert asked[0] == "archive.example.org"
    assert set(asked[1:]) <= {"127.0.0.1"}  # the address itself
    assert f"Host: archive.example.org:{port}" in server.requests[0]


async def test_the_next_address_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody listens on the first one."""
    policy = AddressPolicy([ip_network("127.0.0.0/8")])
    async with RawServer.running(answer("200 OK", b"content")) as server:
        port = server.url.rpartition(":")[2]
        resolving(monkeypatch, "127.0.0.9", "127.0.0.1")
        assert await read(policy, f"http://archive.example.org:{port}/") == b"content"
    assert await failure(policy, "http://archive.example.org:1/") == FAILED


class Permissive(AddressPolicy):
    """Permits every address without allowing one explicitly, like a private address of this machine."""

    def permits(self, address: str) -> bool:  # noqa: ARG002 - all are permitted
        return True


async def test_an_address_of_this_machine() -> None:
    """The service's own port is reached by its private address, too."""
    async with RawServer.running(answer("200 OK", b"inside")) as server:
        assert await failure(Permissive(), server.url) == REFUSED
