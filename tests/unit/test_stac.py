"""The small rules of STAC: multihashes, fingerprints, tokens of pages, and the configuration of eodag."""

import hashlib
import re
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from rs_order.domain.files import FileKind
from rs_order.domain.ids import OrderId, Tenant
from rs_order.downloads.entry_names import portable_name, safe_name
from rs_order.stac.eodag_provider import EodagServices, eodag_provider
from rs_order.stac.item import local_path, multihash
from rs_order.stac.order_items import WantedItems
from rs_order.stac.page_tokens import (
    order_position,
    order_token,
    own_token,
    product_position,
    product_token,
)
from rs_order.store.stac import OrderPosition, ProductPosition
from rs_order.store.unit_of_work import Store

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
positions = st.builds(
    OrderPosition,
    st.integers(0, 7 * 10**15).map(lambda micros: EPOCH + timedelta(microseconds=micros)),
    st.integers(1, 10**18 - 1).map(OrderId),
)
keys = st.integers(-(2**63), 2**63 - 1)


@pytest.mark.parametrize(
    ("algorithm", "beginning"),
    [("md5", "d50110"), ("sha1", "1114"), ("sha256", "1220"), ("sha512", "1340")],
)
def test_a_multihash_begins_with_algorithm_and_length(algorithm: str, beginning: str) -> None:
    """S-17a: the code as a varint, the length in bytes, and the digest."""
    digest = hashlib.new(algorithm, b"content").hexdigest()

    assert multihash({algorithm: digest}) == beginning + digest
    assert int(beginning[-2:], 16) == len(digest) // 2


def test_the_best_algorithm_is_shown() -> None:
    assert multihash({"md5": "aa", "sha256": "bb", "sha1": "cc"}) == "1220bb"
    assert multihash({"sha384": "aa"}) is None
    assert multihash({}) is None


@given(st.text(), st.text())
def test_local_paths_are_those_of_the_extension(product: str, name: str) -> None:
    """The extension `file` allows no quotes, colons, backslashes, tabs or line ends in them."""
    path = local_path(product, portable_name(safe_name(name)))

    assert path is None or re.fullmatch(r"""[^\r\n\t\\:'"/]+/[^\r\n\t\\:'"/]+""", path)
    assert local_path("URN:1", "a.nc") == "URN_1/a.nc"
    assert local_path("P", "it's.nc") is None


@given(st.lists(st.text(min_size=1), min_size=1, unique=True), st.randoms())
def test_the_sequence_of_items_does_not_matter(items: list[str], random: Any) -> None:
    """Nor do the label, and whether the order may be one that exists (S-8)."""
    shuffled = random.sample(items, len(items))
    one, other = WantedItems(items), WantedItems(shuffled, label="another", reuse=False)

    assert one.fingerprint == other.fingerprint


def test_other_files_have_another_fingerprint() -> None:
    wanted = [
        WantedItems(["a", "b"]),
        WantedItems(["ab"]),
        WantedItems(["a"]),
        WantedItems(["a"], frozenset({FileKind.QUICKLOOK})),
        WantedItems(["a"], frozenset(FileKind)),
        WantedItems(["a"], name_pattern=".*"),
    ]

    assert len({one.fingerprint for one in wanted}) == len(wanted)


@given(positions, keys)
def test_a_token_leads_to_its_place(order: OrderPosition, key: int) -> None:
    product = ProductPosition(order, key)

    assert order_position(order_token(order)) == order
    assert product_position(product_token(product)) == product
    assert own_token(["a.b.c", order_token(order)]) == order_token(order)
    assert own_token(["a.b.c"]) is None


def provider(
    base: str,
    *,
    catalog: str | None = None,
    token: str | None = None,
    client: str = "",
) -> dict[str, Any]:
    services = EodagServices(cast("Store", None), catalog, token)
    text = eodag_provider(Tenant("p1"), base, services, client)
    loaded: dict[str, Any] = yaml.safe_load(text)["regards_p1"]
    return loaded


def test_the_configuration_behind_a_gateway() -> None:
    """All addresses are below that of the gateway, and the token goes to no other host (S-24)."""
    found = provider("https://h.example/api/v1/rs-order", client="Y2xpZW50OnNlY3JldA==")
    auth = found["auth"]

    assert found["url"] == "https://h.example"
    assert found["search"]["api_endpoint"] == "https://h.example/api/v1/rs-catalog/stac/search"
    assert found["search"]["metadata_mapping"]["eodag:order_link"] == (
        'https://h.example/api/v1/rs-order/stac/orders?{{"items": ["{id}"]}}'
    )
    assert auth["auth_uri"] == "https://h.example/api/v1/rs-authentication/oauth/token"
    assert auth["req_data"] == {"grant_type": "password", "scope": "p1"}
    assert auth["retrieve_headers"] == {"Authorization": "Basic Y2xpZW50OnNlY3JldA=="}
    assert re.match(auth["matching_url"], "https://h.example/api/v1/rs-order/stac")
    assert not re.match(auth["matching_url"], "https://h.example.org/")
    assert not re.match(auth["matching_url"], "https://hxexample/")
    assert found["search_auth"] == auth


def test_the_configuration_with_services_elsewhere() -> None:
    """Each address counts, and the token goes to each of them."""
    found = provider(
        "http://127.0.0.1:9043",
        catalog="http://127.0.0.1:9100/rs-catalog/stac/",
        token="http://127.0.0.1:9101/oauth/token",
    )
    auth = found["auth"]

    assert found["search"]["api_endpoint"] == "http://127.0.0.1:9100/rs-catalog/stac/search"
    assert auth["auth_uri"] == "http://127.0.0.1:9101/oauth/token"
    assert auth["retrieve_headers"] == {}
    for port in (9043, 9100, 9101):
        assert re.match(auth["matching_url"], f"http://127.0.0.1:{port}/x")
    assert not re.match(auth["matching_url"], "http://127.0.0.1:9102/x")


def test_positions_are_exact() -> None:
    """A microsecond makes a difference between orders."""
    at = datetime(2026, 11, 30, 2, 37, 8, 123456, tzinfo=UTC)
    one, other = (OrderPosition(at + timedelta(microseconds=n), OrderId(7)) for n in (0, 1))

    assert order_token(one) != order_token(other)
