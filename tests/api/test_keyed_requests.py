"""A request with an ``Idempotency-Key`` can be sent again: it has the effect of one (faces.md 8.1)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest

from rs_order.sandbox.faults import Outage, OutageMode, Service
from tests.acceptance.platform import Platform
from tests.acceptance.shared_platform import EVE_01, new_user, until_rows
from tests.api.given import given_order
from tests.support.baskets import put_basket

ORDERS = "/user/orders"
APPLY = "/user/orders/apply"
QUOTE = "/orders/quote"
KEY = "8e03978e-40d5-43dd-bc93-6894a57f9324"


async def post(
    here: Platform,
    email: str,
    path: str = ORDERS,
    body: Any = None,
    key: str = KEY,
    **headers: str,
) -> httpx.Response:
    async with here.client(email, "ADMIN") as client:
        sent = (
            {"json": {} if body is None else body}
            if not isinstance(body, str)
            else {"content": body}
        )
        return await client.post(
            path,
            **sent,
            headers={"Content-Type": "application/json", "Idempotency-Key": key, **headers},
        )


def problem_of(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["messages"]
    return answer.status_code, answer.json()["code"]


def is_replayed(answer: httpx.Response) -> bool:
    return bool(answer.headers.get("Idempotent-Replayed") == "true")


async def orders_of(here: Platform, email: str) -> list[int]:
    rows = await here.rows("select id from orders where owner = $1 order by id", email)
    return [row["id"] for row in rows]


async def keys_of(here: Platform, email: str) -> list[int | None]:
    rows = await here.rows("select status from keyed_request where owner = $1 order by id", email)
    return [row["status"] for row in rows]


async def test_a_repetition_gets_the_first_answer(here: Platform) -> None:
    """Also when the basket is gone, which would be 204 without the key (I-6, I-9)."""
    jane = new_user(here)
    await put_basket(here, jane, EVE_01)
    first = await post(here, jane, body={"label": "once"})
    again = await post(here, jane, body={"label": "once"})
    (order,) = await orders_of(here, jane)
    (kept,) = await here.rows("select order_id, endpoint from keyed_request where owner = $1", jane)

    assert (first.status_code, is_replayed(first)) == (201, False)
    assert first.headers["Location"].endswith(f"/user/orders/{order}")
    assert (again.status_code, again.content, is_replayed(again)) == (201, first.content, True)
    assert again.headers["Location"] == first.headers["Location"]
    assert again.headers["Content-Type"] == "application/json"
    assert dict(kept) == {"order_id": order, "endpoint": "POST /user/orders"}


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [(ORDERS, {"label": "once"}, 201), (APPLY, {"queries": [EVE_01]}, 200)],
    ids=["a basket", "queries"],
)
async def test_100_requests_at_once_make_one_order(
    path: str, body: Any, status: int, here: Platform
) -> None:
    """One creates it; each other one gets that answer again, or learns that it is in progress."""
    jane = new_user(here)
    await put_basket(here, jane, EVE_01)
    answers = await asyncio.gather(*(post(here, jane, path, body) for _ in range(100)))
    done = [answer for answer in answers if answer.status_code == status]
    others = [answer for answer in answers if answer.status_code != status]

    assert len(await orders_of(here, jane)) == 1
    assert [is_replayed(answer) for answer in done].count(False) == 1
    assert {answer.content for answer in done} == {done[0].content}
    assert {problem_of(answer) for answer in others} <= {(409, "request-in-progress")}
    assert {answer.headers["Retry-After"] for answer in others} <= {"1"}


@pytest.mark.parametrize(
    ("body", "replayed"),
    [
        (
            {"filters": {"dataTypes": ["RAWDATA"]}, "queries": [EVE_01], "sizeLimitInBytes": 1e9},
            True,
        ),
        (
            """{ "queries" : ["productId:EVE_01"], "sizeLimitInBytes": 1000000000,
                "filters": {"dataTypes": ["RAWDATA"]} }""",
            True,
        ),
        ({"queries": [EVE_01], "sizeLimitInBytes": 1e9}, False),
        ({"queries": [EVE_01, EVE_01], "filters": {"dataTypes": ["RAWDATA"]}}, False),
    ],
    ids=["other order", "other layout and number", "a member less", "another value"],
)
async def test_content_tells_a_repetition_from_another_request(
    body: Any, replayed: bool, here: Platform
) -> None:
    """Layout, the order of members and the form of numbers don't matter (I-4)."""
    jane = new_user(here)
    first = {"queries": [EVE_01], "filters": {"dataTypes": ["RAWDATA"]}, "sizeLimitInBytes": 10**9}
    await post(here, jane, APPLY, first)
    again = await post(here, jane, APPLY, body)

    assert len(await orders_of(here, jane)) == 1
    if replayed:
        assert is_replayed(again)
    else:
        assert problem_of(again) == (422, "idempotency-key-reused")


async def test_the_query_counts_but_not_a_token_in_it(here: Platform) -> None:
    jane = new_user(here)
    token = here.sandbox.token(jane, "ADMIN", "project1")
    await put_basket(here, jane, EVE_01)
    first = await post(here, jane, f"{ORDERS}?_pretty")
    with_token = await post(here, jane, f"{ORDERS}?_pretty&token={token}")
    other = await post(here, jane)

    assert first.status_code == 201
    assert is_replayed(with_token)
    assert problem_of(other) == (422, "idempotency-key-reused")


async def test_the_path_counts(here: Platform) -> None:
    """The scope of a key is the template of the path, so a restart of another order isn't a repetition."""
    jane = new_user(here)
    old, other = [await given_order(here, jane, "DONE") for _ in range(2)]
    await here.rows(
        "insert into basket (owner, order_id) values ($1, $2), ($1, $3)", jane, old, other
    )
    first = await post(here, jane, f"/user/orders/{old}/restart")
    through_gateway = await post(here, jane, f"/api/v1/rs-order/user/orders/{old}/restart")
    answer = await post(here, jane, f"/user/orders/{other}/restart")

    assert first.status_code == 201
    assert is_replayed(through_gateway)
    assert through_gateway.content == first.content
    assert problem_of(answer) == (422, "idempotency-key-reused")
    assert len(await orders_of(here, jane)) == 3


async def test_a_key_belongs_to_its_user_and_endpoint(here: Platform) -> None:
    jane, john = new_user(here), new_user(here)
    for email in (jane, john):
        await put_basket(here, email, EVE_01)
    answers = [
        await post(here, jane),
        await post(here, john),
        await post(here, jane, APPLY, {"queries": [EVE_01]}),
        await post(here, jane, "/orders"),
    ]

    assert [answer.status_code for answer in answers] == [201, 201, 200, 204]
    assert not any(is_replayed(answer) for answer in answers)


async def test_a_quote_is_made_once(here: Platform) -> None:
    jane = new_user(here)
    first = await post(here, jane, QUOTE, {"queries": [EVE_01]}, Prefer="respond-async")
    again = await post(here, jane, QUOTE, {"queries": [EVE_01]}, Prefer="respond-async")

    assert (first.status_code, again.status_code, is_replayed(again)) == (202, 202, True)
    assert again.headers["Location"] == first.headers["Location"]
    assert again.headers["Retry-After"] == first.headers["Retry-After"]
    assert len(await here.rows("select from quote where owner = $1", jane)) == 1


@pytest.mark.parametrize("path", [ORDERS, "/orders"])
async def test_a_rejection_of_a_use_case_is_kept(path: str, here: Platform) -> None:
    """I-7: the label is free later, and yet the same request gets the same answer."""
    jane = new_user(here)
    taken = await given_order(here, jane, "DELETED", label="taken")
    await put_basket(here, jane)
    first = await post(here, jane, path, {"label": "taken"})
    await here.rows("delete from orders where id = $1", taken)
    again = await post(here, jane, path, {"label": "taken"})

    assert (first.status_code, again.status_code) == (422, 422)
    assert (again.json(), is_replayed(again)) == (first.json(), True)
    assert await keys_of(here, jane) == [422]


async def test_that_there_is_no_basket_is_kept(here: Platform) -> None:
    jane = new_user(here)
    first = await post(here, jane)
    await put_basket(here, jane)
    again = await post(here, jane)

    assert (first.status_code, is_replayed(first)) == (204, False)
    assert (again.status_code, again.content, is_replayed(again)) == (204, b"", True)


async def test_making_an_archive_takes_a_key(here: Platform) -> None:
    """An order without files may have some later, so this rejection releases the key (I-7)."""
    jane = new_user(here)
    path = f"{ORDERS}/{await given_order(here, jane, 'DONE')}/archives"
    empty = await post(here, jane, path, {"format": "zip"})
    malformed = await post(here, jane, path, {"format": "zip"}, key="two words")

    assert problem_of(empty) == (409, "nothing-available")
    assert problem_of(malformed) == (400, "idempotency-key-malformed")
    assert await keys_of(here, jane) == []


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        (ORDERS, {"label": []}, 400),
        (ORDERS, "{", 400),
        (ORDERS, {"quoteId": "q-0"}, 404),
        ("/user/orders/0/restart", {}, 404),
        (f"{ORDERS}/x/restart", {}, 400),
    ],
    ids=["wrong body", "unreadable body", "unknown quote", "unknown order", "wrong path"],
)
async def test_other_failures_release_the_key(
    path: str, body: Any, status: int, here: Platform
) -> None:
    """I-7: the same key can be used for another attempt."""
    jane = new_user(here)
    answers = [await post(here, jane, path, body) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [status, status]
    assert not any(is_replayed(answer) for answer in answers)
    assert await keys_of(here, jane) == []


async def test_a_rejection_for_the_status_of_an_order_releases_the_key(here: Platform) -> None:
    """It is a 401 in this contract, and may pass."""
    jane = new_user(here)
    order = await given_order(here, jane, "RUNNING")
    answer = await post(here, jane, f"/user/orders/{order}/restart")

    assert answer.status_code == 401
    assert await keys_of(here, jane) == []


async def test_a_service_without_answer_releases_the_key(here: Platform) -> None:
    """What may succeed later isn't kept; the answer says when to try again (C-5)."""
    jane = new_user(here)
    here.sandbox.faults.outages[Service.CATALOG] = Outage(mode=OutageMode.DOWN)
    first = await post(here, jane, APPLY, {"queries": [EVE_01]})
    del here.sandbox.faults.outages[Service.CATALOG]
    again = await post(here, jane, APPLY, {"queries": [EVE_01]})

    assert (first.status_code, first.headers["Retry-After"]) == (422, "30")
    assert (again.status_code, is_replayed(again)) == (200, False)


async def test_a_request_in_progress_is_taken_over_when_its_process_has_died(
    here: Platform,
) -> None:
    """I-6: within two minutes a repetition has to wait; after that it does the work."""
    jane = new_user(here)
    await put_basket(here, jane, EVE_01)
    await post(here, jane)
    await here.rows(
        "update keyed_request set status = null, headers = null, body = null where owner = $1", jane
    )
    at_work = await post(here, jane)
    other = await post(here, jane, body={"label": "other"})
    await here.rows(
        "update keyed_request set claimed_at = claimed_at - interval '121 s' where owner = $1", jane
    )
    await put_basket(here, jane, EVE_01)
    taken_over = await post(here, jane)

    assert problem_of(at_work) == (409, "request-in-progress")
    assert at_work.headers["Retry-After"] == "1"
    assert problem_of(other) == (422, "idempotency-key-reused")
    assert (taken_over.status_code, is_replayed(taken_over)) == (201, False)
    assert await keys_of(here, jane) == [201]


async def test_a_request_that_was_taken_over_creates_nothing(here: Platform) -> None:
    """A slow process doesn't commit its order when another one does the work by now."""
    jane = new_user(here)
    await put_basket(here, jane, EVE_01)
    async with _locked_basket(here, jane):
        slow = asyncio.create_task(post(here, jane))
        await until_rows(here, "select from keyed_request where owner = $1", jane)
        await here.rows(
            "update keyed_request set claimed_at = claimed_at - interval '121 s' where owner = $1",
            jane,
        )
        other = asyncio.create_task(post(here, jane))
        await until_rows(here, "select from keyed_request where owner = $1 and claims = 2", jane)
    answers = [await slow, await other]

    assert len(await orders_of(here, jane)) == 1
    assert [answer.status_code for answer in answers] in ([409, 201], [204, 201])
    assert await keys_of(here, jane) == [201]


@asynccontextmanager
async def _locked_basket(here: Platform, owner: str) -> AsyncIterator[None]:
    """Let whoever orders the basket wait until the end of the block."""
    connection = await asyncpg.connect(here.database_url)
    try:
        async with connection.transaction():
            await connection.execute(
                "select from order_project1.basket where owner = $1 for update", owner
            )
            yield
    finally:
        await connection.close()


@pytest.mark.parametrize(
    "key",
    ["", '""', '"', "two words", "k" * 256, "clé", '"a"b"', '"a";p=1', "a, b", '"a\\b"', "a\tb"],
)
async def test_a_malformed_key_is_rejected(key: str, here: Platform) -> None:
    """I-2: nothing is done."""
    jane = new_user(here)
    async with here.client(jane) as client:
        answer = await client.post(
            ORDERS, json={}, headers=[(b"Idempotency-Key", key.encode("latin-1"))]
        )

    assert problem_of(answer) == (400, "idempotency-key-malformed")
    assert await keys_of(here, jane) == []


async def test_two_keys_are_rejected(here: Platform) -> None:
    async with here.client(new_user(here)) as client:
        headers = [("Idempotency-Key", "a"), ("Idempotency-Key", "b")]
        answer = await client.post(ORDERS, json={}, headers=headers)

    assert problem_of(answer) == (400, "idempotency-key-malformed")


@pytest.mark.parametrize(
    ("key", "again"), [("abc", '"abc"'), ('"a\\"b"', '"a\\"b"'), ("k" * 255, f'"{"k" * 255}"')]
)
async def test_a_key_may_stand_in_quotes(key: str, again: str, here: Platform) -> None:
    """I-2: a structured-field string, and the same without quotes."""
    jane = new_user(here)
    await put_basket(here, jane)

    assert (await post(here, jane, key=key)).status_code == 201
    assert is_replayed(await post(here, jane, key=again))


async def test_keys_and_correlation_ids_do_not_mix(here: Platform) -> None:
    """I-10: the same correlation id over REST makes two orders, and the key doesn't reach AMQP."""
    jane = new_user(here)
    correlation_id = uuid4().hex
    body = {"queries": [EVE_01], "correlationId": correlation_id}
    answers = [await post(here, jane, APPLY, body, key=key) for key in ("one", "two")]
    over_amqp = await here.peer.order(EVE_01, user=jane, correlation_id="one")
    await here.peer.until_final(over_amqp)

    assert [answer.status_code for answer in answers] == [200, 200]
    assert len(await orders_of(here, jane)) == 3
