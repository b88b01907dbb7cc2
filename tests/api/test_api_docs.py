"""The API's documentation: OpenAPI and Swagger UI (rest.md 11.8)."""

import json
import re
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any
from urllib.parse import urljoin

import httpx
import pytest
import schemathesis

from rs_order.contracts.platform_names import PUBLIC
from rs_order.rest.resources import RESOURCES
from tests.acceptance.platform import Platform
from tests.cli.commands import rs_order_process

PREFIXES = ["", "/api/v1/rs-order"]
Document = dict[str, Any]
BODY = "application/json"
BODIES = {f"#/components/schemas/{name}" for name in ("Messages", "DataSourceTest", "Problem")}
"""Schemas of the common error bodies; the second is the result of testing a data source."""


@pytest.fixture
async def document(here: Platform) -> Document:
    async with httpx.AsyncClient(base_url=here.url, trust_env=False, timeout=60) as client:
        answer = await client.get("/v3/api-docs")
    assert answer.status_code == 200
    found: Document = answer.json()
    return found


def operations(document: Document) -> Iterator[tuple[str, Document]]:
    for path, item in document["paths"].items():
        for verb, operation in item.items():
            yield f"{path}@{verb.upper()}", operation


def schema_at(document: Document, schema: Document) -> Document:
    """Return a schema with its reference resolved."""
    if "$ref" not in schema:
        return schema
    found: Document = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return found


def has_example(document: Document, schema: Document) -> bool:
    """True if a schema or one of its parts has an example."""
    schema = schema_at(document, schema)
    if schema.keys() & {"example", "examples", "enum", "const", "default"}:
        return True
    parts = [*schema.get("properties", {}).values(), *schema.get("anyOf", [])]
    parts += [part for name in ("items", "additionalProperties") if (part := schema.get(name))]
    return any(isinstance(part, dict) and has_example(document, part) for part in parts)


def bodies(operation: Document) -> Iterator[tuple[str, Document]]:
    """Yield the JSON bodies of an operation's request and responses."""
    wholes = {"request": operation.get("requestBody", {}), **operation["responses"]}
    for name, whole in wholes.items():
        if BODY in whole.get("content", {}):
            yield name, whole["content"][BODY]


@pytest.mark.parametrize("prefix", PREFIXES)
async def test_the_document_is_public(here: Platform, prefix: str) -> None:
    """No token is needed, and both mounts serve the same document."""
    async with httpx.AsyncClient(base_url=here.url, trust_env=False, timeout=60) as client:
        answer = await client.get(f"{prefix}/v3/api-docs")
        root = await client.get("/v3/api-docs")

    assert (answer.status_code, answer.headers["Content-Type"]) == (200, BODY)
    assert answer.json() == root.json()


@pytest.mark.parametrize("prefix", PREFIXES)
async def test_the_documents_are_found_from_the_root(here: Platform, prefix: str) -> None:
    """faces.md H-4, E-25: the links lead to OpenAPI, AsyncAPI and the page for people, without a token."""
    async with httpx.AsyncClient(base_url=here.url, trust_env=False, timeout=60) as client:
        landing = await client.get(f"{prefix}/")
        found = [(one["rel"], await client.get(one["href"])) for one in landing.json()["links"]]
        described = await client.get(f"{prefix}/v3/api-docs")
    (openapi, asyncapi, page) = [answer for _, answer in found]

    assert [(rel, answer.status_code) for rel, answer in found] == [
        ("service-desc", 200),
        ("service-desc", 200),
        ("service-doc", 200),
    ]
    assert (openapi.json()["openapi"][:2], asyncapi.json()["asyncapi"][:2]) == ("3.", "3.")
    assert "Swagger" in page.text
    base = here.url + prefix
    assert f'<{base}/v3/api-docs>; rel="service-desc"' in landing.headers["Link"]
    assert described.headers["Link"] == landing.headers["Link"]


async def test_the_command_prints_the_same_asyncapi(here: Platform) -> None:
    """``rs-order asyncapi`` and the running service agree, because this one has default names."""
    printed = await rs_order_process("asyncapi")
    async with httpx.AsyncClient(base_url=here.url, trust_env=False, timeout=60) as client:
        served = await client.get("/v3/asyncapi")

    assert json.loads(printed.out) == served.json()


async def test_the_command_prints_the_same_document(document: Document) -> None:
    """``rs-order openapi`` and the running service agree."""
    printed = await rs_order_process("openapi")

    assert json.loads(printed.out) == document


async def test_the_head_of_the_document(document: Document) -> None:
    """It is OpenAPI 3.1 and its servers work with and without a gateway."""
    assert document["openapi"].startswith("3.1.")
    assert document["info"]["title"] == "rs-order"
    assert document["info"]["version"] == version("rs-order")
    assert [server["url"] for server in document["servers"]] == ["/api/v1/rs-order", "/"]


async def test_every_tag_is_described(document: Document) -> None:
    """Each tag in use has a description, and each described tag is in use."""
    used = {tag for _, operation in operations(document) for tag in operation["tags"]}

    assert used == {tag["name"] for tag in document["tags"]}
    assert all(tag["description"] for tag in document["tags"])


async def test_every_operation_is_described(document: Document) -> None:
    """It has a summary, a text, and an operation id that isn't generated from the path."""
    identifiers = [operation["operationId"] for _, operation in operations(document)]

    assert len(set(identifiers)) == len(identifiers)
    for name, operation in operations(document):
        assert operation["summary"], name
        assert operation["description"], name
        assert re.fullmatch(r"[a-z_]+", operation["operationId"]), name


async def test_security_requirements_are_documented(document: Document) -> None:
    """A bearer token; for PUBLIC endpoints also a scope; nothing for monitoring."""
    resources = {resource.key: resource for resource in RESOURCES}
    schemes = document["components"]["securitySchemes"]

    assert schemes["bearer"]["scheme"] == "bearer"
    assert {schemes[name]["in"] for name in ("scopeHeader", "scopeQuery")} == {"header", "query"}
    assert schemes["orderToken"]["name"] == "orderToken"
    for name, operation in operations(document):
        ways = [set(way) for way in operation["security"]]
        resource = resources.get(name) or resources.get(name.replace("@HEAD", "@GET"))
        if name.startswith("/actuator/"):
            assert ways == [], name
        elif resource is not None and resource.default_role != PUBLIC:
            assert ways == [{"bearer"}], name
        else:
            assert len(ways) == 3, name


async def test_failures_are_documented_with_their_body(document: Document) -> None:
    """Each failure has a description and a schema; without content the body is empty (rest.md 4.1)."""
    ours = {resource.key for resource in RESOURCES}
    for name, operation in operations(document):
        failures = {s: r for s, r in operation["responses"].items() if s[0] in "45"}
        for status, response in failures.items():
            assert response["description"], (name, status)
            for content in response.get("content", {}).values():
                assert content["schema"], (name, status)
        if name in ours:
            assert {"401", "403", "503"} <= failures.keys(), name
            assert ("515" in failures) == (not name.endswith("@GET")), name
        if "requestBody" in operation:
            assert {"400", "413", "415"} <= failures.keys(), name
        for status in ("400", "413", "415", "503", "515"):
            if name in ours and "content" in failures.get(status, {}):
                for content in failures[status]["content"].values():
                    assert content["schema"]["$ref"] in BODIES, name


async def test_bodies_have_examples(document: Document) -> None:
    """Every JSON body has an example."""
    without = [
        f"{name} {body}"
        for name, operation in operations(document)
        for body, content in bodies(operation)
        if not {"example", "examples"} & content.keys()
        and not has_example(document, content.get("schema", {}))
    ]

    assert without == []


async def test_error_bodies_of_the_framework_are_not_documented(document: Document) -> None:
    """The service never sends FastAPI's own error bodies, so the document has none."""
    assert "ValidationError" not in json.dumps(document)


async def test_generators_can_read_the_document(document: Document) -> None:
    """Schemathesis, which tests the endpoints, can load every operation."""
    schema = schemathesis.openapi.from_dict(document)

    assert all(hasattr(result, "ok") and result.ok() for result in schema.get_all_operations())


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("path", ["/swagger-ui", "/swagger-ui/", "/swagger-ui/index.html"])
async def test_swagger_ui_works_offline(here: Platform, prefix: str, path: str) -> None:
    """The page and everything it loads come from the service itself, on every mount."""
    async with httpx.AsyncClient(
        base_url=here.url, trust_env=False, follow_redirects=True, timeout=60
    ) as client:
        page = await client.get(prefix + path)
        links = re.findall(r'(?:src|href)="([^"]+)"|url: \'([^\']+)\'', page.text)
        targets = [urljoin(str(page.url), one or other) for one, other in links]
        loaded = [await client.get(target) for target in targets]

    assert page.headers["Content-Type"].startswith("text/html")
    assert "://" not in page.text
    assert {target.rpartition("/")[2] for target in targets} == {
        *("swagger-ui-bundle.js", "swagger-ui.css", "favicon.png", "api-docs")
    }
    assert all(target.startswith(here.url + prefix + "/") for target in targets)
    assert [answer.status_code for answer in loaded] == [200] * len(targets)
