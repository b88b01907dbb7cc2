"""The comparison of the served endpoints with the tables of the contract (scripts/compare-openapi)."""

import json
import subprocess
import sys

import pytest

from rs_order.rest.resources import RESOURCES
from scripts.documents.endpoints import ADDED, CHAPTER, ROOT, differences, promised, served
from tests.cli.commands import rs_order

MADE = """\
## 5. Shapes

| Verb | Path | Notes |
|---|---|---|
| GET | `/shape` | not a section of endpoints |

## 7. Orders

| Verb | Path | Role |
|---|---|---|
| POST | `/orders` | ADMIN |
| GET | `/orders/{orderId}` | |

| Call | Path |
|---|---|
| PUT | `/no/table/of/endpoints` |

## 11. Platform

| Verb | Path |
|---|---|
| HEAD | `/files/{id}` |
"""


async def test_the_served_endpoints_are_those_of_the_contract() -> None:
    """Every endpoint in the tables of rest.md is served and described; any other needs a reason."""
    printed = await rs_order("openapi")

    found = differences(
        promised(CHAPTER.read_text(encoding="utf-8")), served(json.loads(printed.out))
    )

    assert found == []


def test_resources_are_the_endpoints_of_the_contract() -> None:
    """The web interface compares these strings, so they equal those of the chapter, or are ours."""
    resources = {f"{resource.verb} {resource.template}" for resource in RESOURCES}

    assert resources - ADDED.keys() == promised(CHAPTER.read_text(encoding="utf-8"))


def test_tables_of_endpoints_are_read() -> None:
    """Only tables of the right sections that begin with verb and path are read."""
    assert promised(MADE) == {"POST /orders", "GET /orders/{orderId}", "HEAD /files/{id}"}


def test_a_document_is_read() -> None:
    """Only the operations of a path item count."""
    document = {
        "paths": {"/orders": {"get": {}, "post": {}, "parameters": []}, "/files/{id}": {"head": {}}}
    }

    assert served(document) == {"GET /orders", "POST /orders", "HEAD /files/{id}"}


@pytest.mark.parametrize(
    ("in_tables", "in_document", "found"),
    [
        ({"GET /a"}, {"GET /a"}, []),
        ({"GET /a", "GET /b"}, {"GET /a"}, ["missing: GET /b"]),
        ({"GET /a"}, {"GET /a", "PUT /a"}, ["added: PUT /a"]),
        ({"GET /a/{id}"}, {"GET /a/{name}"}, ["missing: GET /a/{id}", "added: GET /a/{name}"]),
    ],
)
def test_differences(in_tables: set[str], in_document: set[str], found: list[str]) -> None:
    """Missing and added endpoints are found by verb, path and names of variables."""
    assert differences(in_tables, in_document, added={}, missing={}) == found


def test_a_reason_allows_a_difference() -> None:
    """A reason without a difference has to be removed."""
    reasons = {"added": {"GET /extra": "…"}, "missing": {"GET /gone": "…"}}

    assert differences({"GET /gone"}, {"GET /extra"}, **reasons) == []
    assert differences({"GET /extra"}, {"GET /extra", "GET /gone"}, **reasons) == [
        "added: GET /gone",
        "reason without need: GET /extra",
        "reason without need: GET /gone",
    ]


def test_the_script_fails_with_the_differences() -> None:
    """It has exit code 1 and prints a line for each difference."""
    ended = subprocess.run(
        [sys.executable, "-m", "scripts.documents.endpoints"],
        input=json.dumps({"paths": {"/nowhere": {"get": {}}}}),
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )

    assert ended.returncode == 1
    assert "missing: GET /settings\n" in ended.stderr
    assert "added: GET /nowhere\n" in ended.stderr
