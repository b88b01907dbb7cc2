"""Where a request comes from: nobody can write himself another address."""

from ipaddress import ip_network

import pytest
from fastapi import Request

from rs_order.entrypoints.rest.remote_address import remote_address
from rs_order.settings import SettingsError, load_settings

GATEWAY = "10.0.0.2"
BALANCER = "10.0.0.3"
JANE = "203.0.113.7"
FORGED = "192.168.0.1"


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
def test_remote_address(peer: str, forwarded: list[str], trusted: list[str], address: str) -> None:
    """Read from the end, for as long as the one who wrote an entry is trusted."""
    scope = {
        "type": "http",
        "client": (peer, 1234),
        "headers": [(b"x-forwarded-for", entry.encode()) for entry in forwarded],
    }

    assert remote_address(Request(scope), [ip_network(one) for one in trusted]) == address


def test_no_address() -> None:
    """A request that came by no network has none, and so none that a role could need."""
    assert remote_address(Request({"type": "http", "client": None, "headers": []}), []) == ""


def test_trusted_proxies_are_addresses_or_networks() -> None:
    """One that is neither stops the start with a line that names the setting."""
    networks = load_settings(trusted_proxies="10.0.0.2, 10.1.0.7/16,::1").trusted_networks

    assert networks == [ip_network("10.0.0.2"), ip_network("10.1.0.0/16"), ip_network("::1")]
    with pytest.raises(SettingsError, match=r"RS_ORDER_TRUSTED_PROXIES: .*'gateway'"):
        load_settings(trusted_proxies="gateway")
