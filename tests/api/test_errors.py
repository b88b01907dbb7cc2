"""Requests for unknown endpoints and in unsupported formats (rest.md 3.1, 4.2; Q1, Q2)."""

import json
from collections.abc import AsyncIterator

import httpx
import pytest

from tests.acceptance.platform import Platform

APP = "/settings/app_sub_order_duration"
UPLOAD = "/microservice/configuration"
JSON = "application/json"


@pytest.fixture
async def admin(here: Platform) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the project's administrator; the setting has its default afterwards."""
    async with here.client("admin@example.org", "PROJECT_ADMIN") as client:
        yield client
        await client.delete(APP)


def messages(answer: httpx.Response) -> list[str]:
    """Return the messages of an error body, which has no other member."""
    assert answer.headers["Content-Type"] == JSON
    assert list(answer.json()) == ["messages"]
    found: list[str] = answer.json()["messages"]
    assert found
    assert all(found)
    return found


@pytest.mark.parametrize("prefix", ["", "/api/v1/rs-order"])
@pytest.mark.parametrize(
    ("verb", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("POST", "/settings/", 404),
        ("GET", "/swagger-ui/nothing.js", 404),
        ("GET", "/swagger-ui/..%2f..%2f__init__.py", 404),
        ("PATCH", "/settings", 405),
        ("GET", APP, 405),
        ("POST", "/actuator/health", 405),
        ("POST", "/shutdown/immediate", 404),
    ],
)
async def test_unknown_routes_and_verbs(
    admin: httpx.AsyncClient, prefix: str, verb: str, path: str, status: int
) -> None:
    """404 for an unknown route, 405 for a wrong verb, with messages. Endpoints we don't offer are unknown."""
    answer = await admin.request(verb, prefix + path)

    assert answer.status_code == status
    assert verb in messages(answer)[0]


@pytest.mark.parametrize(
    ("verb", "path", "content_type", "content"),
    [
        ("PUT", APP, "text/plain", b'{"value": 3}'),
        ("PUT", APP, "application/x-www-form-urlencoded", b"value=3"),
        ("PUT", APP, "application/xml", b"<value/>"),
        ("PUT", APP, "nonsense", b'{"value": 3}'),
        ("PUT", APP, "", b'{"value": 3}'),
        ("POST", UPLOAD, JSON, b"{}"),
        ("POST", UPLOAD, "application/x-www-form-urlencoded", b"file=x"),
    ],
)
async def test_another_media_type(
    admin: httpx.AsyncClient, verb: str, path: str, content_type: str, content: bytes
) -> None:
    """415, before the body is read."""
    headers = {"Content-Type": content_type} if content_type else {}
    answer = await admin.request(verb, path, headers=headers, content=content)

    assert answer.status_code == 415
    assert ("multipart/form-data" if path == UPLOAD else JSON) in messages(answer)[0]


@pytest.mark.parametrize(
    "content_type", [JSON, "application/json; charset=UTF-8", "Application/JSON"]
)
async def test_media_types_that_count_as_json(admin: httpx.AsyncClient, content_type: str) -> None:
    answer = await admin.put(APP, headers={"Content-Type": content_type}, content=b'{"value": 3}')

    assert answer.status_code == 200


async def chunks() -> AsyncIterator[bytes]:
    """Yield more than 1 MiB without announcing the size."""
    yield b'{"value": "'
    for _ in range(17):
        yield b" " * 2**16
    yield b'"}'


async def test_a_body_that_is_too_large(admin: httpx.AsyncClient) -> None:
    """413 by its Content-Length, or while reading if there is none."""
    headers = {"Content-Type": JSON}
    told = await admin.put(APP, headers=headers, content=b" " * (2**20 + 1))
    untold = await admin.put(APP, headers=headers, content=chunks())

    for answer in (told, untold):
        assert answer.status_code == 413
        assert "1048576 bytes" in messages(answer)[0]


async def test_rights_are_checked_before_the_body(here: Platform) -> None:
    """401 and 403 are decided before the body is read, however large it is."""
    content = b" " * (2**20 + 1)
    async with httpx.AsyncClient(base_url=here.url, trust_env=False, timeout=60) as nobody:
        unknown = await nobody.put(APP, content=content)
    async with here.client("jane@example.org") as jane:
        forbidden = await jane.put(APP, content=content)

    assert (unknown.status_code, forbidden.status_code) == (401, 403)
    assert messages(unknown)
    assert messages(forbidden) == ["Access is denied"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"null",
        b"{",
        b"[]",
        b'"text"',
        b"3",
        b'{"value": 3,}',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"value": ' + b"9" * 5000 + b"}",
    ],
)
async def test_a_body_that_cannot_be_read(admin: httpx.AsyncClient, content: bytes) -> None:
    """400: malformed, of the wrong kind, or missing where one is needed (rest.md 4.2)."""
    answer = await admin.put(APP, headers={"Content-Type": JSON}, content=content)

    assert answer.status_code == 400
    assert messages(answer)


@pytest.mark.parametrize(
    "body",
    [
        {"value": 3, "unknown": {"deep": [None]}},
        {"value": "3", "name": 7},
        {"value": 3.0, "description": None},
    ],
)
async def test_lenient_json_is_accepted(admin: httpx.AsyncClient, body: dict[str, object]) -> None:
    """Unknown members, quoted integers and integers written as 7.0 are accepted (rest.md 3.1)."""
    answer = await admin.put(APP, json=body)

    assert (answer.status_code, answer.json()["content"]["value"]) == (200, 3)


async def test_pretty_printing(admin: httpx.AsyncClient) -> None:
    """Any ``_pretty`` indents (rest.md 3.1)."""
    plain, pretty = [await admin.get(f"/settings{query}") for query in ("", "?_pretty")]

    assert b"\n" not in plain.content
    assert pretty.text == json.dumps(plain.json(), indent=2)


@pytest.mark.parametrize("prefix", ["", "/api/v1/rs-order"])
@pytest.mark.parametrize(
    "headers",
    [{}, {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "h", "X-Forwarded-Port": "443"}],
)
async def test_both_mounts_and_their_links(
    here: Platform, prefix: str, headers: dict[str, str]
) -> None:
    """rest.md 1.1, 1.2: both have the same endpoints. Links have the caller's address and query token."""
    base = "https://h" if headers else here.url
    token = here.sandbox.token("admin@example.org", "ADMIN", "project1")
    async with httpx.AsyncClient(base_url=here.url, trust_env=False, timeout=60) as client:
        answer = await client.get(f"{prefix}/settings?token={token}", headers=headers)

    assert answer.status_code == 200
    assert answer.json()[0]["links"][0] == {"rel": "self", "href": f"{base}{prefix}/settings"}


CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "POST, PUT, GET, OPTIONS, DELETE",
    "Access-Control-Allow-Headers": "authorization, content-type, scope, idempotency-key, if-match, "
    "if-none-match, if-range, last-event-id, prefer, range",
    "Access-Control-Max-Age": "3600",
    "Access-Control-Expose-Headers": "Accept-Ranges, Content-Disposition, Content-Length, Content-Range, "
    "Digest, ETag, Idempotent-Replayed, Link, Location, Preference-Applied, "
    "RateLimit, RateLimit-Policy, Repr-Digest, Retry-After, rs-order-position",
}
SAFETY = {
    "Cache-Control": "no-cache, no-store, max-age=0, must-revalidate",
    "Pragma": "no-cache",
    "Expires": "0",
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "X-XSS-Protection": "0",
}


@pytest.mark.parametrize(
    "path", ["/settings", "/nowhere", "/actuator/info", "/v3/api-docs", "/swagger-ui/index.html"]
)
async def test_headers_of_every_answer(admin: httpx.AsyncClient, path: str) -> None:
    """All headers of rest.md 2.5 are on every kind of response, with or without an Origin."""
    for origin in ({}, {"Origin": "https://elsewhere.example.org"}):
        answer = await admin.get(path, headers=origin)
        assert {**CORS, **SAFETY}.items() <= _headers(answer).items()


def _headers(answer: httpx.Response) -> dict[str, str]:
    """Return the headers under the chapter's names; HTTP ignores their case."""
    return {name: answer.headers[name] for name in (*CORS, *SAFETY) if name in answer.headers}


async def test_preflight(here: Platform) -> None:
    """OPTIONS without a token: 200 with the CORS headers, whatever the path."""
    async with httpx.AsyncClient(base_url=here.url, trust_env=False, timeout=60) as client:
        for path in ("/settings", "/nowhere", "/api/v1/rs-order/user/orders"):
            answer = await client.options(path, headers={"Origin": "https://example.org"})
            assert (answer.status_code, answer.content) == (200, b"")
            assert _headers(answer) == CORS
