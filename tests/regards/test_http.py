"""The HTTP client that all services share, with servers that misbehave."""

import gzip
from contextlib import suppress

import aiohttp
import pytest
from prometheus_client import REGISTRY

from rs_order.ports import BadResponse, RemoteError, RemoteRejection, RemoteUnavailable
from rs_order.regards.http import CallLimits, RemoteService, new_client
from tests.regards.raw_server import RawServer, answer, endless_response

SECRET = "secret.token.text"


@pytest.mark.parametrize(
    ("response", "error"),
    [
        (b"", RemoteUnavailable),
        (b"SMTP ready\r\n\r\n", RemoteUnavailable),
        (answer("200 OK", b"{}", length=1000), RemoteUnavailable),
        (answer("302 Found", b"", "Location: /elsewhere"), BadResponse),
        (answer("200 OK", b'{"a": ' + b"[" * 5000), BadResponse),
        (answer("200 OK", b"\xff\xfe"), BadResponse),
        (answer("400 Bad Request", b"<html>" + b"x" * 10_000), RemoteRejection),
        (answer("500 Oops", b'{"messages": "not a list"}'), RemoteUnavailable),
    ],
    ids=["hung up", "not HTTP", "short", "redirect", "deep", "not text", "long", "odd messages"],
)
async def test_misbehaving_servers(
    client: aiohttp.ClientSession, response: bytes, error: type[RemoteError]
) -> None:
    """Each leads to an error of this service, which is short and has no secret."""
    async with RawServer.running(response) as server:
        service = RemoteService("rs-test", server.url, client)

        with pytest.raises(error) as raised:
            await service.get("/path", SECRET)

    text = str(raised.value)
    assert error is type(raised.value)
    assert text.startswith("rs-test: /path: ")
    assert len(text) < 300
    assert SECRET not in text


@pytest.mark.parametrize(
    ("response", "outcome"),
    [
        (answer("200 OK", b"{}"), "ok"),
        (answer("404 Not Found", b""), "absent"),
        (answer("422 Unprocessable", b"{}"), "rejected"),
        (answer("429 Too Many Requests", b"{}"), "unavailable"),
        (answer("503 Unavailable", b"{}"), "unavailable"),
        (answer("302 Found", b""), "bad-response"),
        (b"", "unavailable"),
    ],
    ids=["ok", "absent", "rejected", "busy", "down", "redirect", "hung up"],
)
async def test_calls_are_measured(
    client: aiohttp.ClientSession, response: bytes, outcome: str
) -> None:
    """Each call is observed once, by service and outcome."""
    labels = {"service": "rs-measured", "outcome": outcome}

    def calls() -> float:
        return REGISTRY.get_sample_value("rs_order_remote_call_seconds_count", labels) or 0

    before = calls()
    async with RawServer.running(response) as server:
        with suppress(RemoteError):
            await RemoteService("rs-measured", server.url, client).get("/path", SECRET)

    assert calls() - before == 1


async def test_rejections_have_the_messages_of_the_service(client: aiohttp.ClientSession) -> None:
    """They come from a REGARDS error body (remote-services.md 1.4)."""
    body = b'{"messages": ["Field x is unknown", "Try y"]}'
    async with RawServer.running(answer("422 Unprocessable", body)) as server:
        with pytest.raises(
            RemoteRejection, match=r"status 422: Field x is unknown, Try y"
        ) as raised:
            await RemoteService("rs-test", server.url, client).get("/path", SECRET)

    assert (raised.value.status, raised.value.service) == (422, "rs-test")


async def test_headers_of_a_call(client: aiohttp.ClientSession) -> None:
    """Bearer token, and JSON in both directions (remote-services.md 1.3); a base URL may end with a slash."""
    async with RawServer.running(answer("200 OK", b'{"a": 1}')) as server:
        service = RemoteService("rs-test", f"{server.url}/prefix/", client)
        assert await service.post("/path", "token", {"q": ["é"]}) == {"a": 1}

    head = server.requests[0].lower()
    assert head.startswith("post /prefix/path http/1.1")
    assert "authorization: bearer token" in head
    assert "accept: application/json" in head
    assert "content-type: application/json" in head


async def test_the_size_of_an_answer_is_limited(client: aiohttp.ClientSession) -> None:
    """An endless answer can't fill the memory."""
    async with RawServer.running(answer("200 OK", b" " * 2000 + b"{}")) as server:
        service = RemoteService("rs-test", server.url, client, longest_answer=1000)
        with pytest.raises(BadResponse, match="longer than 1000 bytes"):
            await service.get("/path", SECRET)


async def test_a_call_has_a_longest_time() -> None:
    """A service that sends a byte from time to time doesn't hold a call without end."""
    limits = CallLimits(read_seconds=5, call_seconds=0.2)
    async with endless_response() as url, new_client(limits) as client:
        with pytest.raises(RemoteUnavailable, match=r"^rs-test: /path: no answer in time"):
            await RemoteService("rs-test", url, client).get("/path", SECRET)


async def test_an_answer_may_be_compressed(client: aiohttp.ClientSession) -> None:
    """Its limit is that of the decoded text."""
    body = gzip.compress(b'{"a": "' + b"x" * 900 + b'"}')
    async with RawServer.running(answer("200 OK", body, "Content-Encoding: gzip")) as server:
        assert await RemoteService("rs-test", server.url, client).get("/path", SECRET) == {
            "a": "x" * 900
        }
        limited = RemoteService("rs-test", server.url, client, longest_answer=800)
        with pytest.raises(BadResponse, match="longer than 800 bytes"):
            await limited.get("/path", SECRET)
