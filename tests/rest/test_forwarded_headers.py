"""Forwarded headers of trusted proxies set the caller's address and the public address of the service."""

from ipaddress import ip_network

import pytest
from fastapi import Request
from starlette.types import Receive, Scope, Send

from rs_order.rest.addresses import base_address
from rs_order.rest.forwarded import ForwardedHeaders
from rs_order.settings import SettingsError, load_settings

GATEWAY = "10.0.0.2"
BALANCER = "10.0.0.3"
JANE = "203.0.113.7"
FORGED = "192.168.0.1"

Lines = list[tuple[str, str]]


async def forwarded_request(peer: str | None, lines: Lines, trusted: list[str]) -> Request:
    """Return the request that the middleware passes on to the application."""
    scopes: list[Scope] = []

    async def app(scope: Scope, _: Receive, __: Send) -> None:
        scopes.append(scope)

    scope = {
        "type": "http",
        "scheme": "http",
        "path": "/user/orders",
        "query_string": b"",
        "client": peer and (peer, 1234),
        "headers": [(b"host", b"inner:9000")]
        + [(name.lower().encode(), value.encode()) for name, value in lines],
    }
    middleware = ForwardedHeaders(app, [ip_network(one) for one in trusted])
    await middleware(scope, None, None)  # type: ignore[arg-type]  # never called
    return Request(scopes[0])


@pytest.mark.parametrize(
    ("peer", "forwarded", "trusted", "address"),
    [
        (JANE, [], [], JANE),
        (JANE, [FORGED], [], JANE),
        (JANE, [FORGED], ["10.0.0.0/24"], JANE),
        (GATEWAY, [], ["10.0.0.0/24"], GATEWAY),
        (GATEWAY, [JANE], ["10.0.0.2"], JANE),
        (GATEWAY, [f"{FORGED}, {JANE}"], ["10.0.0.2"], JANE),
        (GATEWAY, [FORGED, JANE], ["10.0.0.2"], JANE),
        (GATEWAY, [f"{FORGED},{JANE},{BALANCER}"], ["10.0.0.0/24"], JANE),
        (GATEWAY, [f"{JANE}, {BALANCER}"], ["10.0.0.2"], BALANCER),
        (f"::ffff:{GATEWAY}", [JANE], ["10.0.0.2"], JANE),
        (GATEWAY, [f"::ffff:{JANE}"], ["10.0.0.2"], JANE),
        ("::1", ["2001:DB8:0::7"], ["::1/128"], "2001:db8::7"),
        (GATEWAY, ["unknown"], ["10.0.0.2"], "unknown"),
        (GATEWAY, [BALANCER], ["10.0.0.0/24"], BALANCER),
    ],
)
async def test_address_of_the_caller(
    peer: str, forwarded: list[str], trusted: list[str], address: str
) -> None:
    """Entries are read from the end, as long as a trusted proxy wrote them."""
    request = await forwarded_request(
        peer, [("X-Forwarded-For", entry) for entry in forwarded], trusted
    )

    assert request.client is not None
    assert request.client.host == address


async def test_headers_of_a_request_without_an_address_are_ignored() -> None:
    """A request that didn't come over a network has no client address."""
    request = await forwarded_request(
        None, [("X-Forwarded-Host", "evil.example.org")], ["0.0.0.0/0"]
    )

    assert request.client is None
    assert base_address(request) == "http://inner:9000"


FOR, PROTO, HOST, PORT, PREFIX = (
    f"X-Forwarded-{name}" for name in ("For", "Proto", "Host", "Port", "Prefix")
)
ALL: Lines = [(FOR, JANE), (PROTO, "https"), (HOST, "example.org"), (PREFIX, "/api/v1/rs-order")]


@pytest.mark.parametrize(
    ("peer", "lines", "base"),
    [
        (GATEWAY, ALL, "https://example.org/api/v1/rs-order"),
        (JANE, ALL, "http://inner:9000"),
        (BALANCER, ALL, "http://inner:9000"),
        (GATEWAY, [(PROTO, "HTTPS")], "https://inner:9000"),
        (GATEWAY, [(PROTO, "javascript"), (HOST, "example.org")], "http://example.org"),
        (GATEWAY, [("Forwarded", "proto=javascript;host=example.org")], "http://example.org"),
        (
            GATEWAY,
            [("Forwarded", 'for=1.2.3.4;proto=https;host="a.org:8443"')],
            "https://a.org:8443",
        ),
        (JANE, [("Forwarded", "proto=https;host=example.org")], "http://inner:9000"),
        (GATEWAY, [(HOST, "example.org"), (PORT, "8080")], "http://example.org:8080"),
        (GATEWAY, [(HOST, "a.org"), (PROTO, "https"), (PORT, "443")], "https://a.org"),
        (GATEWAY, [(HOST, "[2001:db8::1]"), (PORT, "8080")], "http://[2001:db8::1]:8080"),
        (GATEWAY, [(HOST, "a.org:81"), (PORT, "8080")], "http://a.org:81"),
        (GATEWAY, [(HOST, "user@evil.org/path")], "http://inner:9000"),
        (GATEWAY, [(PREFIX, "/api/v1/rs-order/")], "http://inner:9000/api/v1/rs-order"),
        (GATEWAY, [(PREFIX, "//evil.org")], "http://inner:9000"),
        (GATEWAY, [(PREFIX, "relative")], "http://inner:9000"),
        # The caller wrote the first entries, the gateway added the last.
        (
            GATEWAY,
            [(HOST, "evil.org, example.org"), (PROTO, "javascript,https")],
            "https://example.org",
        ),
        (GATEWAY, [(HOST, "evil.org"), (HOST, "example.org")], "http://example.org"),
    ],
)
async def test_address_of_the_service(peer: str, lines: Lines, base: str) -> None:
    """The address has the scheme, host, port and prefix that one trusted proxy, the gateway, forwards."""
    assert base_address(await forwarded_request(peer, lines, [GATEWAY])) == base


@pytest.mark.parametrize(
    ("trusted", "base"),
    [
        (["10.0.0.0/24"], "https://outer.org/outer"),
        ([BALANCER], "http://middle.org/middle"),
        ([], "http://inner:9000"),
        ([JANE], "http://inner:9000"),
    ],
)
async def test_address_of_the_service_behind_several_proxies(trusted: list[str], base: str) -> None:
    """The caller forges an entry, the gateway adds one, and the balancer behind it adds another."""
    lines = [
        (FOR, f"{FORGED}, {JANE}, {GATEWAY}"),
        (PROTO, "javascript, https, http"),
        (HOST, "evil.org, outer.org, middle.org"),
        (PREFIX, "/evil, /outer, /middle"),
    ]

    assert base_address(await forwarded_request(BALANCER, lines, trusted)) == base


def test_trusted_proxies_are_addresses_or_networks() -> None:
    """Any other value stops the start with an error that names the setting."""
    networks = load_settings(trusted_proxies="10.0.0.2, 10.1.0.7/16,::1").trusted_networks

    assert networks == [ip_network("10.0.0.2"), ip_network("10.1.0.0/16"), ip_network("::1")]
    with pytest.raises(SettingsError, match=r"RS_ORDER_TRUSTED_PROXIES=gateway: 'gateway'"):
        load_settings(trusted_proxies="gateway")
