"""Webhooks over HTTP: who may have which, verification, secrets, deliveries (faces.md 4.2, 4.3, 4.4)."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from standardwebhooks.webhooks import WebhookVerificationError

from tests.acceptance.platform import Platform
from tests.acceptance.shared_platform import EVE_01, new_user
from tests.api.test_stac_orders import EVE_01 as EVE_01_URN
from tests.support.polling import eventually
from tests.support.webhook_receiver import Receiver, running_receiver

OF_ONE_FILE = ["order.created", "order.listed", "suborder.started", "suborder.ready", "order.done"]
HOSTS = "/settings/webhook_allowed_hosts"


@pytest.fixture(autouse=True)
async def no_subscriptions(here: Platform) -> AsyncIterator[None]:
    """Let users of the project have webhooks on this machine, and end all of them."""
    await allow(here, ["127.0.0.1"])
    yield
    await allow(here, [])
    await here.rows("delete from subscription")


async def allow(here: Platform, hosts: list[str]) -> None:
    async with here.client("admin@example.org", "ADMIN") as admin:
        answer = await admin.put(HOSTS, json={"value": hosts})
    assert answer.status_code == 200, answer.text


@pytest.fixture
async def jane(here: Platform) -> AsyncIterator[httpx.AsyncClient]:
    """A user without orders and subscriptions."""
    async with here.client(new_user(here)) as client:
        yield client


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with running_receiver() as one:
        yield one


def wanted(receiver: Receiver, **members: Any) -> dict[str, Any]:
    return {"kind": "webhook", "url": receiver.url, **members}


async def added(client: httpx.AsyncClient, receiver: Receiver, **members: Any) -> dict[str, Any]:
    """Return a new webhook whose receiver has agreed."""
    answer = await client.post("/subscriptions?verify=now", json=wanted(receiver, **members))
    assert answer.status_code == 201, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def logged(client: httpx.AsyncClient, name: str) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = (await client.get(f"/events?types={name}")).json()
    return events


async def ordered(here: Platform, webhook: dict[str, Any]) -> int:
    """Return the id of a new order of the owner of a webhook, which is done."""
    response = await here.peer.until_final(await here.peer.order(EVE_01, user=webhook["owner"]))
    return int(response.body["orderId"])


@pytest.mark.parametrize("mode", ["structured", "binary"])
async def test_the_events_of_an_order_arrive(
    here: Platform, jane: httpx.AsyncClient, receiver: Receiver, mode: str
) -> None:
    """In order, as both libraries read them; a wrong secret is refused by the library (E-11, E-12)."""
    webhook = await added(jane, receiver, mode=mode)
    order_id = await ordered(here, webhook)

    async def all_came() -> bool:
        return len(receiver.requests) >= len(OF_ONE_FILE)

    await eventually(all_came, "all events came")
    data = [one.verified(webhook["secret"]) for one in receiver.requests]

    assert [one["event"] for one in data] == OF_ONE_FILE
    assert {one["orderId"] for one in data} == {order_id}
    assert {one.headers["rs-order-attempt"] for one in receiver.requests} == {"1"}
    with pytest.raises(WebhookVerificationError):
        receiver.requests[0].verified("whsec_" + 43 * "A" + "=")


async def test_the_webhook_and_its_deliveries(
    here: Platform, jane: httpx.AsyncClient, receiver: Receiver
) -> None:
    """What its owner sees, in pages; the secret isn't among it."""
    webhook = await added(jane, receiver, types=["suborder.*", "order.done"], label="notebook")
    path = f"/subscriptions/{webhook['id']}"
    await ordered(here, webhook)
    await receiver.until("order.done")

    async def is_delivered() -> bool:
        return bool((await jane.get(path)).json()["backlog"] == 0)

    await eventually(is_delivered, "all is delivered")
    shown = (await jane.get(path)).json()
    first = (await jane.get(f"{path}/deliveries?limit=2")).json()
    second = (await jane.get(f"{path}/deliveries?limit=2&token={first['token']}")).json()
    dead = (await jane.get(f"{path}/deliveries?state=dead")).json()

    assert webhook["secret"].startswith("whsec_")
    assert "secret" not in shown
    assert (shown["state"], shown["backlog"], shown["dead"]) == ("active", 0, 0)
    assert shown["lastSuccess"]
    assert [one["type"] for one in first["deliveries"]] == ["order.done", "suborder.ready"]
    assert [one["type"] for one in second["deliveries"]] == ["suborder.started"]
    assert first["deliveries"][0]["status"] == 204
    assert "token" not in second
    assert dead == {"deliveries": []}
    assert first["deliveries"][0]["delivery"] == receiver.requests[-1].headers["rs-order-delivery"]


async def test_two_secrets_during_a_rotation(
    here: Platform, jane: httpx.AsyncClient, receiver: Receiver
) -> None:
    """Old and new receivers accept; without an overlap only the new one (E-14)."""
    webhook = await added(jane, receiver, types=["order.done"])
    path = f"/subscriptions/{webhook['id']}/secret"
    second = (await jane.post(path)).json()
    await ordered(here, webhook)
    (both,) = await receiver.until("order.done")
    third = (await jane.post(f"{path}?overlap=PT0S")).json()
    await ordered(here, webhook)
    (_, last) = await receiver.until("order.done", 2)
    too_long = await jane.post(f"{path}?overlap=PT73H")

    assert both.verified(webhook["secret"]) == both.verified(second["secret"])
    assert len(both.headers["webhook-signature"].split()) == 2
    assert second["oldSecretUntil"]
    assert last.verified(third["secret"])["event"] == "order.done"
    assert "oldSecretUntil" not in third
    for secret in (webhook["secret"], second["secret"]):
        with pytest.raises(WebhookVerificationError):
            last.verified(secret)
    assert too_long.status_code == 400


async def test_hosts_that_the_project_allows(
    here: Platform, jane: httpx.AsyncClient, receiver: Receiver
) -> None:
    """Users may name those only; administrators and services any public host (E-10)."""
    await allow(here, ["*.example.org"])
    refused = await jane.post("/subscriptions", json=wanted(receiver))
    async with here.client("b@x.org", "PROJECT_ADMIN") as boss:
        inside = await boss.post(
            "/subscriptions?verify=now", json={"kind": "webhook", "url": "https://127.0.0.2/"}
        )
        allowed = await added(boss, receiver, scope="tenant")
    await allow(here, [])
    nobody = await jane.post("/subscriptions", json=wanted(receiver))

    assert (refused.status_code, refused.json()["code"]) == (422, "address-not-allowed")
    assert "*.example.org" in refused.json()["detail"]
    assert (inside.status_code, inside.json()["code"]) == (422, "webhook-not-verified")
    assert "address not allowed" in inside.json()["detail"]
    assert allowed["state"] == "active"
    assert "no host" in nobody.json()["detail"]


@pytest.mark.parametrize(
    "url", ["ftp://127.0.0.1/", "http://jane@127.0.0.1/", "http://127.0.0.1/#x", "nothing"]
)
async def test_urls_that_are_none(jane: httpx.AsyncClient, url: str) -> None:
    """E-W1."""
    answer = await jane.post("/subscriptions", json={"kind": "webhook", "url": url})

    assert (answer.status_code, answer.json()["code"]) == (422, "address-not-allowed")


async def test_a_receiver_that_does_not_agree(
    here: Platform, jane: httpx.AsyncClient, receiver: Receiver
) -> None:
    """It gets nothing but tests, until one is taken (E-19a)."""
    receiver.agrees, receiver.status = False, lambda _: 401
    refused = await jane.post("/subscriptions?verify=now", json=wanted(receiver))
    listed = (await jane.get("/subscriptions")).json()["subscriptions"]
    later = (await jane.post("/subscriptions", json=wanted(receiver))).json()
    path = f"/subscriptions/{later['id']}"

    async def was_asked() -> bool:
        return "lastFailure" in (await jane.get(path)).json()

    await eventually(was_asked, "the receiver was asked")
    await ordered(here, later)
    failed = (await jane.post(f"{path}/test")).json()
    before = set(receiver.names())
    receiver.status = lambda _: 200
    taken = (await jane.post(f"{path}/test")).json()
    await receiver.until("order.done")

    assert (refused.status_code, refused.json()["code"]) == (422, "webhook-not-verified")
    assert listed == []
    assert (later["state"], failed["delivered"], failed["status"]) == ("pending", False, 401)
    assert before == {"webhook.test"}
    assert taken == {"delivered": True, "status": 200, "answer": "thanks"}
    assert (await jane.get(path)).json()["state"] == "active"
    assert receiver.requests[-1].verified(later["secret"])["event"] == "order.done"


async def test_disabling_and_another_url(
    here: Platform, jane: httpx.AsyncClient, receiver: Receiver
) -> None:
    """Nothing comes while it is disabled; then the other receiver gets the events from a position on."""
    webhook = await added(jane, receiver, types=["order.*"])
    path = f"/subscriptions/{webhook['id']}"
    off = (await jane.put(path, json={"types": ["order.*"], "enabled": False})).json()
    await ordered(here, webhook)
    (listed,) = await eventually(
        lambda: logged(jane, "order.listed"), "the order's events have positions"
    )
    begin = int(listed["sequence"])
    async with running_receiver() as other:
        on = await jane.put(
            f"{path}?verify=now",
            json={"types": ["order.*"], "enabled": True, "url": other.url, "replayFrom": begin},
        )
        await other.until("order.done")
        names = other.names()

    assert (off["state"], off["disabledBecause"]) == ("disabled", "by-owner")
    assert (on.status_code, on.json()["state"]) == (200, "active")
    assert receiver.requests == []
    assert names == ["order.listed", "order.done"]


async def test_a_repeated_request_has_no_secret(
    jane: httpx.AsyncClient, receiver: Receiver
) -> None:
    """It is shown once; the repetition gets the same webhook, whose owner may ask for a new secret."""
    headers = {"Idempotency-Key": '"webhook-1"'}
    first = await jane.post("/subscriptions", json=wanted(receiver), headers=headers)
    second = await jane.post("/subscriptions", json=wanted(receiver), headers=headers)
    body = first.json()

    assert second.headers["Idempotent-Replayed"] == "true"
    assert body.pop("secret")
    assert second.json() == body
    assert first.headers["Location"].endswith(f"/subscriptions/{body['id']}")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/stac/orders", {"items": [EVE_01_URN]}),
        ("/user/orders/apply", {"queries": [EVE_01]}),
    ],
)
async def test_e9_an_order_brings_its_webhook(
    jane: httpx.AsyncClient, receiver: Receiver, path: str, body: dict[str, Any]
) -> None:
    """It gets the events of this order from the first on. The secret isn't kept for a repetition."""
    notify = {"url": receiver.url, "types": ["order.*"], "label": "brought"}
    headers = {"Idempotency-Key": f"notify{path}"}
    first = await jane.post(path, json={**body, "notify": notify}, headers=headers)
    again = await jane.post(path, json={**body, "notify": notify}, headers=headers)
    other = await jane.post(path, json={**body, "reuse": False})
    brought, kept = brought_by(first), brought_by(again)
    await receiver.until("order.done")
    subscriptions = (await jane.get("/subscriptions")).json()["subscriptions"]

    assert other.is_success
    assert again.headers["Idempotent-Replayed"] == "true"
    assert kept == {"id": brought["id"]}
    data = [one.verified(brought["secret"]) for one in receiver.requests]
    assert [one["event"] for one in data] == ["order.created", "order.listed", "order.done"]
    assert len({one["orderId"] for one in data}) == 1
    (shown,) = subscriptions
    assert (shown["id"], shown["scope"], shown["label"]) == (brought["id"], "order", "brought")
    assert shown["orderId"] == data[0]["orderId"]


def brought_by(answer: httpx.Response) -> dict[str, Any]:
    """Return what an answer about a new order says of its webhook."""
    assert answer.is_success, answer.text
    body = answer.json()
    brought: dict[str, Any] = (
        body["content"]["notify"] if "content" in body else body["rsorder:notify"]
    )
    return brought


async def test_e9_without_a_webhook_that_is_allowed_nothing_is_ordered(
    here: Platform, jane: httpx.AsyncClient, receiver: Receiver
) -> None:
    """The host isn't one of the project's. An order that is used again gets no webhook."""
    body = {"items": [EVE_01_URN]}
    first = await jane.post("/stac/orders", json=body)
    again = await jane.post("/stac/orders", json={**body, "notify": {"url": receiver.url}})
    await allow(here, [])
    refused = [
        await jane.post(
            "/stac/orders", json={**body, "reuse": False, "notify": {"url": receiver.url}}
        ),
        await jane.post(
            "/user/orders/apply", json={"queries": [EVE_01], "notify": {"url": receiver.url}}
        ),
    ]
    orders = await jane.get("/user/orders")
    subscriptions = (await jane.get("/subscriptions")).json()["subscriptions"]

    assert (first.status_code, again.status_code) == (201, 200)
    assert "rsorder:notify" not in again.json()
    assert [one.status_code for one in refused] == [422, 422]
    assert len(orders.json()["content"]) == 1
    assert subscriptions == []


async def test_each_kind_has_its_own_ways(jane: httpx.AsyncClient, receiver: Receiver) -> None:
    """The events of a webhook aren't read, and other subscriptions have no secret."""
    webhook = f"/subscriptions/{(await added(jane, receiver))['id']}"
    pulled = f"/subscriptions/{(await jane.post('/subscriptions', json={})).json()['id']}"
    answers = [
        await jane.get(f"{webhook}/events"),
        await jane.post(f"{webhook}/ack", json={"position": 0}),
        await jane.post(f"{pulled}/test"),
        await jane.post(f"{pulled}/secret"),
        await jane.get(f"{pulled}/deliveries"),
        await jane.put(pulled, json={"enabled": False}),
    ]

    assert {(one.status_code, one.json()["code"]) for one in answers} == {(422, "other-kind")}


async def test_who_may_see_and_change_it(
    here: Platform, jane: httpx.AsyncClient, receiver: Receiver
) -> None:
    """Its owner and administrators of the project."""
    path = f"/subscriptions/{(await added(jane, receiver))['id']}"
    async with here.client(new_user(here)) as stranger:
        refused = [
            await stranger.post(f"{path}/test"),
            await stranger.post(f"{path}/secret"),
            await stranger.get(f"{path}/deliveries"),
            await stranger.put(path, json={"enabled": False}),
        ]
    async with here.client("b@x.org", "PROJECT_ADMIN") as boss:
        seen = await boss.get(f"{path}/deliveries")

    assert {(one.status_code, one.json()["code"]) for one in refused} == {
        (404, "unknown-subscription")
    }
    assert seen.status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        {"kind": "webhook"},
        {"url": "https://a.example.org/"},
        {"mode": "binary"},
        {"kind": "webhook", "url": "https://a.example.org/", "thresholds": [33]},
        {"kind": "webhook", "url": "https://a.example.org/", "mode": "both"},
        {"kind": "webhook", "url": "https://a.example.org/" + 2000 * "a"},
    ],
    ids=["no url", "url without kind", "mode without kind", "threshold", "mode", "long"],
)
async def test_bad_input(jane: httpx.AsyncClient, body: dict[str, object]) -> None:
    answer = await jane.post("/subscriptions", json=body)

    assert (answer.status_code, answer.json()["code"]) == (400, "malformed-request")
