"""Schemathesis over the whole document: no answer is a 500, none has a status that isn't documented."""

import asyncio
from typing import Any

import httpx
import hypothesis
import pytest
import schemathesis
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from rs_order.entrypoints.rest.resources import RESOURCES
from tests.acceptance.guests import guest
from tests.acceptance.platform import Platform

EXAMPLES = 15
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
LEFT_ALONE = {"/maintenance/{tenant}/enable@PUT", "/microservice/configuration@POST"}
"""They would change the service for the other tests; each is attacked in a test of its own."""


@pytest.mark.parametrize(
    "key", sorted(resource.key for resource in RESOURCES if resource.key not in LEFT_ALONE)
)
async def test_every_endpoint_takes_anything(here: Platform, key: str) -> None:
    """Whatever the document allows, and much that it doesn't, gets an answer the document has."""
    template, _, verb = key.rpartition("@")
    base_url = f"http://127.0.0.1:{here.port}"
    token = here.sandbox.token(guest(here), "PROJECT_ADMIN", "project1")
    async with httpx.AsyncClient() as client:
        document = (await client.get(f"{base_url}/v3/api-docs")).json()

    await asyncio.to_thread(_attack, document, template, verb, base_url, token)


def _attack(document: Any, template: str, verb: str, base_url: str, token: str) -> None:
    """In a thread: Schemathesis waits for answers that our event loop gives."""
    operation = schemathesis.openapi.from_dict(document)[template][verb]
    headers = {"Authorization": f"Bearer {token}"}

    @hypothesis.given(case=operation.as_strategy())
    @hypothesis.settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    def attack(case: schemathesis.Case) -> None:
        case.call_and_validate(base_url=base_url, headers=headers, checks=CHECKS, timeout=30)

    attack()
