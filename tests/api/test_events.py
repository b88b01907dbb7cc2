"""The log of events over HTTP: pages, waiting, filters, rights and bad input (faces.md 4.5)."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from rs_order.contracts.event_bodies import EventDto
from tests.acceptance.platform import Platform
from tests.acceptance.shared_platform import EVE_01, new_user
from tests.support.polling import eventually

OF_ONE_FILE = ["order.created", "order.listed", "suborder.started", "suborder.ready", "order.done"]


@pytest.fixture
async def order(here: Platform) -> AsyncIterator[tuple[httpx.AsyncClient, int]]:
    """An order whose file is available, as its owner sees it. All its events so far can be read."""
    owner = new_user(here)
    response = await here.peer.until_final(await here.peer.order(EVE_01, user=owner))
    async with here.client(owner) as client:
        await eventually(lambda: _has(client, "order.done"), "the end of the order is in the log")
        yield client, response.body["orderId"]


async def _has(client: httpx.AsyncClient, type_: str) -> bool:
    return bool((await client.get("/events", params={"types": type_})).json())


def names(answer: httpx.Response) -> list[str]:
    return [event["data"]["event"] for event in answer.json()]


async def test_an_owner_reads_what_happened(order: tuple[httpx.AsyncClient, int]) -> None:
    """Page by page, until nothing is new."""
    client, order_id = order
    first = await client.get("/events?limit=3")
    second = await client.get(first.links["next"]["url"])
    third = await client.get(second.links["next"]["url"])

    assert first.headers["Content-Type"] == "application/cloudevents-batch+json"
    assert names(first) + names(second) == OF_ONE_FILE
    assert third.json() == []
    assert third.links["next"]["url"].startswith(str(client.base_url))
    positions = [int(one.headers["rs-order-position"]) for one in (first, second, third)]
    assert positions == sorted(positions)
    events = [EventDto.model_validate(event) for event in first.json() + second.json()]
    assert {event.data.order_id for event in events} == {order_id}
    assert [event.data.ordinal for event in events] == [1, 2, 3, 4, 5]
    assert positions[0] == int(events[2].sequence)
    assert (await client.get(events[0].data.links.order.partition("rs-order")[2])).is_success


async def test_the_wanted_events(order: tuple[httpx.AsyncClient, int]) -> None:
    """By type, by a beginning, by order."""
    client, order_id = order
    ready = await client.get("/events?types=suborder.ready,order.done")
    begun = await client.get("/events?types=suborder.*&types=order.created")
    of_order = await client.get(f"/events?orderId={order_id}&types=order.*")
    of_other = await client.get("/events?orderId=987654321")

    assert names(ready) == ["suborder.ready", "order.done"]
    assert names(begun) == ["order.created", "suborder.started", "suborder.ready"]
    assert names(of_order) == ["order.created", "order.listed", "order.done"]
    assert of_other.json() == []


async def test_a_waiting_request_is_answered_at_once(
    order: tuple[httpx.AsyncClient, int],
) -> None:
    """As soon as the order is deleted. Without an event it comes at the end of the time, and is empty."""
    client, order_id = order
    known = (await client.get("/events")).headers["rs-order-position"]
    path = f"/events?after={known}&orderId={order_id}"
    nothing = await client.get(path, headers={"Prefer": "wait=1"})
    waiting = asyncio.create_task(
        client.get(path, headers={"Prefer": "respond-async, wait=300"}, timeout=60)
    )
    deleted = await client.delete(f"/user/orders/{order_id}")
    answer = await waiting

    assert (nothing.json(), nothing.headers["Preference-Applied"]) == ([], "wait=1")
    assert deleted.status_code == 200
    assert names(answer) == ["order.deleted"]
    assert answer.headers["Preference-Applied"] == "wait=45"


async def test_who_reads_what(here: Platform, order: tuple[httpx.AsyncClient, int]) -> None:
    """Others see nothing of the order; administrators and services of its project see it."""
    _, order_id = order
    path = f"/events?orderId={order_id}"
    async with (
        here.client(new_user(here)) as stranger,
        here.client("b@x.org", "EXPLOIT") as operator,
        here.client("b@x.org", "PROJECT_ADMIN") as boss,
        here.client("s@x.org", "ROLE_SYS_rs-delivery") as service,
        here.client("b@x.org", "PROJECT_ADMIN", tenant="project2") as elsewhere,
    ):
        read = [
            names(await one.get(path)) for one in (stranger, operator, boss, service, elsewhere)
        ]

    assert read == [[], [], OF_ONE_FILE, OF_ONE_FILE, []]


@pytest.mark.parametrize(
    "query",
    [
        "after=x",
        "after=-1",
        "limit=0",
        "limit=1001",
        "orderId=x",
        "types=order.nothing",
        "types=x*",
    ],
)
async def test_bad_input(here: Platform, query: str) -> None:
    async with here.client("jane@example.org") as client:
        answer = await client.get(f"/events?{query}")

    assert (answer.status_code, answer.json()["code"]) == (400, "malformed-request")


async def test_a_position_that_is_gone(
    here: Platform, order: tuple[httpx.AsyncClient, int]
) -> None:
    """The answer has the oldest position that is left (E-6)."""
    client, _ = order
    await here.rows("update event_log set purged = 1")
    try:
        gone = await client.get("/events?after=0")
        left = await client.get("/events?after=1")
    finally:
        await here.rows("update event_log set purged = 0")

    assert (gone.status_code, gone.json()["code"], gone.json()["oldest"]) == (
        410,
        "position-gone",
        "2",
    )
    assert left.status_code == 200


async def test_the_schema_is_open_to_all(
    here: Platform, order: tuple[httpx.AsyncClient, int]
) -> None:
    """Each event names it, and has the members that it requires."""
    client, _ = order
    (event,) = (await client.get("/events?limit=1")).json()
    async with httpx.AsyncClient(base_url=client.base_url) as anybody:
        schema: dict[str, Any] = (
            await anybody.get(
                event["dataschema"].partition("rs-order")[2], params={"scope": "project1"}
            )
        ).json()

    assert set(schema["required"]) <= set(event["data"]) <= set(schema["properties"])
