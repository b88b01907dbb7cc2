"""Events as they happen, over HTTP: live, after a cut, from the log, and limits (faces.md E-22, E-23)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

import httpx
import orjson
import pytest
from cloudevents.core.formats.json import JSONFormat
from httpx_sse import EventSource, ServerSentEvent, aconnect_sse

from rs_order.events.stream import MOST_OF_A_USER
from tests.acceptance.platform import Platform
from tests.acceptance.shared_platform import new_user
from tests.api.given import given_order

SECONDS = 60


@asynccontextmanager
async def stream(
    client: httpx.AsyncClient, query: str = "", **headers: str
) -> AsyncIterator[EventSource]:
    async with aconnect_sse(client, "GET", f"/events/stream?{query}", headers=headers) as source:
        yield source


async def heard(source: EventSource, number: int) -> list[ServerSentEvent]:
    """Return the next events of a stream."""
    events: list[ServerSentEvent] = []
    async with asyncio.timeout(SECONDS), aclosing(source.aiter_sse()) as coming:
        async for event in coming:
            if event.event != "message":  # the pause before the next try comes as an empty one
                events.append(event)
            if len(events) == number:
                return events
    raise AssertionError(f"the stream ended after {events}")


async def test_a_stream_goes_on_after_a_cut(here: Platform) -> None:
    """Each event once and in order: live, then from the log behind `Last-Event-ID`, then live again."""
    owner = new_user(here)
    order = await given_order(here, owner, "RUNNING", files="p")
    other = await given_order(here, new_user(here), "RUNNING", files="p")
    async with here.client(owner) as client:
        async with stream(client) as source:
            headers = source.response.headers
            async with here.client("boss@example.org", "PROJECT_ADMIN") as boss:
                assert (await boss.put(f"/user/orders/pause/{other}")).is_success
            assert (await client.put(f"/user/orders/pause/{order}")).is_success
            (first,) = await heard(source, 1)
        assert (await client.put(f"/user/orders/resume/{order}")).is_success
        async with stream(client, **{"Last-Event-ID": first.id}) as source:
            (second,) = await heard(source, 1)
        async with stream(client, f"after={first.id}&types=order.paused&orderId={order}") as source:
            assert (await client.put(f"/user/orders/pause/{order}")).is_success
            (third,) = await heard(source, 1)

    events = [first, second, third]
    assert headers["Content-Type"].startswith("text/event-stream")
    assert (headers["Cache-Control"], headers["X-Accel-Buffering"]) == (
        "no-cache, no-transform",
        "no",
    )
    assert [event.event for event in events] == ["order.paused", "order.resumed", "order.paused"]
    parsed = [JSONFormat().read(None, event.data) for event in events]
    assert [one.get_extension("sequence") for one in parsed] == [
        event.id.zfill(18) for event in events
    ]
    assert {orjson.loads(event.data)["data"]["orderId"] for event in events} == {order}


async def test_a_stream_from_a_position_that_is_gone(here: Platform) -> None:
    """The client learns where the log begins, and hears what comes."""
    owner = new_user(here)
    order = await given_order(here, owner, "RUNNING", files="p")
    async with here.client(owner) as client:
        await here.rows("update event_log set purged = 1")
        try:
            async with stream(client, "after=0") as source:
                (reset,) = await heard(source, 1)
        finally:
            await here.rows("update event_log set purged = 0")
        async with stream(client) as source:
            assert (await client.put(f"/user/orders/pause/{order}")).is_success
            (live,) = await heard(source, 1)

    assert (reset.event, reset.json()) == ("reset", {"oldest": "2"})
    assert live.event == "order.paused"


async def test_a_browser_sends_its_token_in_the_address(here: Platform) -> None:
    """EventSource can't set headers. A HEAD has the headers only."""
    owner = new_user(here)
    token = here.sandbox.token(owner, "REGISTERED_USER", "project1")
    async with httpx.AsyncClient(base_url=here.url, timeout=SECONDS) as browser:
        path = f"/events/stream?token={token}"
        async with browser.stream("GET", path) as response:
            first = await anext(response.aiter_lines())
        head = await browser.head(path)
        unknown = await browser.get("/events/stream?token=x.y.z")

    assert (response.status_code, first) == (200, "retry: 5000")
    assert (head.status_code, head.content) == (200, b"")
    assert unknown.status_code == 401


async def test_a_user_has_few_streams(here: Platform) -> None:
    """The next one gets 503, until one is closed."""
    async with here.client(new_user(here)) as client:
        streams = [stream(client) for _ in range(MOST_OF_A_USER)]
        for one in streams:
            source = await one.__aenter__()
            assert source.response.status_code == 200
        refused = await client.get("/events/stream")
        for one in streams:
            await one.__aexit__(None, None, None)

    assert (refused.status_code, refused.json()["code"]) == (503, "too-many-streams")
    assert refused.headers["Retry-After"] == "5"


@pytest.mark.parametrize("query", ["after=x", "after=-1", "types=order.nothing", "orderId=x"])
async def test_bad_input(here: Platform, query: str) -> None:
    async with here.client("jane@example.org") as client:
        answer = await client.get(f"/events/stream?{query}", headers={"Last-Event-ID": "1"})

    assert (answer.status_code, answer.json()["code"]) == (400, "malformed-request")
