"""Requests that no endpoint answers, or in another form than it takes (rest.md 3.1, 4.2; Q1, Q2)."""

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
    """The messages of a failure, which are all of its body."""
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
async def test_what_is_not_served(
    admin: httpx.AsyncClient, prefix: str, verb: str, path: str, status: int
) -> None:
    """Unknown route 404, wrong verb 405, both with messages; so is what we don't offer."""
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
async def test_json_by_its_names(admin: httpx.AsyncClient, content_type: str) -> None:
    answer = await admin.put(APP, headers={"Content-Type": content_type}, content=b'{"value": 3}')

    assert answer.status_code == 200


async def chunks() -> AsyncIterator[bytes]:
    """More than 1 MiB, and nothing says so beforehand."""
    yield b'{"value": "'
    for _ in range(17):
        yield b" " * 2**16
    yield b'"}'


async def test_a_body_that_is_too_large(admin: httpx.AsyncClient) -> None:
    """413 by its length, or by what comes when that isn't told."""
    headers = {"Content-Type": JSON}
    told = await admin.put(APP, headers=headers, content=b" " * (2**20 + 1))
    untold = await admin.put(APP, headers=headers, content=chunks())

    for answer in (told, untold):
        assert answer.status_code == 413
        assert "1048576 bytes" in messages(answer)[0]


async def test_strangers_are_told_so_first(here: Platform) -> None:
    """401 and 403 come before anything about the body, however large it is."""
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
async def test_what_json_may_say_besides(admin: httpx.AsyncClient, body: dict[str, object]) -> None:
    """Unknown members, quoted integers and a zero fraction are accepted (rest.md 3.1)."""
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
    """rest.md 1.1, 1.2: the same endpoints; links lead where the caller is, query token included."""
    base = "https://h" if headers else here.url
    token = here.sandbox.token("admin@example.org", "ADMIN", "project1")
    async with httpx.AsyncClient(base_url=here.url, trust_env=False, timeout=60) as client:
        answer = await client.get(f"{prefix}/settings?token={token}", headers=headers)

    assert answer.status_code == 200
    assert answer.json()[0]["links"][0] == {"rel": "self", "href": f"{base}{prefix}/settings"}


CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "POST, PUT, GET, OPTIONS, DELETE",
    "Access-Control-Allow-Headers": "authorization, content-type, scope",
    "Access-Control-Max-Age": "3600",
    "Access-Control-Expose-Headers": "Content-Disposition, Content-Length, ETag, Retry-After",
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
    """All of rest.md 2.5, on answers of every kind, with an Origin and without."""
    for origin in ({}, {"Origin": "https://elsewhere.example.org"}):
        answer = await admin.get(path, headers=origin)
        assert {**CORS, **SAFETY}.items() <= _headers(answer).items()


def _headers(answer: httpx.Response) -> dict[str, str]:
    """By the names the chapter writes; HTTP doesn't mind their case."""
    return {name: answer.headers[name] for name in (*CORS, *SAFETY) if name in answer.headers}


async def test_preflight(here: Platform) -> None:
    """OPTIONS without a token: 200 with the CORS headers, whatever the path."""
    async with httpx.AsyncClient(base_url=here.url, trust_env=False, timeout=60) as client:
        for path in ("/settings", "/nowhere", "/api/v1/rs-order/user/orders"):
            answer = await client.options(path, headers={"Origin": "https://example.org"})
            assert (answer.status_code, answer.content) == (200, b"")
            assert _headers(answer) == CORS
