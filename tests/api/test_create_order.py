"""Orders are created from baskets (rest.md 7.1, 7.2, 14)."""

import asyncio
import re
from typing import Any

import httpx
import pytest

from tests.acceptance.platform import Platform
from tests.acceptance.shared_platform import EVE_01, new_user, state_of, until_rows
from tests.api.given import given_order
from tests.support.baskets import put_basket

DATED = re.compile(r"Order of \d{4}/\d{2}/\d{2} at \d{2}:\d{2}:\d{2}( \(\d\))?")


async def create(
    here: Platform, email: str, body: Any = None, *, path: str = "/user/orders", role: str = ""
) -> httpx.Response:
    async with here.client(email, role or "REGISTERED_USER") as client:
        return await client.post(path, json={} if body is None else body)


async def test_a_basket_becomes_an_order(here: Platform) -> None:
    """201 with the new order and the links of its actions (rest.md 14, create)."""
    jane = new_user(here)
    await put_basket(here, jane, EVE_01)
    answer = await create(here, jane, {"label": "My order", "onSuccessUrl": "/user/history"})
    order = answer.json()["content"]
    (stored,) = await here.rows("select * from orders where id = $1", order["id"])

    assert answer.status_code == 201
    assert {name: order[name] for name in order if not name.endswith("Date")} == {
        "id": stored["id"],
        "owner": jane,
        "label": "My order",
        "percentCompleted": 0,
        "filesInErrorCount": 0,
        "availableFilesCount": 0,
        "status": "PENDING",
        "waitingForUser": False,
        "datasetTasks": [],
    }
    assert set(order) >= {"creationDate", "statusDate"}
    assert [link["rel"] for link in answer.json()["links"]] == ["self", "list", "pause"]
    assert answer.json()["links"][0]["href"].endswith(f"/user/orders/{order['id']}")
    assert stored["front_url"] == "/user/history"
    assert stored["correlation_id"].startswith("auto-correlation-id-")


@pytest.mark.parametrize("key", [{}, {"Idempotency-Key": "minimal"}], ids=["", "with a key"])
async def test_less_may_be_preferred(key: dict[str, str], here: Platform) -> None:
    """faces.md H-2: 201 without a body; its address says which order it is."""
    jane = new_user(here)
    await put_basket(here, jane, EVE_01)
    async with here.client(jane) as client:
        answer = await client.post(
            "/user/orders", json={}, headers={"Prefer": "return=minimal", **key}
        )
        order = await client.get(answer.headers["Location"])

    assert (answer.status_code, answer.content) == (201, b"")
    assert answer.headers["Preference-Applied"] == "return=minimal"
    assert order.json()["content"]["owner"] == jane


async def test_the_rate_of_the_caller_is_told(here: Platform) -> None:
    """faces.md H-1: on what creates, and not on others. Administrators have no limit."""
    jane = new_user(here)
    await put_basket(here, jane, EVE_01)
    created = await create(here, jane)
    by_administrator = await create(here, jane, role="PROJECT_ADMIN")
    async with here.client(jane) as client:
        read = await client.get(created.headers["Location"])

    assert created.headers["RateLimit-Policy"] == '"requests";q=500;w=10'
    assert re.fullmatch(r'"requests";r=4\d\d;t=\d+', created.headers["RateLimit"])
    assert "RateLimit" not in by_administrator.headers
    assert "RateLimit" not in read.headers


async def test_the_basket_is_taken_from_its_user_and_kept_with_the_order(here: Platform) -> None:
    """B16: the order owns it now, and a write based on an earlier read of it conflicts."""
    jane = new_user(here)
    basket = await put_basket(here, jane, EVE_01)
    order = (await create(here, jane)).json()["content"]["id"]
    (stored,) = await here.rows("select id, order_id, version from basket where owner = $1", jane)

    assert dict(stored) == {"id": basket, "order_id": order, "version": 1}


async def test_an_order_of_a_basket_is_completed(here: Platform) -> None:
    """Peers get SUBORDER_DONE and DONE. No GRANTED: the HTTP response replaces it."""
    jane = new_user(here)
    await put_basket(here, jane, EVE_01)
    order = (await create(here, jane)).json()["content"]["id"]
    (stored,) = await here.rows("select correlation_id from orders where id = $1", order)
    await here.peer.until_final(stored["correlation_id"])

    assert here.peer.statuses(stored["correlation_id"]) == ["SUBORDER_DONE", "DONE"]


async def test_a_basket_without_selection_becomes_an_order_without_files(here: Platform) -> None:
    """201. It ends as DONE_WITH_WARNING, and peers get one failure (domain.md 20.4).

    rest.md 14, create.
    """
    jane = new_user(here)
    await put_basket(here, jane)
    answer = await create(here, jane)
    order = answer.json()["content"]["id"]
    (stored,) = await here.rows("select correlation_id from orders where id = $1", order)
    await here.peer.until_final(stored["correlation_id"])

    assert answer.status_code == 201
    assert await state_of(here, order) == "DONE_WITH_WARNING"
    assert here.peer.statuses(stored["correlation_id"]) == ["FAILED"]


@pytest.mark.parametrize("path", ["/user/orders", "/orders"])
async def test_without_a_basket_there_is_nothing_to_order(path: str, here: Platform) -> None:
    """204 without a body, even for an invalid label (rest.md 14, create)."""
    answer = await create(here, new_user(here), {"label": "x" * 51}, path=path, role="ADMIN")

    assert (answer.status_code, answer.content) == (204, b"")


async def test_two_clicks_make_one_order(here: Platform) -> None:
    """The second request finds no basket."""
    jane = new_user(here)
    await put_basket(here, jane, EVE_01)
    answers = await asyncio.gather(*(create(here, jane) for _ in range(4)))

    assert sorted(answer.status_code for answer in answers) == [201, 204, 204, 204]
    assert len(await here.rows("select from orders where owner = $1", jane)) == 1


@pytest.mark.parametrize("body", [{}, {"label": None}, {"label": ""}])
async def test_w40_generated_labels_are_unique(body: Any, here: Platform) -> None:
    """C1: the reference's text, and a number if an order of the same second has it already.

    rest.md 14, create.
    """
    jane = new_user(here)
    labels = []
    for _ in range(3):
        await put_basket(here, jane)
        labels.append((await create(here, jane, body)).json()["content"]["label"])

    assert len(set(labels)) == 3
    assert all(DATED.fullmatch(label) for label in labels)


@pytest.mark.parametrize(
    ("label", "code"),
    [
        ("x" * 51, "TOO_MANY_CHARACTERS_IN_LABEL"),
        ("taken", "LABEL_NOT_UNIQUE_FOR_OWNER"),
        ("taken, deleted", "LABEL_NOT_UNIQUE_FOR_OWNER"),
    ],
)
async def test_invalid_labels_are_rejected(label: str, code: str, here: Platform) -> None:
    """422 with the code the interface translates; the basket stays with its user (C2).

    rest.md 14, create.
    """
    jane = new_user(here)
    await put_basket(here, jane)
    await given_order(here, jane, label="taken")
    await given_order(here, jane, "DELETED", label="taken, deleted")
    answer = await create(here, jane, {"label": label})

    assert (answer.status_code, answer.json()) == (422, {"messages": [code]})
    assert await here.rows("select from basket where owner = $1 and order_id is null", jane)


@pytest.mark.parametrize("label", ["x" * 50, "   ", "é" * 50])
async def test_valid_labels_are_kept_unchanged(label: str, here: Platform) -> None:
    """Up to 50 characters, not trimmed (C1). Another owner may use the same label."""
    jane = new_user(here)
    await put_basket(here, jane)
    await given_order(here, new_user(here), label=label)
    answer = await create(here, jane, {"label": label})

    assert (answer.status_code, answer.json()["content"]["label"]) == (201, label)


@pytest.mark.parametrize(
    ("path", "role", "hours"), [("/user/orders", "REGISTERED_USER", 240), ("/orders", "ADMIN", 2)]
)
async def test_storage_keeps_files_as_long_as_the_endpoint_says(
    path: str, role: str, hours: int, here: Platform
) -> None:
    """User orders and automatic orders have a setting each. The role is the token's (rest.md 7.2)."""
    jane = new_user(here)
    await put_basket(here, jane)
    order = (await create(here, jane, path=path, role=role)).json()["content"]["id"]
    (stored,) = await here.rows("select role, sub_order_hours from orders where id = $1", order)

    assert dict(stored) == {"role": role, "sub_order_hours": hours}


async def test_creating_automatic_orders_is_for_administrators(here: Platform) -> None:
    """403 for a user, with the platform's text."""
    answer = await create(here, new_user(here), path="/orders")

    assert (answer.status_code, answer.json()) == (403, {"messages": ["Access is denied"]})


@pytest.mark.parametrize(
    ("content", "media_type", "status"),
    [
        (b"", "application/json", 400),
        (b"null", "application/json", 400),
        (b"[]", "application/json", 400),
        (b"{", "application/json", 400),
        (b'{"label": {}}', "application/json", 400),
        (rb'{"label": "a\u0000"}', "application/json", 400),
        (rb'{"label": "\ud800"}', "application/json", 400),
        (b"{}", "text/plain", 415),
        (b"{}", None, 415),
        (b"{}", "application/json;charset=UTF-8", 204),
        (b'{"label": 7, "unknown": 1}', "application/json", 204),
    ],
)
async def test_bodies(content: bytes, media_type: str | None, status: int, here: Platform) -> None:
    """An unreadable body is rejected before the basket is read; here there is none (rest.md 3.1)."""
    headers = {"Content-Type": media_type} if media_type else {}
    async with here.client(new_user(here)) as client:
        answer = await client.post("/user/orders", content=content, headers=headers)

    assert answer.status_code == status
    assert status == 204 or answer.json()["messages"]


async def test_w3_an_order_is_completed_whatever_happens_to_its_creator(here: Platform) -> None:
    """Order, basket, completion, history and first step are written in one transaction."""
    jane = new_user(here)
    await put_basket(here, jane)
    order = (await create(here, jane)).json()["content"]["id"]
    await until_rows(here, "select from orders where id = $1 and expires_at is not null", order)
    history = await here.rows(
        "select before, after, reason, actor from history where order_id = $1 order by id limit 1",
        order,
    )

    assert [tuple(line) for line in history] == [(None, "PENDING", "order-created", jane)]
