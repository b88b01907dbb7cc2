"""Subscriptions over HTTP: what they have, acknowledging, limits and rights (faces.md 4.2, E-20)."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from tests.acceptance.platform import Platform
from tests.acceptance.shared_platform import EVE_01, new_user
from tests.support.polling import eventually

OF_ONE_FILE = ["order.created", "order.listed", "suborder.started", "suborder.ready", "order.done"]


@pytest.fixture(autouse=True)
async def no_subscriptions(here: Platform) -> AsyncIterator[None]:
    yield
    await here.rows("delete from subscription")


@pytest.fixture
async def jane(here: Platform) -> AsyncIterator[httpx.AsyncClient]:
    """A user without orders and subscriptions."""
    async with here.client(new_user(here)) as client:
        yield client


async def subscribed(client: httpx.AsyncClient, **members: object) -> str:
    """Return the path of a new subscription."""
    answer = await client.post("/subscriptions", json=members)
    assert answer.status_code == 201, answer.text
    return f"/subscriptions/{answer.json()['id']}"


async def ordered(here: Platform, client: httpx.AsyncClient) -> int:
    """Return the id of an order of the client whose end is in the log."""
    owner = (await client.post("/subscriptions", json={})).json()["owner"]
    response = await here.peer.until_final(await here.peer.order(EVE_01, user=owner))
    order_id: int = response.body["orderId"]

    async def has_ended() -> bool:
        path = f"/events?orderId={order_id}&types=order.done"
        return bool((await client.get(path)).json())

    await eventually(has_ended, "the end of the order is in the log")
    return order_id


def names(answer: httpx.Response) -> list[str]:
    return [event["data"]["event"] for event in answer.json()]


async def test_what_is_not_acknowledged_comes_again(
    here: Platform, jane: httpx.AsyncClient
) -> None:
    """In pages, each as long as it isn't acknowledged; then what is behind it."""
    path = await subscribed(jane)
    await ordered(here, jane)

    first = await jane.get(f"{path}/events?limit=3")
    again = await jane.get(f"{path}/events?limit=3")
    handled = {"position": first.headers["rs-order-position"]}
    moved = await jane.post(f"{path}/ack", json=handled)
    rest = await jane.get(f"{path}/events")

    assert first.headers["Content-Type"] == "application/cloudevents-batch+json"
    assert names(first) == OF_ONE_FILE[:3]
    assert again.text == first.text
    assert moved.json()["position"] == handled["position"]
    assert names(rest) == OF_ONE_FILE[3:]


async def test_acknowledging_late_and_too_early(here: Platform, jane: httpx.AsyncClient) -> None:
    """A late repetition doesn't bring events back, and a position that nobody has seen is no position."""
    path = await subscribed(jane)
    await ordered(here, jane)
    end = int((await jane.get(f"{path}/events")).headers["rs-order-position"])

    await jane.post(f"{path}/ack", json={"position": end})
    late = await jane.post(f"{path}/ack", json={"position": end - 1})
    early = await jane.post(f"{path}/ack", json={"position": end + 1_000_000})

    assert (late.status_code, late.json()["position"]) == (200, str(end))
    assert (early.status_code, early.json()["code"]) == (422, "invalid-input")
    assert (await jane.get(f"{path}/events")).json() == []


async def test_the_wanted_events(here: Platform, jane: httpx.AsyncClient) -> None:
    """By type and by order. Types can be changed, the position stays."""
    order_id = await ordered(here, jane)
    of_type = await subscribed(jane, types=["suborder.*"], label="notebook")
    of_order = await subscribed(jane, scope="order", orderId=order_id)
    await ordered(here, jane)
    await jane.delete(f"/user/orders/{order_id}")

    async def is_deleted() -> bool:
        return names(await jane.get(f"{of_order}/events")) == ["order.deleted"]

    await eventually(is_deleted, "the subscription of the order has only its deletion")
    before = names(await jane.get(f"{of_type}/events"))
    changed = await jane.put(of_type, json={"types": ["order.done"]})

    assert before == ["suborder.started", "suborder.ready"]
    assert changed.json()["types"] == ["order.done"]
    assert "label" not in changed.json()
    assert names(await jane.get(f"{of_type}/events")) == ["order.done"]


async def test_a_waiting_request_is_answered_at_once(
    here: Platform, jane: httpx.AsyncClient
) -> None:
    """As soon as there is an event of the subscription."""
    path = await subscribed(jane, types=["order.done"])
    waiting = asyncio.create_task(
        jane.get(f"{path}/events", headers={"Prefer": "wait=45"}, timeout=60)
    )
    await ordered(here, jane)
    answer = await waiting

    assert names(answer) == ["order.done"]
    assert answer.headers["Preference-Applied"] == "wait=45"


async def test_deleted_events_are_announced(here: Platform, jane: httpx.AsyncClient) -> None:
    """Who comes too late learns where to go on, and acknowledges that."""
    path = await subscribed(jane)
    await ordered(here, jane)
    begin = int((await jane.get(path)).json()["position"])
    await here.rows("update event_log set purged = $1", begin + 2)
    try:
        gone = await jane.get(f"{path}/events")
        await jane.post(f"{path}/ack", json={"position": int(gone.json()["oldest"]) - 1})
        left = await jane.get(f"{path}/events")
    finally:
        await here.rows("update event_log set purged = 0")

    assert (gone.status_code, gone.json()["code"]) == (410, "position-gone")
    assert names(left) == OF_ONE_FILE[2:]


async def test_who_may_see_and_change_what(here: Platform, jane: httpx.AsyncClient) -> None:
    """A subscription is its owner's; administrators of the project see and change all of it."""
    path = await subscribed(jane)
    async with (
        here.client(new_user(here)) as stranger,
        here.client("b@x.org", "PROJECT_ADMIN") as boss,
        here.client("b@x.org", "PROJECT_ADMIN", tenant="project2") as elsewhere,
    ):
        refused = [
            await one.request(verb, path + end, json=body)
            for one in (stranger, elsewhere)
            for verb, end, body in (
                ("GET", "", None),
                ("GET", "/events", None),
                ("PUT", "", {}),
                ("POST", "/ack", {"position": 0}),
                ("DELETE", "", None),
            )
        ]
        listed = [
            len((await one.get("/subscriptions")).json()["subscriptions"])
            for one in (jane, stranger, boss, elsewhere)
        ]
        removed = await boss.delete(path)

    assert {one.status_code for one in refused} == {404}
    assert {one.json()["code"] for one in refused} == {"unknown-subscription"}
    assert listed == [1, 0, 1, 0]
    assert removed.status_code == 204
    assert (await jane.get(path)).status_code == 404


async def test_orders_of_others(here: Platform, jane: httpx.AsyncClient) -> None:
    """Only administrators and services subscribe to them, and only as long as they are that."""
    order_id = await ordered(here, jane)
    of_order = {"scope": "order", "orderId": order_id}
    email = new_user(here)
    async with (
        here.client(email) as stranger,
        here.client(email, "ROLE_SYS_rs-delivery") as service,
    ):
        refused = [
            await stranger.post("/subscriptions", json=wanted)
            for wanted in ({"scope": "tenant"}, of_order)
        ]
        path = await subscribed(service, scope="tenant", types=["order.done"])
        one_order = await subscribed(service, **of_order)
        await ordered(here, jane)
        read = await service.get(f"{path}/events")
        demoted = await stranger.get(f"{path}/events")
        await jane.delete(f"/user/orders/{order_id}")

        async def is_deleted() -> bool:
            return names(await service.get(f"{one_order}/events")) == ["order.deleted"]

        await eventually(is_deleted, "the service reads the deletion")
        of_other = await stranger.get(f"{one_order}/events")

    assert [one.status_code for one in refused] == [403, 404]
    assert names(read) == ["order.done"]
    assert demoted.status_code == 403
    assert of_other.json() == []


async def test_the_limit_of_a_user(jane: httpx.AsyncClient) -> None:
    """The 21st subscription is refused, also if all are requested at once; room comes from ending one."""
    answers = await asyncio.gather(*(jane.post("/subscriptions", json={}) for _ in range(22)))
    refused = [one for one in answers if one.status_code != 201]
    (made, *_) = [one for one in answers if one.status_code == 201]
    await jane.delete(f"/subscriptions/{made.json()['id']}")
    after = await jane.post("/subscriptions", json={})

    assert [one.status_code for one in refused] == [409, 409]
    assert refused[0].json()["code"] == "too-many-subscriptions"
    assert after.status_code == 201


async def test_a_repeated_request_makes_one_subscription(jane: httpx.AsyncClient) -> None:
    """The key of the first request brings its answer."""
    headers = {"Idempotency-Key": '"subscription-1"'}
    first = await jane.post("/subscriptions", json={"label": "one"}, headers=headers)
    second = await jane.post("/subscriptions", json={"label": "one"}, headers=headers)

    assert second.json() == first.json()
    assert first.headers["Location"].endswith(f"/subscriptions/{first.json()['id']}")
    assert len((await jane.get("/subscriptions")).json()["subscriptions"]) == 1


@pytest.mark.parametrize(
    "body",
    [
        {"types": ["order.nothing"]},
        {"types": []},
        {"scope": "order"},
        {"scope": "mine", "orderId": 1},
        {"scope": "all"},
        {"kind": "pigeon"},
        {"url": "https://hooks.example.org"},
    ],
    ids=lambda body: next(reversed(body)),
)
async def test_bad_input(jane: httpx.AsyncClient, body: dict[str, object]) -> None:
    answer = await jane.post("/subscriptions", json=body)

    assert (answer.status_code, answer.json()["code"]) == (400, "malformed-request")
