"""Schemathesis calls every endpoint: no response is a 500, and every status is documented."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import hypothesis
import pytest
import schemathesis
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from rs_order.rest.resources import RESOURCES
from tests.acceptance.platform import Platform
from tests.acceptance.shared_platform import new_user

EXAMPLES = 8
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
NOT_OFFERED = {"/microservice/restart/enabled@GET"}
"""It answers 501 by contract (rest.md 11.3)."""
LEFT_ALONE = {
    "/maintenance/{tenant}/enable@PUT",
    "/microservice/configuration@POST",
    "/events/stream@GET",
}
"""The first two would change the service for the other tests; the last one doesn't end.

Each has a test of its own.
"""


KEYS = sorted(resource.key for resource in RESOURCES if resource.key not in LEFT_ALONE)
WITH_INPUT = [key for key in KEYS if "{" in key or key.endswith(("@POST", "@PUT"))]


@pytest.fixture(autouse=True)
async def nothing_held_back(here: Platform) -> AsyncIterator[None]:
    """Delete the holds, limits and subscriptions that the calls made, which would hold back other tests."""
    yield
    await here.execute("delete from rs_order.hold; delete from rs_order.storage_limit")
    await here.rows("delete from subscription")


# The service runs in this process. Its random pauses change the state that Hypothesis compares.
@pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies")
@pytest.mark.parametrize(
    ("key", "mode"),
    [
        *((key, GenerationMode.POSITIVE) for key in KEYS),
        *((key, GenerationMode.NEGATIVE) for key in WITH_INPUT),
    ],
)
async def test_every_endpoint_takes_anything(
    here: Platform, key: str, mode: GenerationMode
) -> None:
    """Valid and invalid input both get a documented response."""
    template, _, verb = key.rpartition("@")
    checks = [check for check in CHECKS if key not in NOT_OFFERED or check != not_a_server_error]
    base_url = f"http://127.0.0.1:{here.port}"
    token = here.sandbox.token(new_user(here), "PROJECT_ADMIN", "project1")
    async with httpx.AsyncClient(timeout=60) as client:
        document = (await client.get(f"{base_url}/v3/api-docs")).json()

    operation = schemathesis.openapi.from_dict(document)[template][verb]
    cases = operation.as_strategy(generation_mode=mode)
    call = {"base_url": base_url, "headers": {"Authorization": f"Bearer {token}"}}
    await asyncio.to_thread(_fuzz, cases, call, checks)


def _fuzz(cases: Any, call: dict[str, Any], checks: list[Any]) -> None:
    """Call the endpoint with generated cases.

    Runs in a thread: Schemathesis blocks until our event loop has answered.
    """

    @hypothesis.given(case=cases)
    @hypothesis.settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    def fuzz(case: schemathesis.Case[Any]) -> None:
        case.call_and_validate(**call, checks=checks, timeout=30)

    fuzz()
