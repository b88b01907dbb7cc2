"""The progress of orders over HTTP: documents, conditions, waiting, pages and bad input (faces.md 1, 10)."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from tests.acceptance.platform import Platform
from tests.acceptance.shared_platform import EVE_01, new_user
from tests.api.given import given_order


@pytest.fixture
async def order(here: Platform) -> AsyncIterator[tuple[httpx.AsyncClient, str]]:
    """An order whose files are available, as its owner sees it."""
    owner = new_user(here)
    response = await here.peer.until_final(await here.peer.order(EVE_01, user=owner))
    async with here.client(owner) as client:
        yield client, f"/user/orders/{response.body['orderId']}/progress"


async def test_the_owner_sees_the_reason(order: tuple[httpx.AsyncClient, str]) -> None:
    """In their language; and what they have isn't sent again, with or without waiting."""
    client, path = order
    english = await client.get(path)
    french = await client.get(path, headers={"Accept-Language": "fr-FR,fr;q=0.9,en;q=0.1"})
    known = {"If-None-Match": english.headers["ETag"]}
    again = await client.get(path, headers=known)
    waited = await client.get(path, headers={**known, "Prefer": "wait=0"})
    other = await client.get(path, headers={"If-None-Match": '"x"', "Prefer": "wait=30"})
    page = (await client.get(f"{path}/suborders?limit=1")).json()

    body = english.json()
    assert (body["reason"]["code"], body["reason"]["yourTurn"]) == ("ready-for-you", True)
    assert (body["expected"], body["also"], body["percent"]) == (None, [], 100)
    assert body["subOrders"]["total"] == body["subOrders"]["waiting"] == 1
    assert french.json()["reason"]["text"].startswith("Fichiers")
    assert french.headers["ETag"] != english.headers["ETag"]
    assert (again.status_code, again.content) == (304, b"")
    assert "Retry-After" not in again.headers
    assert waited.status_code == 304
    assert other.status_code == 200
    assert "Preference-Applied" not in other.headers
    (sub_order,) = page["content"]
    assert sub_order["reason"]["code"] == "ready-for-you"
    (following,) = page["links"]
    assert (await client.get(following["href"])).json() == {"content": [], "links": []}


async def test_a_waiting_request_is_answered_at_once(
    here: Platform, order: tuple[httpx.AsyncClient, str]
) -> None:
    """As soon as the order is deleted, with the next document."""
    client, path = order
    known = (await client.get(path)).headers["ETag"]
    headers = {"If-None-Match": known, "Prefer": "respond-async, wait=300"}
    waiting = asyncio.create_task(client.get(path, headers=headers, timeout=60))
    deleted = await client.delete(path.removesuffix("/progress"))
    answer = await waiting

    assert deleted.status_code == 200
    assert answer.json()["reason"]["code"] == "deleted"
    assert answer.headers.get("Preference-Applied", "wait=45") == "wait=45"


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/user/orders/987654321/progress", 404, "unknown-order"),
        ("/user/orders/x/progress", 400, "malformed-request"),
        ("/user/orders/987654321/progress/suborders", 404, "unknown-order"),
        ("/user/orders/1/progress/suborders?limit=0", 400, "malformed-request"),
        ("/user/orders/1/progress/suborders?limit=1001", 400, "malformed-request"),
        ("/user/orders/1/progress/suborders?state=x", 400, "malformed-request"),
        ("/user/orders/1/progress/suborders?token=x", 400, "malformed-request"),
        ("/user/orders/1/progress/suborders?token=s99999999999999999999", 400, "malformed-request"),
    ],
)
async def test_bad_input(
    order: tuple[httpx.AsyncClient, str], path: str, status: int, code: str
) -> None:
    client, _ = order
    answer = await client.get(path, headers={"Prefer": "wait=nonsense, =, wait"})

    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_orders_of_others(here: Platform, order: tuple[httpx.AsyncClient, str]) -> None:
    _, path = order
    async with here.client(new_user(here)) as stranger, here.client("b@x.org", "ADMIN") as boss:
        answers = [await stranger.get(path), await stranger.get(f"{path}/suborders")]
        foreign = await boss.get(path)

    assert [(one.status_code, one.json()["code"]) for one in answers] == [(403, "not-owner")] * 2
    assert foreign.status_code == 403


async def test_orders_say_why_they_wait(here: Platform) -> None:
    """Unfinished ones, in lists, in searches and by themselves, in the caller's language."""
    owner = new_user(here)
    paused = await given_order(here, owner, "PAUSED")
    await given_order(here, owner, "DONE")
    french = {"Accept-Language": "fr"}
    async with here.client(owner) as client, here.client(owner, "ADMIN") as boss:
        listed = await client.get("/user/orders", headers=french)
        single = await client.get(f"/user/orders/{paused}", headers=french)
        searched = await boss.post("/orders/search", json={"owner": owner})

    text = "Un service a suspendu la commande. Vous pouvez la reprendre."
    for page in (listed, searched):
        done, waits = sorted(
            (item["content"] for item in page.json()["content"]), key=lambda one: one["status"]
        )
        assert not {"waitingReason", "waitingText", "expectedEarliest"} & set(done)
        assert waits["waitingReason"] == "paused-by-service"
        assert ("expectedEarliest" in waits, waits["waitingText"] == text) == (
            False,
            page is listed,
        )
    assert single.json()["content"]["waitingText"] == text
    assert single.headers["Content-Language"] == "fr"
    assert single.headers["Retry-After"] == "300"


async def test_one_order_is_sent_again_only_if_it_changed(here: Platform) -> None:
    """At once with its tag; a request that waits is answered as soon as the order is deleted."""
    owner = new_user(here)
    path = f"/user/orders/{await given_order(here, owner, 'PAUSED')}"
    async with here.client(owner) as client:
        first = await client.get(path)
        known = {"If-None-Match": first.headers["ETag"]}
        again = await client.get(path, headers=known)
        waited = await client.get(path, headers={**known, "Prefer": "wait=1"})
        other = await client.get(path, headers={"If-None-Match": '"x"', "Prefer": "wait=30"})
        waiting = asyncio.create_task(
            client.get(path, headers={**known, "Prefer": "wait=300"}, timeout=60)
        )
        deleted = await client.delete(path)
        answer = await waiting

    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["ETag"] == first.headers["ETag"]
    assert (waited.status_code, waited.headers["Preference-Applied"]) == (304, "wait=1")
    assert (other.status_code, other.json()) == (200, first.json())
    assert "Preference-Applied" not in other.headers
    assert deleted.status_code == 200
    assert answer.json()["content"]["status"] == "DELETED"
    assert answer.headers.get("Preference-Applied", "wait=45") == "wait=45"
    assert "Retry-After" not in answer.headers


async def test_operators_see_how_expected_times_came_true(here: Platform) -> None:
    async with here.client("olga@example.org", "EXPLOIT") as operator:
        answer = await operator.get("/estimates/calibration")

    body = answer.json()
    assert (answer.status_code, body["tenant"]) == (200, "project1")
    assert [one["period"] for one in body["periods"]] == [
        "last-24-hours",
        "last-7-days",
        "last-500",
    ]
    assert body["samples"] == sum(one["ranges"] for one in body["periods"][2:])
