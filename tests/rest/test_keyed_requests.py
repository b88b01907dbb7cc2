"""How REST handles an ``Idempotency-Key``; ``tests/api/test_keyed_requests.py`` has its effects."""

from typing import Any, cast

import httpx
import pytest
from fastapi import Response

from rs_order.contracts.platform_names import PUBLIC
from rs_order.ports import Resource
from rs_order.rest.access import Access, DefaultRoles
from rs_order.rest.keyed_requests import Keyed, KeyedAnswers, canonical_json
from rs_order.rest.rest_app import RestSettings, create_rest_app
from rs_order.rest.routing import Endpoints
from rs_order.rest.tokens import TokenVerifier
from rs_order.store.tenants import Maintenance, Tenants
from tests.rest.conftest import FakeMaintenance, FakeTenants
from tests.rest.fake_downloads import DEMO

CREATE = Resource("POST", "/things", PUBLIC, "", "Create")


async def test_a_request_without_a_key_costs_nothing_more() -> None:
    """Its endpoint is called as it was: nothing is asked of the answers that are kept."""
    endpoints = Endpoints(
        Access(
            TokenVerifier({}),
            DefaultRoles(),
            cast("Tenants", FakeTenants()),
            cast("Maintenance", FakeMaintenance()),
        ),
        tag="things",
        keyed=cast("KeyedAnswers", object()),
    )
    works: list[Any] = []

    @endpoints.serve(CREATE, success=201, model=dict, creates=True)
    async def create(work: Keyed) -> Response:
        works.append(work)
        return Response(status_code=201)

    app = create_rest_app(lambda _: [endpoints.router], RestSettings())
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://test", headers={"scope": DEMO}
    ) as client:
        answer = await client.post("/things")

    assert (answer.status_code, works) == (201, [None])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b'{"b": 1, "a": [1, 2]}', b'{"a":[1,2],\n"b":1}'),
        (b'{"a": 1.0, "b": 1e3, "c": -0.0}', b'{"a": 1, "b": 1000, "c": 0}'),
        (b'{"a": 0.5}', b'{"a": 5e-1}'),
        ('{"a": "é"}'.encode(), b'{"a": "\\u00e9"}'),
    ],
    ids=["layout", "whole numbers", "fractions", "escapes"],
)
def test_equal_json_is_one_request(one: bytes, other: bytes) -> None:
    """faces.md I-4."""
    assert canonical_json(one) == canonical_json(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b'{"a": 1}', b'{"a": "1"}'),
        (b'{"a": true}', b'{"a": 1}'),
        (b"[1, 2]", b"[2, 1]"),
        (b'{"a": null}', b"{}"),
        (b"", b"{}"),
    ],
    ids=["text", "truth", "order of an array", "null", "no body"],
)
def test_other_json_is_another_request(one: bytes, other: bytes) -> None:
    assert canonical_json(one) != canonical_json(other)


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"\xff\x00", b"[" * 100_000, b"1" * 5000],
    ids=["", "{", "bytes", "deep", "long"],
)
def test_what_is_no_json_is_compared_as_it_is(body: bytes) -> None:
    assert canonical_json(body) == body
