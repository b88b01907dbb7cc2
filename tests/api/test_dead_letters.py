"""Operators act on dead letters over REST (issue 11, 4.1); the bodies of Java's gateway don't have them."""

import json
from typing import Any
from uuid import uuid4

import httpx

from tests.acceptance.peer import REQUESTS
from tests.acceptance.platform import TENANT, Platform
from tests.acceptance.shared_platform import EVE_01, REQUEST_QUEUE, new_user
from tests.support.polling import eventually

OPERATOR, ROOT = "erin@example.org", "root@example.org"


async def send_wrong_request(here: Platform, order_id: int, **members: Any) -> str:
    """Send a request that becomes a dead letter, and return its correlation id."""
    correlation_id = f"wrong-{uuid4()}"
    body = {"correlationId": correlation_id, "orderId": order_id, "queries": "no list", **members}
    await here.peer.send(REQUESTS, json.dumps(body).encode())
    return correlation_id


async def until_listed(
    client: httpx.AsyncClient, order_id: int, count: int
) -> list[dict[str, Any]]:
    async def listed() -> list[dict[str, Any]] | None:
        answer = await client.get(f"/dead-letters?orderId={order_id}&queue={REQUEST_QUEUE}")
        found: list[dict[str, Any]] = answer.json()["content"]
        return found if len(found) == count else None

    letters: list[dict[str, Any]] = await eventually(listed, f"{count} dead letters")
    return letters


async def test_a_dead_letter_is_corrected_and_replayed(here: Platform) -> None:
    """A wrong correction names the member. The right one is granted, and the audit has who did it."""
    order_id = uuid4().int >> 80
    correlation_id = await send_wrong_request(here, order_id)
    right = {"correlationId": correlation_id, "queries": [EVE_01], "user": new_user(here)}
    async with (
        here.client(OPERATOR, "EXPLOIT") as client,
        here.client(OPERATOR, "EXPLOIT", "project2") as other,
        here.client(ROOT, "INSTANCE_ADMIN", "project2") as root,
    ):
        ((letter),) = await until_listed(client, order_id, 1)
        path = f"/dead-letters/{letter['id']}"
        shown = await client.get(path)
        hidden = [await other.get(path), await other.post(f"{path}/replay")]
        seen_by_root = await root.get(path)
        refused = await client.post(f"{path}/replay", json={"body": {**right, "queries": 7}})
        replayed = await client.post(f"{path}/replay", json={"body": right})
        again = await root.post(f"{path}/replay", json={})
    await here.peer.until_final(correlation_id)

    assert (letter["reason"], letter["state"], letter["tenant"]) == (
        "not-converted-message",
        "open",
        TENANT,
    )
    assert shown.json()["content"]["body"]["queries"] == "no list"
    assert [one.status_code for one in hidden] == [404, 404]
    assert seen_by_root.status_code == 200
    assert (refused.status_code, refused.json()) == (
        422,
        {"messages": ["queries: Input should be a valid list"]},
    )
    assert replayed.json() == {"done": [letter["id"]], "rejected": {}}
    assert again.status_code == 409
    assert f"was replayed by {OPERATOR}" in again.json()["messages"][0]
    assert await audited(here, letter["id"]) == [
        ("dead-letter.replayed", OPERATOR, "rest", "EXPLOIT"),
        ("dead-letter.corrected", OPERATOR, "rest", "EXPLOIT"),
    ]


async def audited(here: Platform, letter_id: str) -> list[tuple[str, ...]]:
    rows = await here.rows(
        "select action, actor, door, role from rs_order.audit where object_id = $1 order by id",
        letter_id,
    )
    return [tuple(row) for row in rows]


async def test_all_that_match_are_discarded_for_a_reason(here: Platform) -> None:
    """The run shows its progress to operators of the project, and a misspelt filter discards nothing."""
    order_id = uuid4().int >> 80
    for _ in range(2):
        await send_wrong_request(here, order_id)
    wanted = {"act": "discard", "filter": {"orderId": order_id}}
    async with (
        here.client(OPERATOR, "EXPLOIT") as client,
        here.client(OPERATOR, "EXPLOIT", "project2") as other,
    ):
        letters = await until_listed(client, order_id, 2)
        page = (await client.get(f"/dead-letters?orderId={order_id}&size=1")).json()
        following = (await client.get(page["links"][0]["href"])).json()
        rejected = [
            await client.post("/dead-letters/runs", json=body)
            for body in (wanted, {**wanted, "because": "a test", "filter": {"order": order_id}})
        ]
        started = await client.post("/dead-letters/runs", json={**wanted, "because": "a test"})
        run = f"/dead-letters/runs/{started.json()['content']['id']}"

        async def ended() -> dict[str, Any] | None:
            content: dict[str, Any] = (await client.get(run)).json()["content"]
            return content if content["state"] == "done" else None

        progress = await eventually(ended, "the end of the run")
        cancelled = await client.delete(run)
        hidden = await other.get(run)
        shown = (await client.get(f"/dead-letters/{letters[0]['id']}")).json()["content"]

    assert [page["content"][0]["id"], following["content"][0]["id"]] == [
        letter["id"] for letter in letters
    ]
    assert [one.status_code for one in rejected] == [422, 400]
    assert started.status_code == 202
    assert started.headers["Location"].endswith(
        f"/dead-letters/runs/{started.json()['content']['id']}"
    )
    assert started.headers["Retry-After"] == "5"  # faces.md H-3
    assert (progress["total"], progress["done"], progress["left"]) == (2, 2, 0)
    assert (cancelled.json()["content"]["state"], hidden.status_code) == ("done", 404)
    assert (shown["state"], shown["changedBy"], shown["because"]) == (
        "discarded",
        OPERATOR,
        "a test",
    )
