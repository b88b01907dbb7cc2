"""Requests to receivers of webhooks: what is sent, what is kept, and where none goes (E-11, 4.4)."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_network

import pytest

from rs_order.regards.address_policy import AddressPolicy
from rs_order.regards.webhook_receivers import (
    ADDRESS_NOT_ALLOWED,
    MOST_KEPT,
    NO_ANSWER,
    Received,
    WebhookReceivers,
)
from tests.regards.raw_server import RawServer, answer, endless_response
from tests.regards.test_external_addresses import resolving

ONE = AddressPolicy([ip_network("127.0.0.1")], private=False)
"""Allows the address of the server of a test, and no other inside."""
PUBLIC = AddressPolicy(private=False)


@asynccontextmanager
async def receivers(policy: AddressPolicy, seconds: float = 15) -> AsyncIterator[WebhookReceivers]:
    client = WebhookReceivers(policy, exchange_seconds=seconds)
    try:
        yield client
    finally:
        await client.aclose()


async def posted(policy: AddressPolicy, url: str, seconds: float = 15) -> Received:
    async with receivers(policy, seconds) as client:
        return await client.post(url, {"webhook-id": "1"}, b"{}")


async def test_a_request_and_its_response() -> None:
    """As HTTP/1.1, without cookies, and without the trace of the service."""
    async with RawServer.running(answer("200 OK", b"thanks", "Retry-After: 7")) as server:
        received = await posted(ONE, f"{server.url}/rs?a=b")

    head = server.requests[0]
    assert head.startswith("POST /rs?a=b HTTP/1.1\r\n")
    assert "webhook-id: 1" in head
    assert "traceparent" not in head.lower()
    assert (received.status, received.text) == (200, "thanks")
    assert received.headers is not None
    assert received.headers["retry-after"] == "7"


async def test_the_handshake() -> None:
    async with (
        RawServer.running(answer("200 OK", b"", "WebHook-Allowed-Origin: *")) as server,
        receivers(ONE) as client,
    ):
        received = await client.ask(server.url, {"WebHook-Request-Origin": "example.org"})

    assert server.requests[0].startswith("OPTIONS / HTTP/1.1\r\n")
    assert received.headers is not None
    assert received.headers["WebHook-Allowed-Origin"] == "*"


async def test_a_redirect_is_a_response() -> None:
    """It isn't followed, wherever it leads."""
    async with RawServer.running(
        answer("302 Found", b"", "Location: http://127.0.0.1:1/")
    ) as server:
        received = await posted(ONE, server.url)

    assert received.status == 302
    assert len(server.requests) == 1


async def test_little_of_a_long_response_is_kept() -> None:
    async with RawServer.running(answer("500 Oh", b"a\0" * 500_000)) as server:
        received = await posted(ONE, server.url)

    assert (received.status, len(received.text)) == (500, MOST_KEPT)
    assert "\0" not in received.text


async def test_a_response_without_end() -> None:
    """The whole exchange has a time limit."""
    async with endless_response() as url:
        received = await posted(ONE, url, seconds=0.3)

    assert received.status is None
    assert received.failure is not None
    assert "no complete response" in received.failure


async def test_nobody_listens() -> None:
    assert await posted(ONE, "http://127.0.0.1:1/") == NO_ANSWER


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "2130706433", "0", "[::ffff:127.0.0.1]", "[::1]"]
)
async def test_this_machine(host: str) -> None:
    """In every way to write it. The answer tells nothing, and the socket hears nothing."""
    async with RawServer.running(answer("200 OK", b"inside")) as server:
        port = server.url.rpartition(":")[2]
        assert await posted(PUBLIC, f"http://{host}:{port}/") == ADDRESS_NOT_ALLOWED
        assert server.requests == []


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        ["::ffff:10.0.0.1"],
        ["64:ff9b::7f00:1"],
        ["192.168.1.1"],
        ["8.8.8.8", "127.0.0.1"],
    ],
    ids=" and ".join,
)
async def test_a_name_that_leads_inside(
    monkeypatch: pytest.MonkeyPatch, addresses: list[str]
) -> None:
    """One bad address refuses all."""
    async with RawServer.running(answer("200 OK", b"inside")) as server:
        port = server.url.rpartition(":")[2]
        resolving(monkeypatch, *addresses)
        received = await posted(PUBLIC, f"http://hooks.example.org:{port}/")

    assert received == ADDRESS_NOT_ALLOWED
    assert server.requests == []
