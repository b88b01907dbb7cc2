"""Failures of endpoints that the reference doesn't have: problems with stable codes (faces.md 1, 8.2)."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, cast
from uuid import UUID

import httpx
import pytest
from fastapi import Query, Response

import rs_order
from rs_order.contracts.platform_names import PUBLIC
from rs_order.ports import Resource
from rs_order.rest.access import Access, DefaultRoles
from rs_order.rest.errors import Problem
from rs_order.rest.problem_routes import problems_router
from rs_order.rest.problems import CODE_OF_STATUS, PROBLEMS, ProblemCode
from rs_order.rest.rest_app import RestSettings, create_rest_app
from rs_order.rest.routing import Endpoints
from rs_order.rest.tokens import TokenVerifier
from rs_order.store.errors import StoreUnavailable
from rs_order.store.tenants import Maintenance, Tenants
from tests.rest.conftest import FakeMaintenance, FakeTenants
from tests.rest.fake_downloads import DEMO

CORRELATION = "0192f3c1-7e1a-7c3a-9d0a-5a4b7c1d2e3f"
FAILING = Resource("GET", "/failing", PUBLIC, "", "Fail")
SOURCE = Path(rs_order.__file__).parent


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    access = Access(
        TokenVerifier({}),
        DefaultRoles(),
        cast("Tenants", FakeTenants()),
        cast("Maintenance", FakeMaintenance()),
    )
    endpoints = Endpoints(access, tag="failing", problems=True)

    @endpoints.serve(FAILING)
    async def fail(how: Annotated[int, Query(ge=0)] = 0) -> Response:
        if how:
            raise StoreUnavailable("connection refused")
        raise Problem(ProblemCode.MALFORMED_REQUEST, "12 is no order.", members={"orderId": 12})

    app = create_rest_app(lambda _: [endpoints.router, problems_router(access)], RestSettings())
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app),
        base_url="https://archive.example.org/api/v1/rs-order",
        headers={"scope": DEMO, "correlation-id": CORRELATION},
    ) as client:
        yield client


async def test_a_failure_has_a_code_and_messages(client: httpx.AsyncClient) -> None:
    """One body serves clients of problems and clients of messages, and its type can be followed."""
    answer = await client.get("/failing")
    explanation = await client.get(answer.json()["type"])

    assert answer.status_code == 400
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json() == {
        "type": "https://archive.example.org/api/v1/rs-order/problems/malformed-request",
        "title": "Malformed request",
        "status": 400,
        "detail": "12 is no order.",
        "instance": UUID(CORRELATION).urn,
        "code": "malformed-request",
        "retriable": False,
        "messages": ["12 is no order."],
        "orderId": 12,
    }
    assert explanation.json()["code"] == "malformed-request"
    assert explanation.json()["status"] == 400


@pytest.mark.parametrize(
    ("path", "headers", "failure"),
    [
        ("/failing?how=x", {}, (400, "malformed-request", False)),
        ("/failing?how=1", {}, (503, None, True)),
        ("/failing", {"scope": "elsewhere"}, (404, None, False)),
        ("/failing", {"Authorization": "Bearer x"}, (401, None, False)),
        ("/problems/nonsense", {}, (404, None, False)),
    ],
)
async def test_every_failure_is_a_problem(
    client: httpx.AsyncClient,
    path: str,
    headers: dict[str, str],
    failure: tuple[int, str | None, bool],
) -> None:
    """Also those that the checks before the endpoint find."""
    status, code, retriable = failure
    answer = await client.get(path, headers=headers)
    body = answer.json()

    assert answer.headers["Content-Type"] == "application/problem+json"
    assert (answer.status_code, body["status"], body.get("code")) == (status, status, code)
    assert body["retriable"] is retriable
    assert ("Retry-After" in answer.headers) is retriable
    assert body["type"].rpartition("/")[2] == code if code else body["type"] == "about:blank"
    assert body["messages"]
    assert body["detail"]


async def test_other_failures_have_only_messages(client: httpx.AsyncClient) -> None:
    answer = await client.get("/nowhere")

    assert list(answer.json()) == ["messages"]


def test_each_code_is_explained_and_produced() -> None:
    """No code exists that nothing produces, and none is produced that isn't explained."""
    sources = [path.read_text() for path in SOURCE.rglob("*.py") if path.name != "problems.py"]
    text = "\n".join(sources)
    unused = {
        code
        for code in ProblemCode
        if not re.search(rf'ProblemCode\.{code.name}\b|code = "{code}"|code="{code}"', text)
    }

    assert unused <= set(CODE_OF_STATUS.values())
    assert PROBLEMS.keys() == set(ProblemCode)
    assert all(kind.sentence and kind.advice and kind.title for kind in PROBLEMS.values())
